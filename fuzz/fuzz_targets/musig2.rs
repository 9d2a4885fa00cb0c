//! A MuSig2 session as a client asks for it, from its bytes on the wire.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use prost::Message as _;
use strongroom_fuzz::day::{self, Call};
use strongroom_policy::{KeyLocator, Network};
use strongroom_proto::signrpc::MuSig2SessionRequest;
use strongroom_signer::keyring::{CreateSession, Keyring, Seed, SessionFields, SessionId, SessionLimits};

/// Of no node.
const TPRV: &str = "tprv8ZgxMBicQKsPfEA1jwTzAXJM5eAUTsbHipBft7dCB7a698kEvd6Yd7cmQusrq49SDYR9xazBRk5APYNreHsUWXNXCToac5TyTDB2Sp2vDiC";

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    let seed = Seed::from_extended_key(TPRV, Network::Regtest).expect("an extended key");
    let limits = SessionLimits { sessions: 4, lifetime: Duration::from_secs(60) };
    Keyring::open(&seed, Network::Regtest, limits).expect("its keys")
});

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let sessions = day::calls().into_iter().filter_map(|call| match call {
        Call::CreateSession(asked) => Some(asked),
        _ => None,
    });
    // Both versions, and the tweaks that lnd leaves out.
    sessions.flat_map(|asked| {
        let mut old = asked.clone();
        old.version = 1;
        for key in &mut old.all_signer_pubkeys {
            key.remove(0);
        }
        let tweak = strongroom_proto::signrpc::TweakDesc { tweak: vec![5; 32], is_x_only: true };
        let tweaked = MuSig2SessionRequest { taproot_tweak: None, tweaks: vec![tweak; 3], ..asked.clone() };
        let nonce = MuSig2SessionRequest { pregenerated_local_nonce: vec![3; 97], ..asked.clone() };
        [asked, old, tweaked, nonce].map(|asked| asked.encode_to_vec())
    })
}

fn run(input: &[u8]) {
    let session = SessionId::from_slice(&input[..input.len().min(32)]);
    if let Ok(session) = session {
        assert!(
            KEYRING.musig2_sign_request(session, &input[32..], true).is_err(),
            "a session that nobody made"
        );
        assert!(KEYRING.musig2_register_nonces(session, &[input]).is_err());
        assert!(KEYRING.musig2_register_combined_nonce(session, input).is_err());
        assert!(KEYRING.musig2_combine(session, &[input]).is_err());
    }
    let Ok(asked) = MuSig2SessionRequest::decode(input) else { return };
    let key = asked.key_loc.unwrap_or_default();
    let slices = |values: &'_ [Vec<u8>]| values.iter().map(Vec::len).collect::<Vec<_>>();
    let fields = SessionFields {
        version: asked.version,
        key: KeyLocator { family: key.key_family as u32, index: key.key_index as u32 },
        all_signer_pubkeys: asked.all_signer_pubkeys.iter().map(Vec::as_slice).collect(),
        other_signer_public_nonces: asked.other_signer_public_nonces.iter().map(Vec::as_slice).collect(),
        tweaks: asked.tweaks.iter().map(|tweak| (tweak.tweak.as_slice(), tweak.is_x_only)).collect(),
        taproot_tweak: asked.taproot_tweak.as_ref().map(|t| (t.script_root.as_slice(), t.key_spend_only)),
        pregenerated_local_nonce: &asked.pregenerated_local_nonce,
    };
    let Ok(create) = CreateSession::parse(&fields) else { return };
    assert!(slices(&asked.other_signer_public_nonces).iter().all(|length| *length == 66));
    let request = KEYRING.musig2_create_request(create);
    assert_eq!(request.ask().pregenerated_nonce, !asked.pregenerated_local_nonce.is_empty());
    let again = KEYRING.musig2_create_request(CreateSession::parse(&fields).expect("as before"));
    assert_eq!(request.digest(), again.digest());
}

strongroom_fuzz::target!(seeds, run);
