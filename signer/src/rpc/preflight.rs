//! What would be refused, asked before lnd begins: `strongroom.v1.Preflight`, at the door that lnd calls.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::secp256k1::PublicKey;
use bitcoin::{Address, Amount, OutPoint, ScriptBuf};
use prost::Message as _;
use strongroom_lightning::preflight::{self, Intent};
use strongroom_policy::{Network, NodeId, Operation, Violation};
use strongroom_proto::strongroom::v1::destination::To;
use strongroom_proto::strongroom::v1::preflight_request::What;
use strongroom_proto::strongroom::v1::preflight_server::Preflight;
use strongroom_proto::strongroom::v1::{
    CloseIntent, Destination, ForwardIntent, OpenIntent, OutgoingHtlc, PaymentIntent, PreflightAnswer,
    PreflightRequest, PreflightViolation, WalletIntent,
};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::admitted;
use super::signer::malformed;
use crate::appliance::Appliance;
use crate::journal::{Forecast, Inquiry, Question};
use crate::line::Client;
use crate::refusal::Refusal;
use crate::share::BIG;

/// Answers the companion.
pub struct PreflightDoor {
    appliance: Arc<Appliance>,
}

impl PreflightDoor {
    /// The door to `appliance`.
    pub fn new(appliance: Arc<Appliance>) -> Self {
        Self { appliance }
    }

    async fn forecast(&self, client: &Client, asked: PreflightRequest) -> Result<Forecast, Refusal> {
        let limit_ms = self.appliance.limits().deadline_ms;
        let deadline = (Instant::now() + Duration::from_millis(limit_ms)).into();
        let late = || Refusal::Late { limit_ms };
        let node = self.appliance.node(&client.node)?;
        let big = asked.encoded_len() >= BIG;
        let (reply, forecast) = oneshot::channel();
        let intent = intent(asked, self.appliance.policy().0.network())?;
        // One big question of a client at a time, or one that keys are searched for, as with requests.
        let far = node.accounts().may_be_far(intent.scripts().into_iter());
        if big || far {
            tokio::time::timeout_at(deadline, client.turn.alone()).await.map_err(|_| late())?;
        }
        let (node_name, turn) = (client.node.clone(), client.turn.clone());
        if far {
            let until = Instant::now() + Duration::from_millis(limit_ms / 4);
            tokio::task::block_in_place(|| {
                node.accounts().search(intent.scripts().into_iter(), || Instant::now() < until)
            });
        }
        let question = Question { node: node_name, client: client.name.clone(), intent, turn, reply };
        node.journal().ask(Inquiry::Preflight(Box::new(question)))?;
        match tokio::time::timeout_at(deadline, forecast).await {
            Ok(Ok(forecast)) => forecast,
            Ok(Err(_)) => Err(Refusal::Internal("the journal dropped the question".to_owned())),
            Err(_) => Err(late()),
        }
    }
}

#[tonic::async_trait]
impl Preflight for PreflightDoor {
    async fn ask(&self, request: Request<PreflightRequest>) -> Result<Response<PreflightAnswer>, Status> {
        let (client, asked) = admitted(request)?;
        match self.forecast(&client, asked).await {
            Ok(Forecast { violations, not_checked }) => {
                let allowed = violations.is_empty();
                let violations = violations.into_iter().map(violation).collect();
                Ok(Response::new(PreflightAnswer { allowed, violations, not_checked }))
            }
            Err(refusal) => {
                if let (Refusal::Denied(_) | Refusal::Malformed(_), Ok(journal)) =
                    (&refusal, self.appliance.journal())
                {
                    journal.turned_away(&client, Operation::Preflight, &refusal);
                }
                Err(refusal.into())
            }
        }
    }
}

fn violation(found: Violation) -> PreflightViolation {
    let message = found.to_string();
    PreflightViolation { tag: found.tag, value: found.value, limit: found.limit, message }
}

/// More outputs than this no transaction that nodes relay can have.
const MOST_OUTPUTS: usize = 3_500;
/// Channels that one transaction opens; each is a case of its own.
const MOST_CHANNELS: usize = 100;
/// Forwards that are not asked for yet; each is looked up in the books.
const MOST_BESIDE: usize = 64;

/// What is asked, or why it cannot be read.
fn intent(asked: PreflightRequest, network: Network) -> Result<Intent, Refusal> {
    match asked.what {
        None => Err(malformed("nothing is asked")),
        Some(What::Payment(asked)) => payment(&asked),
        Some(What::Wallet(asked)) => wallet(&asked, network),
        Some(What::Open(asked)) => open(&asked, network),
        Some(What::Close(asked)) => close(&asked, network),
        Some(What::Forward(asked)) => forward(&asked),
    }
}

fn payment(asked: &PaymentIntent) -> Result<Intent, Refusal> {
    let hash = match asked.payment_hash.len() {
        0 => None,
        given => {
            let wrong = |_| malformed(format!("a payment hash of {given} bytes; allowed: 32, or none"));
            Some(asked.payment_hash.as_slice().try_into().map_err(wrong)?)
        }
    };
    Ok(Intent::Payment(preflight::Payment {
        hash,
        amount_msat: asked.amount_msat,
        max_fee_msat: asked.max_fee_msat,
        max_part_msat: (asked.max_part_msat > 0).then_some(asked.max_part_msat),
    }))
}

fn forward(asked: &ForwardIntent) -> Result<Intent, Refusal> {
    let read = |htlc: &OutgoingHtlc| {
        let given = htlc.payment_hash.len();
        let wrong = |_| malformed(format!("a payment hash of {given} bytes; allowed: 32"));
        Ok(preflight::OutgoingHtlc {
            hash: htlc.payment_hash.as_slice().try_into().map_err(wrong)?,
            amount_msat: htlc.amount_msat,
            expiry: htlc.expiry,
        })
    };
    let beside = asked.beside.len();
    if beside > MOST_BESIDE {
        return Err(malformed(format!("{beside} forwards beside it; allowed: at most {MOST_BESIDE}")));
    }
    let htlc = asked.htlc.as_ref().ok_or_else(|| malformed("a forward of nothing"))?;
    let beside = asked.beside.iter().map(read).collect::<Result<_, Refusal>>()?;
    Ok(Intent::Forward(preflight::Forwarding { htlc: read(htlc)?, beside }))
}

fn wallet(asked: &WalletIntent, network: Network) -> Result<Intent, Refusal> {
    let count = asked.outputs.len();
    if count == 0 || count > MOST_OUTPUTS || (asked.all && count != 1) {
        let allowed = if asked.all { 1 } else { MOST_OUTPUTS };
        return Err(malformed(format!("{count} outputs; allowed: 1 to {allowed}")));
    }
    let read = |output: &Destination| {
        let script = match &output.to {
            None => return Err(malformed("an output without destination")),
            Some(To::Address(text)) => script(text, network)?,
            Some(To::Script(bytes)) => ScriptBuf::from(bytes.clone()),
        };
        Ok((script, Amount::from_sat(output.amount_sat)))
    };
    let outputs = asked.outputs.iter().map(read).collect::<Result<_, Refusal>>()?;
    Ok(Intent::Wallet(preflight::WalletPayment { outputs, fee_rate: rate(asked.sat_per_kw), all: asked.all }))
}

fn open(asked: &OpenIntent, network: Network) -> Result<Intent, Refusal> {
    let count = asked.channels.len();
    if count == 0 || count > MOST_CHANNELS {
        return Err(malformed(format!("{count} channels; allowed: 1 to {MOST_CHANNELS}")));
    }
    let channels = asked.channels.iter().map(|channel| {
        Ok(preflight::NewChannel {
            capacity: (channel.capacity_sat > 0).then(|| Amount::from_sat(channel.capacity_sat)),
            push: Amount::from_sat(channel.push_sat),
            peer: (!channel.peer.is_empty()).then(|| peer(&channel.peer)).transpose()?,
            close_to: (!channel.close_address.is_empty())
                .then(|| script(&channel.close_address, network))
                .transpose()?,
        })
    });
    Ok(Intent::Open(preflight::Opening {
        channels: channels.collect::<Result<_, Refusal>>()?,
        fee_rate: rate(asked.sat_per_kw),
        funded_elsewhere: asked.funded_elsewhere,
    }))
}

fn close(asked: &CloseIntent, network: Network) -> Result<Intent, Refusal> {
    let channel = OutPoint::from_str(&asked.channel)
        .map_err(|e| malformed(format!("channel {:?}: {e}; allowed: txid:index", asked.channel)))?;
    let to = (!asked.address.is_empty()).then(|| script(&asked.address, network)).transpose()?;
    let fee_rate = rate(asked.sat_per_kw);
    Ok(Intent::Close(preflight::Closing { channel, force: asked.force, to, fee_rate }))
}

fn peer(bytes: &[u8]) -> Result<NodeId, Refusal> {
    let wrong = |_| malformed(format!("a peer of {} bytes that is no compressed public key", bytes.len()));
    PublicKey::from_slice(bytes).map(NodeId::from).map_err(wrong)
}

fn rate(sat_per_kw: u64) -> Option<u64> {
    (sat_per_kw > 0).then_some(sat_per_kw)
}

/// The output script of an address of this network.
fn script(text: &str, network: Network) -> Result<ScriptBuf, Refusal> {
    let wrong = |why: String| malformed(format!("address {text:?}: {why}"));
    let address = Address::from_str(text).map_err(|e| wrong(e.to_string()))?;
    // Simnet's addresses are none that others know.
    let network = network.address_network().ok_or_else(|| wrong(format!("none is known on {network}")))?;
    Ok(address.require_network(network).map_err(|e| wrong(e.to_string()))?.script_pubkey())
}

#[cfg(test)]
mod tests {
    use strongroom_proto::strongroom::v1::NewChannel;

    use super::*;

    fn refused(what: What) -> String {
        let asked = PreflightRequest { what: Some(what) };
        match intent(asked, Network::Regtest) {
            Err(refusal @ Refusal::Malformed(_)) => refusal.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn to(address: &str) -> Destination {
        Destination { to: Some(To::Address(address.to_owned())), amount_sat: 5 }
    }

    #[test]
    fn what_cannot_be_read_is_no_question() {
        assert!(matches!(
            intent(PreflightRequest { what: None }, Network::Regtest),
            Err(Refusal::Malformed(_))
        ));
        let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        let wallet = |outputs, all| What::Wallet(WalletIntent { outputs, all, sat_per_kw: 0 });
        let stranger = NewChannel { capacity_sat: 9, peer: vec![2, 2], ..NewChannel::default() };
        let elsewhere =
            NewChannel { capacity_sat: 9, close_address: mainnet.into(), ..NewChannel::default() };
        let htlc = OutgoingHtlc { payment_hash: vec![1; 32], ..OutgoingHtlc::default() };
        let short_htlc = OutgoingHtlc { payment_hash: vec![1; 31], ..OutgoingHtlc::default() };
        let short = PaymentIntent { payment_hash: vec![1; 31], ..PaymentIntent::default() };
        for (what, says) in [
            (What::Payment(short), "31 bytes"),
            (What::Forward(ForwardIntent::default()), "a forward of nothing"),
            (What::Forward(ForwardIntent { htlc: Some(short_htlc.clone()), beside: vec![] }), "31 bytes"),
            (What::Forward(ForwardIntent { htlc: Some(htlc), beside: vec![short_htlc.clone()] }), "31 bytes"),
            (
                What::Forward(ForwardIntent { htlc: Some(short_htlc.clone()), beside: vec![short_htlc; 65] }),
                "65 forwards beside it; allowed: at most 64",
            ),
            (wallet(vec![], false), "0 outputs"),
            (wallet(vec![to(mainnet); 3_501], false), "3501 outputs"),
            (wallet(vec![Destination { to: None, amount_sat: 5 }], false), "without destination"),
            (wallet(vec![to(mainnet)], false), "address"),
            (wallet(vec![to("nobody")], false), "\"nobody\""),
            (wallet(vec![to(mainnet); 2], true), "allowed: 1 to 1"),
            (What::Open(OpenIntent::default()), "0 channels"),
            (What::Open(OpenIntent { channels: vec![stranger], ..OpenIntent::default() }), "2 bytes"),
            (What::Open(OpenIntent { channels: vec![elsewhere], ..OpenIntent::default() }), "address"),
            (What::Close(CloseIntent { channel: "x:0".into(), ..CloseIntent::default() }), "txid:index"),
        ] {
            let text = refused(what);
            assert!(text.contains(says), "{text}");
        }
    }

    #[test]
    fn zero_means_not_known() {
        let open = OpenIntent { channels: vec![Default::default()], ..OpenIntent::default() };
        let asked = PreflightRequest { what: Some(What::Open(open)) };
        let Ok(Intent::Open(opening)) = intent(asked, Network::Regtest) else { panic!("it can be read") };
        assert_eq!((opening.fee_rate, opening.channels[0].capacity), (None, None));
    }
}
