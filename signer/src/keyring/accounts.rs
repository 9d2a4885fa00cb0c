//! The public side of a node's keys, as lnd exports and imports it.

use bitcoin::base58;
use bitcoin::bip32::Xpub;
use serde::Serialize;
use strongroom_lightning::AccountPath;
use strongroom_policy::Network;

/// Extended public key of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountXpub {
    /// Path of the account.
    pub path: AccountPath,
    /// Its key in BIP32 form.
    pub xpub: Xpub,
    network: Network,
}

impl AccountXpub {
    pub(super) fn new(path: AccountPath, xpub: Xpub, network: Network) -> Self {
        Self { path, xpub, network }
    }

    /// The key as lnd's wallet writes it: version bytes by SLIP-132 for 49' and 84', the network's own for the rest.
    pub fn to_lnd_text(&self) -> String {
        let mut bytes = self.xpub.encode();
        bytes[..4].copy_from_slice(&version(self.path.purpose, self.network).to_be_bytes());
        base58::encode_check(&bytes)
    }

    /// The name lnd gives the account.
    pub fn name(&self) -> String {
        match self.path.account {
            0 => "default".to_owned(),
            account => format!("act:{account}"),
        }
    }

    fn address_type(&self) -> &'static str {
        match self.path.purpose {
            49 => "HYBRID_NESTED_WITNESS_PUBKEY_HASH",
            86 => "TAPROOT_PUBKEY",
            _ => "WITNESS_PUBKEY_HASH",
        }
    }
}

/// btcwallet's `HDVersion` and chaincfg's `HDPublicKeyID`; simnet has no version of its own for 49' and 84' and takes
/// mainnet's.
fn version(purpose: u32, network: Network) -> u32 {
    match (purpose, network) {
        (49, Network::Mainnet | Network::Simnet) => 0x049d_7cb2,
        (84, Network::Mainnet | Network::Simnet) => 0x04b2_4746,
        (49, _) => 0x044a_5262,
        (84, _) => 0x045f_1cf6,
        (_, Network::Mainnet) => 0x0488_b21e,
        (_, Network::Simnet) => 0x0420_bd3a,
        _ => 0x0435_87cf,
    }
}

/// The `walletrpc.Account` of lnd, with its fields in lnd's order.
#[derive(Serialize)]
struct ExportedAccount {
    name: String,
    address_type: &'static str,
    extended_public_key: String,
    master_key_fingerprint: &'static str,
    derivation_path: String,
    external_key_count: u32,
    internal_key_count: u32,
    watch_only: bool,
}

#[derive(Serialize)]
struct Exported {
    accounts: Vec<ExportedAccount>,
}

/// What `lncli wallet accounts list` prints and `lncli createwatchonly` reads.
pub(super) fn to_json(accounts: &[AccountXpub]) -> Result<String, serde_json::Error> {
    let accounts = accounts
        .iter()
        .map(|account| ExportedAccount {
            name: account.name(),
            address_type: account.address_type(),
            extended_public_key: account.to_lnd_text(),
            // As lnd itself leaves it.
            master_key_fingerprint: "",
            derivation_path: account.path.to_string(),
            external_key_count: 0,
            internal_key_count: 0,
            watch_only: false,
        })
        .collect();
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    Exported { accounts }.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, indent))?;
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
