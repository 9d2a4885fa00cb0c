use bitcoin::{Amount, ScriptBuf, Transaction};
use strongroom_policy::file::Allowed;

use super::commitments::{channel, commitment, htlc};
use super::*;
use crate::accounts::Accounts;

/// Accounts and allowlist that [`Places`] are made of.
pub(super) struct Home {
    pub(super) seed: Seed,
    accounts: Accounts,
    allowed: Allowed,
}

impl Home {
    pub(super) fn new() -> Self {
        let seed = Seed::new(1);
        let entry = format!(
            "\n[[allowlist]]\nlabel = \"reserve\"\nscript = \"{}\"\n",
            Self::reserve().to_hex_string()
        );
        let text = Profile::Cautious.render(strongroom_policy::Network::Regtest) + &entry;
        let allowed = Policy::from_toml(&text).unwrap().allowlist().clone();
        Self { accounts: seed.accounts(), seed, allowed }
    }

    pub(super) fn places(&self) -> Places<'_> {
        Places { accounts: &self.accounts, allowed: &self.allowed, network: Network::Regtest }
    }

    /// One of our own addresses.
    pub(super) fn ours(&self) -> ScriptBuf {
        let key = self.seed.key(&wallet(84, 0, 3));
        ScriptBuf::new_p2wpkh(&bitcoin::CompressedPublicKey(key).wpubkey_hash())
    }

    /// On the allowlist.
    pub(super) fn reserve() -> ScriptBuf {
        stranger(77)
    }
}

/// Our side, the peer's, and the fee that is left.
fn close(ours: Option<(u64, &ScriptBuf)>, theirs: Option<u64>) -> Transaction {
    let ours = ours.map(|(amount, script)| pays(amount, script));
    let theirs = theirs.map(|amount| pays(amount, &stranger(5)));
    transaction(&[(channel().funding, 0xffff_ffff)], theirs.into_iter().chain(ours).collect(), 0)
}

/// A node whose channel has 6,000,000 sat of ours and 3,996,530 of the peer's.
fn with_channel(node: PublicKey, htlcs: Vec<HtlcFacts>) -> Vls {
    let mut vls = Vls::new(limits(), Network::Regtest, node);
    vls.learn(vls.learns(&commitment(9, 6_000_000, htlcs)));
    vls
}

const THEIRS: u64 = 10_000_000 - 6_000_000 - 2_810 - 660;

pub(super) fn denied(node: PublicKey) -> Vec<(&'static str, Vec<Violation>)> {
    let home = Home::new();
    let ours = home.ours();
    let vls = with_channel(node, Vec::new());
    let pending = with_channel(node, vec![htlc(1, 20_000)]);
    let peers = ChannelFacts { we_funded: None, ..channel() };
    let unknown = ChannelFacts { funding: outpoint(8), ..channel() };
    let ask = |facts: &ChannelFacts, close: &Transaction| vls.mutual_close(facts, close, home.places());
    let honest = close(Some((6_000_000, &ours)), Some(THEIRS));
    let value = "policy-mutual-value-matches-commitment";
    let fee = "policy-mutual-fee-range";
    let mut three = honest.clone();
    three.output.push(pays(400, &stranger(1)));
    vec![
        // Whoever pays the fee, the other side's balance must be right.
        (value, ask(&channel(), &close(Some((5_900_000, &ours)), Some(THEIRS + 60_001)))),
        (value, ask(&peers, &close(Some((5_939_999, &ours)), Some(THEIRS + 60_001)))),
        (value, ask(&peers, &close(None, Some(9_998_000)))),
        // Nor does a peer that pays for the close of a channel that we funded get what was the commitment's fee.
        (value, ask(&channel(), &close(Some((5_940_000, &ours)), Some(THEIRS + 60_001)))),
        (value, ask(&channel(), &close(Some((5_900_000, &ours)), Some(THEIRS - 60_001)))),
        (value, ask(&unknown, &honest)),
        (fee, ask(&channel(), &close(Some((6_000_000 + 3_400, &ours)), Some(THEIRS)))),
        (fee, ask(&channel(), &close(Some((5_600_000, &ours)), Some(THEIRS)))),
        (fee, ask(&channel(), &close(Some((6_100_000, &ours)), Some(THEIRS)))),
        (
            "policy-mutual-destination-allowlisted",
            ask(&channel(), &close(Some((6_000_000, &stranger(6))), Some(THEIRS))),
        ),
        ("policy-mutual-no-pending-htlcs", pending.mutual_close(&channel(), &honest, home.places())),
        ("policy-mutual-other", ask(&channel(), &three)),
    ]
}

#[test]
fn closes_that_vls_denies() {
    assert_denied(&denied(node(1)));
}

#[test]
fn honest_closes_pass() {
    let home = Home::new();
    let (ours, reserve) = (home.ours(), Home::reserve());
    let vls = with_channel(node(1), Vec::new());
    let peers = ChannelFacts { we_funded: None, ..channel() };
    for close in [
        // We pay, to our wallet or the allowlist; the peer pays.
        close(Some((6_000_000, &ours)), Some(THEIRS)),
        close(Some((6_000_000, &reserve)), Some(THEIRS)),
        close(Some((6_000_000, &ours)), Some(THEIRS - 1_000)),
        // More than the peer may differ by, of its own: whoever closes pays (option_simple_close).
        close(Some((6_002_810, &ours)), Some(THEIRS - 67_900)),
    ] {
        for facts in [channel(), peers.clone()] {
            assert_eq!(vls.mutual_close(&facts, &close, home.places()), [], "{close:?}");
        }
    }
    // We pay 300 sat/vB for the close of a channel that the peer funded.
    let theirs = ChannelFacts { we_funded: Some(false), ..channel() };
    let dear = close(Some((6_000_000 - 57_900, &ours)), Some(THEIRS + 2_810));
    assert_eq!(vls.mutual_close(&theirs, &dear, home.places()), []);
    // The peer has too little for an output, or we have.
    let mut alone = Vls::new(limits(), Network::Regtest, node(1));
    alone.learn(alone.learns(&commitment(9, 9_996_530, Vec::new())));
    let only = close(Some((9_998_000, &ours)), None);
    assert_eq!(alone.mutual_close(&channel(), &only, home.places()), []);
    let mut poor = Vls::new(limits(), Network::Regtest, node(1));
    let mut facts = commitment(9, 0, Vec::new());
    facts.channel.we_funded = None;
    poor.learn(poor.learns(&facts));
    assert_eq!(poor.mutual_close(&facts.channel, &close(None, Some(9_998_000)), home.places()), []);
    assert_eq!(facts.to_remote, Amount::ZERO);
}
