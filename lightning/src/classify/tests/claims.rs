//! What lnd claims from channels closed by force, alone and in batches, and what a lying lnd would slip in between.
//! Whatever is refused here is refused by the shipped policy, and whatever passes does so while its windows are full.

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut};
use strongroom_policy::case::{Destination, Spend, SweepOf};
use strongroom_policy::{Ask, Case, Facts, KeyPath, Network, Operation, Policy, Profile, WalletPath};

use super::channel::*;
use super::closing::delayed;
use super::htlcs::TWEAK;
use crate::fixture::*;
use crate::script::{anchor_script, to_remote_script};
use crate::vls::{Places, Vls};

const HTLC: u64 = 300_000;

/// An HTLC that the peer of channel `at` offered, on our own commitment or on the peer's.
fn incoming(node: &Node, at: u32, on_ours: bool) -> ScriptBuf {
    let ours = single_tweaked(&node.seed.key(&lightning(2, at)), scalar(TWEAK)).serialize();
    let (remote, local) = if on_ours { ([3; 33], ours) } else { (ours, [3; 33]) };
    let expiry = [&[0x67, 0x75, 3][..], &700_100u32.to_le_bytes()[..3], &[0xb1, 0x75, 0xac, 0x68]].concat();
    ScriptBuf::from(
        [
            &[0x76, 0xa9, 20][..],
            &[7; 20],
            &[0x87, 0x63, 0xac, 0x67, 33],
            &remote,
            &[0x7c, 0x82, 0x01, 0x20, 0x87, 0x63, 0xa9, 20],
            &[8; 20],
            &[0x88, 0x52, 0x7c, 33],
            &local,
            &[0x52, 0xae],
            &expiry,
            &[0x51, 0xb2, 0x75, 0x68],
        ]
        .concat(),
    )
}

fn our_delayed(node: &Node, at: u32) -> ScriptBuf {
    let key = single_tweaked(&node.seed.key(&lightning(4, at)), scalar(TWEAK));
    delayed(&Seed::new(2).key(&lightning(1, 0)), &key)
}

/// A coin that a transaction spends, with the key that opens it.
#[derive(Clone)]
struct Coin {
    at: OutPoint,
    spent: TxOut,
    path: KeyPath,
    script: Option<ScriptBuf>,
    tweak: bool,
    sequence: u32,
}

/// Two channels, both closed by force at number 1, each with one HTLC of the peer's and our `to_local` of real script.
struct Closed {
    node: Node,
    htlcs: [Coin; 2],
    to_local: Coin,
    peers: Coin,
}

impl Closed {
    fn with(balance: u64) -> Self {
        let mut node = Node::with_two_channels(balance.max(1));
        let mut commitments = Vec::new();
        for at in [0, 1] {
            node.at = at;
            let htlc = pays(HTLC, &incoming(&node, at, true).to_p2wsh());
            let to_local = pays(balance, &our_delayed(&node, at).to_p2wsh());
            let outputs = if balance > 0 { vec![htlc, to_local] } else { vec![htlc] };
            let commitment = node.own_commitment_tx(1, 0, &outputs);
            let request = node.funding_spend(&commitment, 1);
            assert!(matches!(node.approve(&request), Spend::HolderCommitment { number: 1, .. }));
            commitments.push(commitment);
        }
        node.at = 0;
        let coin = |at: u32, vout: usize, family: u32, script: Option<ScriptBuf>, sequence| Coin {
            at: OutPoint { txid: commitments[at as usize].compute_txid(), vout: vout as u32 },
            spent: commitments[at as usize].output[vout].clone(),
            path: lightning(family, at),
            tweak: script.is_some(),
            script,
            sequence,
        };
        let htlcs = [0, 1].map(|at| coin(at, 2, 2, Some(incoming(&node, at, true)), 1));
        let to_local = coin(0, 3, 4, Some(our_delayed(&node, 0)), 144);
        let peers = coin(0, commitments[0].output.len() - 1, 3, None, 0);
        assert!(balance == 0 || peers.spent.script_pubkey == to_remote_script(&[3; 33]).to_p2wsh());
        Self { node, htlcs, to_local, peers }
    }

    fn wallet(&self, number: u8, amount: u64) -> Coin {
        let (path, spent) = (wallet(84, 0, 0), pays(amount, &self.node.wallet_script(0, 0)));
        Coin { at: outpoint(number), spent, path, script: None, tweak: false, sequence: 0 }
    }

    fn home(&self, amount: u64) -> TxOut {
        pays(amount, &self.node.wallet_script(1, 0))
    }

    /// Our own anchor on channel `at`'s own commitment.
    fn anchor(&self, at: usize) -> Coin {
        let index = u32::try_from(at).expect("a small number");
        // The fixture's commitments have ours first.
        let (script, txid) = (anchor_script(&self.node.seed.bytes(0, index)), self.htlcs[at].at.txid);
        let (at, spent) = (OutPoint { txid, vout: 0 }, pays(330, &script.to_p2wsh()));
        Coin { at, spent, path: lightning(0, index), script: Some(script), tweak: false, sequence: 0 }
    }

    /// The request for the signature of each input that `signed` names.
    fn requests(&self, coins: &[Coin], outputs: &[TxOut], signed: &[usize]) -> Vec<Vec<u8>> {
        let inputs: Vec<_> = coins.iter().map(|coin| (coin.at, coin.sequence)).collect();
        let tx: Transaction = transaction(&inputs, outputs.to_vec(), 0);
        let request = |index: &usize| {
            let fields: Vec<_> = coins
                .iter()
                .enumerate()
                .map(|(at, coin)| {
                    let tweak = coin.tweak.then(|| (0x51, scalar(TWEAK)));
                    if at == *index {
                        let key = self.node.seed.key(&coin.path);
                        signed_input(&coin.spent, &coin.path, &key, 1, coin.script.as_deref(), tweak)
                    } else {
                        vec![witness_utxo(&coin.spent)]
                    }
                })
                .collect();
            psbt(&tx, &fields)
        };
        signed.iter().map(request).collect()
    }

    /// The tags that refuse a request under the shipped policy and VLS's rules, with every window of payments full.
    fn refused_by(&self, request: &[u8]) -> Vec<String> {
        let policy = Policy::from_toml(&Profile::Cautious.render(Network::Regtest)).expect("a policy");
        let vls =
            Vls::new(policy.vls().clone(), bitcoin::Network::Regtest, self.node.seed.key(&lightning(6, 0)));
        let places = Places {
            accounts: &self.node.accounts,
            allowed: policy.allowlist(),
            network: bitcoin::Network::Regtest,
        };
        let parsed = parse(request, &self.node.accounts).unwrap_or_else(|error| panic!("{error}"));
        let (ask, _) = self.node.ask(request);
        let judged = vls.judge(&parsed, &ask, &self.node.channels, Amount::ZERO, places);
        let facts = Facts {
            channel_known: true,
            outflow_in_window: Amount::MAX_MONEY,
            unauthorized_in_window: Amount::MAX_MONEY,
            unexplained_in_window: Amount::MAX_MONEY,
            ..Facts::default()
        };
        let case = Case {
            node: "alice".parse().expect("a name"),
            client: Profile::CLIENT.parse().expect("a name"),
            operation: Operation::SignPsbt,
            ask: Ask::Spend(ask),
        };
        let verdict = policy.decide(&case, &facts).and(policy.vls().split(judged.violations));
        verdict.enforced.into_iter().map(|violation| violation.tag).collect()
    }

    /// Every request is refused by a rule of this name.
    fn all_refused(&self, tag: &str, requests: &[Vec<u8>]) {
        for (at, request) in requests.iter().enumerate() {
            let tags = self.refused_by(request);
            assert!(tags.iter().any(|refused| refused == tag), "request {at}: {tags:?}");
        }
    }

    fn all_signed(&self, requests: &[Vec<u8>]) {
        for (at, request) in requests.iter().enumerate() {
            assert_eq!(self.refused_by(request), [""; 0], "request {at}: {:?}", self.node.spend(request));
        }
    }

    fn claimed(&self, request: &[u8]) -> u64 {
        self.node.ask(request).0.claimed.to_sat()
    }
}

const ELSEWHERE: &str = "closing-destination";

#[test]
fn a_stranger_beside_honest_claims_is_refused() {
    let closed = Closed::with(200_000);
    let [first, second] = closed.htlcs.clone();
    let coins = [first, second, closed.wallet(4, 50_000)];
    let pairs = [pays(HTLC, &stranger(1)), pays(HTLC, &stranger(2))];
    for evil in [
        pays(30_000, &stranger(666)),
        pays(1, bitcoin::Script::new()),
        pays(30_000, &closed.htlcs[0].spent.script_pubkey),
    ] {
        let third = [&pairs[..], std::slice::from_ref(&evil)].concat();
        closed.all_refused(ELSEWHERE, &closed.requests(&coins, &third, &[0, 1, 2]));
        let fourth = [&pairs[..], &[closed.home(20_000), evil]].concat();
        closed.all_refused(ELSEWHERE, &closed.requests(&coins, &fourth, &[0, 1, 2]));
    }
}

#[test]
fn an_output_is_held_to_the_input_opposite_and_to_no_other() {
    let closed = Closed::with(200_000);
    let [first, second] = closed.htlcs.clone();
    let coins = [first, second, closed.wallet(4, 900_000)];
    let peers = to_remote_script(&[3; 33]).to_p2wsh();
    let spent = closed.htlcs[0].spent.script_pubkey.clone();
    for second in [
        pays(HTLC + 1, &stranger(2)),
        pays(HTLC, &peers),
        pays(HTLC, &spent),
        pays(HTLC, &closed.node.funding_script()),
    ] {
        let outputs = [pays(HTLC, &stranger(1)), second, closed.home(800_000)];
        for request in closed.requests(&coins, &outputs, &[0, 2]) {
            assert!(closed.refused_by(&request).contains(&ELSEWHERE.to_owned()), "{outputs:?}");
        }
        let own = &closed.requests(&coins, &outputs, &[1])[0];
        assert!(!closed.refused_by(own).is_empty());
    }
    // The wallet's coin first: what stands opposite it is a stranger's.
    let turned = [coins[2].clone(), coins[0].clone(), coins[1].clone()];
    let outputs = [pays(HTLC, &stranger(1)), pays(HTLC, &stranger(2)), closed.home(800_000)];
    closed.all_refused(ELSEWHERE, &closed.requests(&turned, &outputs, &[0, 1]));
}

/// Only an HTLC needs the peer's signature. Our `to_local` opens with our key alone, and so does an HTLC on the peer's commitment.
#[test]
fn what_opens_without_the_peer_pays_nobody_opposite() {
    let closed = Closed::with(200_000);
    let to_local = closed.to_local.clone();
    let outputs = [pays(HTLC, &stranger(1)), pays(200_000, &stranger(666)), closed.home(40_000)];
    let coins = [closed.htlcs[0].clone(), to_local.clone(), closed.wallet(4, 50_000)];
    closed.all_refused(ELSEWHERE, &closed.requests(&coins, &outputs, &[1]));
    let alone = [to_local, closed.wallet(4, 50_000)];
    closed.all_refused(ELSEWHERE, &closed.requests(&alone, &outputs[1..], &[0]));

    // A commitment of the peer's that pays us nothing passes for one of ours.
    let mut node = Node::with_channel(0);
    let script = incoming(&node, 0, false);
    let commitment = node.own_commitment_tx(1, 0, &[pays(HTLC, &script.to_p2wsh())]);
    node.approve(&node.funding_spend(&commitment, 1));
    let tx = transaction(
        &[(OutPoint { txid: commitment.compute_txid(), vout: 2 }, 1)],
        vec![pays(HTLC - 1_000, &stranger(666))],
        0,
    );
    let spent = [commitment.output[2].clone()];
    let request = node.spend_p2wsh(&tx, &spent, lightning(2, 0), &script, Some((0x51, scalar(TWEAK))), 1);
    assert_eq!(node.spend(&request), Spend::Sweep(SweepOf::CounterpartyHtlc));
    assert_eq!(node.destinations(&request), [Destination::Stranger]);
}

/// HTLCs of several channels run out in one block: lnd's sweeper takes them together, and other sweeps with them.
#[test]
fn claims_of_several_channels_in_one_transaction_are_signed_whichever_is_asked_for() {
    let closed = Closed::with(200_000);
    let [first, second] = closed.htlcs.clone();
    let coins = [first, second, closed.to_local.clone(), closed.anchor(1), closed.wallet(4, 50_000)];
    let outputs = [pays(HTLC, &own_delayed(1)), pays(HTLC, &own_delayed(2)), closed.home(240_000)];
    let requests = closed.requests(&coins, &outputs, &[0, 1, 2, 3, 4]);
    let own = Destination::OwnWallet(WalletPath { purpose: 84, branch: 1, index: 0 });
    for request in &requests {
        assert_eq!(closed.node.spend(request), Spend::HolderHtlc { commitment: coins[0].at.txid });
        assert_eq!(
            closed.node.destinations(request),
            [Destination::OwnChannel, Destination::OwnChannel, own]
        );
    }
    closed.all_signed(&requests);
}

/// A channel that the peer opened, closed while we have nothing in it but an HTLC: no output of our commitment shows what
/// the delayed script is. With a balance of ours one does. The claim is as large as any, and is signed in both.
#[test]
fn an_htlc_is_claimed_whether_or_not_we_have_a_balance_beside_it() {
    for balance in [100_000, 0] {
        let closed = Closed::with(balance);
        let coins = [closed.htlcs[0].clone(), closed.wallet(4, 10_000)];
        let script = if balance > 0 { our_delayed(&closed.node, 0).to_p2wsh() } else { own_delayed(1) };
        let outputs = [pays(HTLC, &script), closed.home(8_000)];
        let requests = closed.requests(&coins, &outputs, &[0, 1]);
        let owners = closed.node.destinations(&requests[0]);
        assert_eq!(owners[0], Destination::OwnChannel, "{balance}");
        closed.all_signed(&requests);
    }
}

#[test]
fn only_what_is_certain_counts_as_claimed() {
    let closed = Closed::with(200_000);
    let [first, second] = closed.htlcs.clone();
    // A coin of the wallet that is said to be a channel's output, of whatever transaction.
    let coin = closed.wallet(5, 9_000_000);
    let dressed = Coin { spent: pays(9_000_000, &stranger(5)), ..coin.clone() };
    // The peer's balance on our commitment is no HTLC.
    let coins = [first, second, closed.wallet(4, 50_000), dressed, closed.peers.clone()];
    let outputs = [pays(HTLC, &own_delayed(1)), pays(HTLC, &own_delayed(2)), closed.home(20_000)];
    for request in closed.requests(&coins[..4], &outputs, &[0, 1, 2]) {
        assert_eq!(closed.claimed(&request), 2 * HTLC);
    }
    // As a wallet spend it claims nothing.
    let spend = closed.requests(&[coin], &[closed.home(8_000_000)], &[0]);
    assert_eq!(closed.claimed(&spend[0]), 0);
    closed.all_refused("fee-cap", &spend);
    // Half of what the two HTLCs hold may be fee, and no more, whichever signature is asked for.
    let coins = [coins[0].clone(), coins[1].clone(), closed.wallet(4, 400_000)];
    let with_fee = |fee| [&outputs[..2], &[closed.home(400_000 - fee)]].concat();
    closed.all_refused("fee-cap", &closed.requests(&coins, &with_fee(HTLC + 1), &[0, 1, 2]));
}

/// A bump brings home what the channel holds for us: once for each channel, and by our own anchor.
#[test]
fn a_bump_claims_what_its_channel_holds() {
    let closed = Closed::with(200_000);
    let change = [closed.home(500_000)];
    let bump = |anchors: &[Coin]| {
        let coins = [anchors, &[closed.wallet(4, 599_000)]].concat();
        closed.requests(&coins, &change, &[0, anchors.len()])
    };
    for request in bump(&[closed.anchor(0)]) {
        assert_eq!(closed.node.spend(&request), Spend::Sweep(SweepOf::Anchor));
        assert_eq!(closed.claimed(&request), 200_330);
    }
    closed.all_signed(&bump(&[closed.anchor(0)]));
    // The fee pays for the commitment too: two anchors, the HTLC, our balance and the peer's.
    let request = &bump(&[closed.anchor(0)])[0];
    let alone = crate::weight::estimate(&parse(request, &closed.node.accounts).expect("a request"));
    assert_eq!(closed.node.ask(request).0.weight.to_wu() - alone.to_wu(), 1_124 + 172);
    let both = bump(&[closed.anchor(0), closed.anchor(1)]);
    assert_eq!(closed.claimed(&both[0]), 400_660);
    let twice = bump(&[
        closed.anchor(0),
        Coin { at: OutPoint { vout: 9, ..closed.anchor(0).at }, ..closed.anchor(0) },
    ]);
    assert_eq!(closed.claimed(&twice[0]), 200_330);
    // An anchor of a commitment that was never signed here, and the peer's anchor.
    let unknown = bump(&[Coin { at: outpoint(9), ..closed.anchor(0) }]);
    assert_eq!(closed.claimed(&unknown[0]), 330);
    let theirs = Coin { spent: pays(330, &anchor_script(&PEER).to_p2wsh()), ..closed.anchor(0) };
    let coins = [theirs, closed.wallet(4, 600_000)];
    assert_eq!(closed.claimed(&closed.requests(&coins, &change, &[1])[0]), 0);
}

/// The peer may publish its last commitment but one until it revokes it. An older one it may not.
#[test]
fn a_bump_of_the_peers_last_commitment_but_one_claims_as_much() {
    let mut closed = Closed::with(200_000);
    let commitments = [0, 1, 2].map(|number| closed.node.commitment_tx(number, 200_000, &[]));
    for commitment in &commitments[1..] {
        let request = closed.node.funding_spend(commitment, 1);
        closed.node.approve(&request);
    }
    let claimed = [0, 1, 2].map(|number: usize| {
        let at = OutPoint { txid: commitments[number].compute_txid(), vout: 0 };
        let coins = [Coin { at, ..closed.anchor(0) }, closed.wallet(4, 599_000)];
        let requests = closed.requests(&coins, &[closed.home(500_000)], &[0, 1]);
        requests.iter().map(|request| closed.claimed(request)).collect::<Vec<_>>()
    });
    assert_eq!(claimed, [vec![330, 0], vec![200_330; 2], vec![200_330; 2]]);
}

/// The store was lost after our commitments were signed: an input's own script shows what it is.
#[test]
fn htlcs_on_commitments_never_seen_are_claimed() {
    let mut closed = Closed::with(200_000);
    closed.node = Node::new();
    let [first, second] = closed.htlcs.clone();
    let (wallet, home) = (closed.wallet(4, 50_000), closed.home(45_000));
    let coins = [first.clone(), second, wallet.clone()];
    // Nothing opposite what opens without the peer, nor beyond the inputs, nor more than the input holds.
    let dressed = Coin { sequence: 1, ..closed.to_local.clone() };
    let evil = [pays(HTLC, &stranger(1)), pays(200_000, &stranger(666)), home.clone()];
    closed.all_refused(ELSEWHERE, &closed.requests(&[first.clone(), dressed, wallet.clone()], &evil, &[1]));
    let more = [pays(HTLC, &stranger(1)), pays(HTLC + 1, &stranger(2)), home.clone()];
    closed.all_refused(ELSEWHERE, &closed.requests(&coins, &more, &[0, 2]));
    let fourth =
        [pays(HTLC, &stranger(1)), pays(HTLC, &stranger(2)), home.clone(), pays(1_000, &stranger(3))];
    closed.all_refused(ELSEWHERE, &closed.requests(&coins, &fourth, &[0, 1, 2]));
    // Our coin's value is ours: what it brings beyond our outputs is fee, and limited, whatever is claimed of another input.
    let mut lie = coins.clone();
    lie[1].spent.value = sat(90_000_000);
    let taken = [pays(HTLC, &stranger(1)), pays(90_000_000, &stranger(666)), home.clone()];
    let rich = [lie[0].clone(), lie[1].clone(), closed.wallet(5, 80_000_000)];
    closed.all_refused("fee-cap", &closed.requests(&rich, &taken, &[2]));

    let honest = [pays(HTLC, &stranger(1)), pays(HTLC, &stranger(2)), home];
    closed.all_signed(&closed.requests(&coins, &honest, &[0, 1, 2]));
}
