//! Destinations that may be paid without limit.

use std::collections::HashMap;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Script, ScriptBuf};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{Places, PolicyError};
use crate::network::Network;

/// One destination: an address, or an output script in hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowlistEntry {
    /// What people call it.
    pub label: Spanned<String>,
    /// An address of the policy's network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Spanned<String>>,
    /// The output script, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<Spanned<String>>,
}

/// The allowlist, ready to look scripts up in.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    labels: HashMap<ScriptBuf, String>,
}

impl Allowed {
    /// The label of a script on the list.
    pub fn label(&self, script: &Script) -> Option<&str> {
        self.labels.get(script).map(String::as_str)
    }

    /// How many destinations it has.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub(crate) fn read(
        entries: &[AllowlistEntry],
        network: Network,
        at: &Places,
    ) -> Result<Self, PolicyError> {
        let mut labels = HashMap::with_capacity(entries.len());
        for entry in entries {
            let label = entry.label.get_ref();
            if label.trim().is_empty() || label.chars().count() > 64 || label.chars().any(char::is_control) {
                let allowed = "allowed: 1 to 64 printable characters";
                return Err(at.error(entry.label.span(), format!("given {label:?}; {allowed}")));
            }
            let (script, given) = match (&entry.address, &entry.script) {
                (Some(address), None) => (of_address(address, network, at)?, address),
                (None, Some(hex)) => (of_hex(hex, at)?, hex),
                _ => {
                    let allowed = "allowed: exactly one of address and script";
                    return Err(at.error(entry.label.span(), format!("given entry {label:?}; {allowed}")));
                }
            };
            if let Some(twin) = labels.insert(script, label.clone()) {
                let problem = format!(
                    "given {:?}; allowed: each destination once, it is {twin:?} already",
                    given.get_ref()
                );
                return Err(at.error(given.span(), problem));
            }
        }
        Ok(Self { labels })
    }
}

fn of_address(given: &Spanned<String>, network: Network, at: &Places) -> Result<ScriptBuf, PolicyError> {
    let refuse = |why: &str| {
        let problem = format!("given {:?}: {why}; allowed: an address of {network}", given.get_ref());
        Err(at.error(given.span(), problem))
    };
    let Some(address_network) = network.address_network() else {
        return refuse("simnet addresses are not read, give the script instead");
    };
    let address: Address<NetworkUnchecked> = match given.get_ref().parse() {
        Ok(address) => address,
        Err(_) => return refuse("not a bitcoin address"),
    };
    match address.require_network(address_network) {
        Ok(address) => Ok(address.script_pubkey()),
        Err(_) => refuse("an address of another network"),
    }
}

fn of_hex(given: &Spanned<String>, at: &Places) -> Result<ScriptBuf, PolicyError> {
    let refuse = |why: &str| {
        let problem = format!("given {:?}: {why}; allowed: a standard output script in hex", given.get_ref());
        Err(at.error(given.span(), problem))
    };
    let Ok(script) = ScriptBuf::from_hex(given.get_ref()) else {
        return refuse("not hex");
    };
    let standard = script.is_p2pkh() || script.is_p2sh() || script.is_p2pk() || script.is_witness_program();
    if !standard || script.is_op_return() {
        return refuse("no script that coins are kept in");
    }
    Ok(script)
}
