//! Turns a blank token into one with a label and PINs, as a development setup needs it.
//! Production HSMs are provisioned with their vendor's tools, in a ceremony.

use std::path::Path;

use cryptoki::session::UserType;
use cryptoki::slot::Slot;

use crate::error::HsmError;
use crate::module::{Entered, Module, gone_or};
use crate::pin::Pin;
use crate::uri::TokenUri;

/// The longest token label, in bytes (PKCS#11 CK_TOKEN_INFO).
const MAX_LABEL: usize = 32;

/// Initialises the module's first blank token with a label, its security officer's PIN and its
/// user PIN, and returns the URI that names it. A token that is not blank is never touched.
///
/// # Errors
/// [`HsmError::Limit`] unless the label has 1 to 32 bytes; [`HsmError::LabelTaken`];
/// [`HsmError::NoToken`] if no token is blank; the module's own refusals, for example of a PIN
/// it finds too short.
pub fn provision_token(
    module_path: &Path,
    label: &str,
    so_pin: &Pin,
    pin: &Pin,
) -> Result<TokenUri, HsmError> {
    let uri = TokenUri::new(module_path, label).map_err(|error| HsmError::NoModule {
        path: module_path.display().to_string(),
        reason: error.to_string(),
    })?;
    if !(1..=MAX_LABEL).contains(&label.len()) {
        return Err(HsmError::Limit {
            what: "the token label's length in bytes",
            value: label.len(),
            limit: MAX_LABEL,
        });
    }
    let module = Module::load(module_path)?;
    let mut entered = module.enter()?;
    let provisioned = provision(&entered, &uri, label, so_pin, pin);
    entered.leave_if_unused();
    let serial = provisioned?;
    Ok(uri.with_serial(serial))
}

fn provision(
    entered: &Entered<'_>,
    uri: &TokenUri,
    label: &str,
    so_pin: &Pin,
    pin: &Pin,
) -> Result<String, HsmError> {
    match entered.find(uri) {
        Err(HsmError::NoToken { .. }) => {}
        Ok(_) | Err(HsmError::Ambiguous { .. }) => {
            return Err(HsmError::LabelTaken(label.to_owned()));
        }
        Err(other) => return Err(other),
    }
    let pkcs11 = entered.pkcs11;
    let blank = |slot: &Slot| pkcs11.get_token_info(*slot).is_ok_and(|token| !token.token_initialized());
    let slots = pkcs11.get_slots_with_token().map_err(gone_or)?;
    let slot = slots.into_iter().find(blank).ok_or_else(|| HsmError::NoToken {
        uri: "a blank token".to_owned(),
        seen: "none that is blank".to_owned(),
    })?;
    pkcs11.init_token(slot, &so_pin.to_auth_pin(), label)?;
    {
        let session = pkcs11.open_rw_session(slot)?;
        session.login(UserType::So, Some(&so_pin.to_auth_pin()))?;
        let set = session.init_pin(&pin.to_auth_pin());
        session.logout()?;
        set?;
    }
    Ok(pkcs11.get_token_info(slot)?.serial_number().to_owned())
}
