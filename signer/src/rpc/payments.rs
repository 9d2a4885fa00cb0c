//! Leave to make payments: `strongroom.v1.Payments`.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::Amount;
use bitcoin::hashes::Hash as _;
use bitcoin::hex::DisplayHex as _;
use lightning_invoice::{Bolt11Invoice, Currency};
use strongroom_lightning::Authorization;
use strongroom_policy::Network;
use strongroom_proto::strongroom::v1::authorize_request::What;
use strongroom_proto::strongroom::v1::payments_server::Payments;
use strongroom_proto::strongroom::v1::{AuthorizeRequest, Authorized, AuthorizedRequest, AuthorizedResponse};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::appliance::{Appliance, unix_now};
use crate::journal::{Inquiry, KnownPayment};

/// Takes authorisations in, and lists them.
pub struct PaymentsDoor {
    appliance: Arc<Appliance>,
}

impl PaymentsDoor {
    /// The door to `appliance`.
    pub fn new(appliance: Arc<Appliance>) -> Self {
        Self { appliance }
    }
}

/// Attempts where the request names none.
const ATTEMPTS: u32 = 3;

/// Seconds an authorisation of a bare hash lasts where the request names none.
const HOUR: u64 = 3_600;

#[tonic::async_trait]
impl Payments for PaymentsDoor {
    async fn authorize(&self, request: Request<AuthorizeRequest>) -> Result<Response<Authorized>, Status> {
        let asked = request.into_inner();
        let node = asked.node.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let (policy, _, _) = self.appliance.policy();
        let wanted = authorization(&asked, policy.network(), unix_now())?;
        let (reply, outcome) = oneshot::channel();
        self.appliance.journal()?.ask(Inquiry::Authorize(node, Box::new(wanted), reply))?;
        let outcome = outcome.await.map_err(|_| Status::failed_precondition("the journal is closing"))?;
        Ok(Response::new(authorized(&outcome.map_err(Status::failed_precondition)?)))
    }

    async fn list(
        &self,
        request: Request<AuthorizedRequest>,
    ) -> Result<Response<AuthorizedResponse>, Status> {
        let node = super::node_or_all(&request.into_inner().node)?;
        let (reply, payments) = oneshot::channel();
        self.appliance.journal()?.ask(Inquiry::Payments(node, reply))?;
        let payments = payments.await.map_err(|_| Status::failed_precondition("the journal is closing"))?;
        Ok(Response::new(AuthorizedResponse { payments: payments.iter().map(authorized).collect() }))
    }
}

/// The authorisation asked for, by a payment's hash or by an invoice of `network`; `now` in Unix seconds.
pub fn authorization(asked: &AuthorizeRequest, network: Network, now: u64) -> Result<Authorization, Status> {
    let bad = |why: String| Status::invalid_argument(why);
    let (payment_hash, amount, lasts) = match asked.what.as_ref() {
        None => return Err(bad("neither an invoice nor a payment hash".to_owned())),
        Some(What::PaymentHash(hash)) => {
            let hash: [u8; 32] = hash
                .as_slice()
                .try_into()
                .map_err(|_| bad(format!("given a payment hash of {} bytes; allowed: 32", hash.len())))?;
            (hash, Amount::from_sat(asked.amount_sat), HOUR)
        }
        Some(What::Invoice(text)) => {
            // BOLT 11 checks the signature, so the hash is the payee's.
            let invoice = Bolt11Invoice::from_str(text).map_err(|e| bad(format!("the invoice: {e}")))?;
            if currency(network) != invoice.currency() {
                return Err(bad(format!("the invoice is of another network than {network}")));
            }
            let amount = match (invoice.amount_milli_satoshis(), asked.amount_sat) {
                (Some(msat), 0) => Amount::from_sat(msat.div_ceil(1_000)),
                (Some(msat), sat) => {
                    return Err(bad(format!("given {sat} sat; the invoice says {msat} msat itself")));
                }
                (None, sat) => Amount::from_sat(sat),
            };
            let ends = invoice.expires_at().unwrap_or(Duration::ZERO).as_secs();
            if ends <= now {
                return Err(bad(format!("the invoice expired at Unix second {ends}")));
            }
            (invoice.payment_hash().to_byte_array(), amount, ends - now)
        }
    };
    if amount == Amount::ZERO {
        return Err(bad("given no amount, and no invoice says it; allowed: at least 1 sat".to_owned()));
    }
    let expires_in = if asked.expires_in == 0 { lasts } else { asked.expires_in };
    Ok(Authorization {
        payment_hash,
        amount: Amount::from_sat(amount.to_sat().saturating_add(asked.max_fee_sat)),
        max_attempts: if asked.max_attempts == 0 { ATTEMPTS } else { asked.max_attempts },
        expires: now.saturating_add(expires_in),
        created: now,
        label: asked.label.clone(),
        offered: Amount::ZERO,
    })
}

fn currency(network: Network) -> Currency {
    match network {
        Network::Mainnet => Currency::Bitcoin,
        // BOLT 11 has one prefix for both.
        Network::Testnet | Network::Testnet4 => Currency::BitcoinTestnet,
        Network::Signet => Currency::Signet,
        Network::Regtest => Currency::Regtest,
        Network::Simnet => Currency::Simnet,
    }
}

fn authorized(known: &KnownPayment) -> Authorized {
    let authorization = &known.authorization;
    Authorized {
        node: known.node.to_string(),
        payment_hash: authorization.payment_hash.to_lower_hex_string(),
        amount_sat: authorization.amount.to_sat(),
        max_attempts: authorization.max_attempts,
        expires: authorization.expires,
        created: authorization.created,
        label: authorization.label.clone(),
        offered_sat: authorization.offered.to_sat(),
        in_flight_sat: known.in_flight.to_sat(),
    }
}
