//! Whose each output is.

use bitcoin::Script;
use strongroom_policy::OutputFact;
use strongroom_policy::case::Destination;

use super::Scene;

/// Every output, with the owner that the kind of transaction tells, or else its own script.
pub(super) fn facts(scene: &Scene<'_>, owned: &[(usize, Destination)]) -> Vec<OutputFact> {
    let mut owned = owned.iter().peekable();
    scene
        .request
        .transaction()
        .output
        .iter()
        .enumerate()
        .map(|(index, output)| {
            let told = owned.next_if(|(at, _)| *at == index).map(|(_, to)| *to);
            OutputFact {
                amount: output.value,
                script_pubkey: output.script_pubkey.clone(),
                to: told.unwrap_or_else(|| owner(scene, &output.script_pubkey)),
            }
        })
        .collect()
}

/// Whose a script is by derivation alone.
pub(super) fn owner(scene: &Scene<'_>, script: &Script) -> Destination {
    if let Some(path) = scene.accounts.find_script(script) {
        return Destination::OwnWallet(path);
    }
    if script.is_op_return() { Destination::Unspendable } else { Destination::Stranger }
}
