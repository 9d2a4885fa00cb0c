//! Names a token by PKCS#11 URI (RFC 7512), restricted to what can be honoured.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cryptoki::slot::TokenInfo;

/// A PKCS#11 URI that names one token of one module.
///
/// `module-path` must be given and absolute; at least one of `token`, `serial` or `slot-id`
/// must pick the token. `manufacturer` and `model` narrow the choice. Everything else is
/// refused, because an attribute that is silently ignored is a check that did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUri {
    module_path: PathBuf,
    token: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    slot_id: Option<u64>,
}

/// Why a text is not a [`TokenUri`]. Attribute *values* are not repeated for attributes that
/// may carry a PIN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenUriError {
    /// The scheme is missing.
    #[error(
        "a token is named by a pkcs11: URI, such as \"pkcs11:token=NAME?module-path=/path/to/module.so\""
    )]
    Scheme,
    /// `pin-value` or `pin-source` was given.
    #[error(
        "{0} is refused in a PKCS#11 URI: the PIN comes from a systemd credential, an inherited file descriptor or a prompt"
    )]
    PinInUri(&'static str),
    /// An attribute this product does not honour.
    #[error(
        "attribute {0:?} is not supported in a token's URI; allowed are token, serial, slot-id, manufacturer, model and (after ?) module-path"
    )]
    UnknownAttribute(String),
    /// An attribute without `=value`.
    #[error("attribute {0:?} has no value")]
    NoValue(String),
    /// An attribute given twice.
    #[error("attribute {0} is given twice")]
    Repeated(&'static str),
    /// A `%` that two hexadecimal digits do not follow, or bytes that are not UTF-8.
    #[error("the value of {0} is not percent-encoded UTF-8")]
    Encoding(&'static str),
    /// A character that RFC 7512 requires to be percent-encoded.
    #[error("character {character:?} in the value of {attribute} must be percent-encoded")]
    Character {
        /// The attribute.
        attribute: &'static str,
        /// The character.
        character: char,
    },
    /// `slot-id` is not a decimal number.
    #[error("slot-id {0:?} is not a number from 0 to 18446744073709551615")]
    SlotId(String),
    /// No `module-path`.
    #[error("module-path is missing: add ?module-path=/path/to/module.so")]
    NoModulePath,
    /// A relative `module-path`, which the loader would search for.
    #[error("module-path {0:?} is not absolute")]
    RelativeModulePath(String),
    /// Nothing that picks a token.
    #[error("the URI picks no token: give token=, serial= or slot-id=")]
    NoToken,
}

impl TokenUri {
    /// A URI from a module's path and a token's label.
    ///
    /// # Errors
    /// [`TokenUriError::RelativeModulePath`] if the path is not absolute,
    /// [`TokenUriError::Encoding`] if it is not UTF-8.
    pub fn new(module_path: &Path, label: &str) -> Result<Self, TokenUriError> {
        let text = module_path.to_str().ok_or(TokenUriError::Encoding("module-path"))?;
        if !module_path.is_absolute() {
            return Err(TokenUriError::RelativeModulePath(text.to_owned()));
        }
        Ok(Self {
            module_path: module_path.to_owned(),
            token: Some(label.to_owned()),
            serial: None,
            manufacturer: None,
            model: None,
            slot_id: None,
        })
    }

    /// The module's absolute path.
    pub fn module_path(&self) -> &Path {
        &self.module_path
    }

    /// The same, narrowed to the token with this serial number.
    pub(crate) fn with_serial(mut self, serial: String) -> Self {
        self.serial = Some(serial);
        self
    }

    /// Whether a slot and the token in it are the ones named.
    pub(crate) fn matches(&self, slot_id: u64, token: &TokenInfo) -> bool {
        let same =
            |wanted: &Option<String>, seen: &str| wanted.as_deref().is_none_or(|wanted| wanted == seen);
        self.slot_id.is_none_or(|wanted| wanted == slot_id)
            && same(&self.token, token.label())
            && same(&self.serial, token.serial_number())
            && same(&self.manufacturer, token.manufacturer_id())
            && same(&self.model, token.model())
    }
}

impl FromStr for TokenUri {
    type Err = TokenUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("pkcs11:").ok_or(TokenUriError::Scheme)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let (mut token, mut serial, mut manufacturer, mut model) = (None, None, None, None);
        let (mut slot_id, mut module_path) = (None, None);

        for attribute in path.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = split(attribute)?;
            match name {
                "token" => once("token", &mut token, value)?,
                "serial" => once("serial", &mut serial, value)?,
                "manufacturer" => once("manufacturer", &mut manufacturer, value)?,
                "model" => once("model", &mut model, value)?,
                "slot-id" => once("slot-id", &mut slot_id, value)?,
                _ => return Err(refuse(name)),
            }
        }
        for attribute in query.unwrap_or("").split('&').filter(|part| !part.is_empty()) {
            let (name, value) = split(attribute)?;
            match name {
                "module-path" => once("module-path", &mut module_path, value)?,
                _ => return Err(refuse(name)),
            }
        }

        let module_path: String = module_path.ok_or(TokenUriError::NoModulePath)?;
        if !module_path.starts_with('/') {
            return Err(TokenUriError::RelativeModulePath(module_path));
        }
        let slot_id = match slot_id {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| TokenUriError::SlotId(digits))?)
            }
            Some(other) => return Err(TokenUriError::SlotId(other)),
            None => None,
        };
        if token.is_none() && serial.is_none() && slot_id.is_none() {
            return Err(TokenUriError::NoToken);
        }
        Ok(Self { module_path: module_path.into(), token, serial, manufacturer, model, slot_id })
    }
}

impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "pkcs11:";
        let named = [
            ("token", &self.token),
            ("serial", &self.serial),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                write!(f, "{separator}{name}={}", Encoded(value))?;
                separator = ";";
            }
        }
        if let Some(slot_id) = self.slot_id {
            write!(f, "{separator}slot-id={slot_id}")?;
        }
        // The path was UTF-8 when it was parsed.
        write!(f, "?module-path={}", Encoded(&self.module_path.to_string_lossy()))
    }
}

fn split(attribute: &str) -> Result<(&str, &str), TokenUriError> {
    attribute.split_once('=').ok_or_else(|| {
        // Not echoed whole: it may be a mistyped pin-value.
        TokenUriError::NoValue(attribute.chars().take(16).collect())
    })
}

fn refuse(name: &str) -> TokenUriError {
    match name {
        "pin-value" => TokenUriError::PinInUri("pin-value"),
        "pin-source" => TokenUriError::PinInUri("pin-source"),
        other => TokenUriError::UnknownAttribute(other.to_owned()),
    }
}

fn once(name: &'static str, place: &mut Option<String>, value: &str) -> Result<(), TokenUriError> {
    if place.is_some() {
        return Err(TokenUriError::Repeated(name));
    }
    *place = Some(decode(name, value)?);
    Ok(())
}

/// Characters that RFC 7512 lets stand for themselves before or after the `?`.
fn may_stand_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&/?|".contains(&byte)
}

fn decode(attribute: &'static str, value: &str) -> Result<String, TokenUriError> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            if !may_stand_for_itself(byte) {
                let at = value.len() - rest.len() - 1;
                let character = value.get(at..).and_then(|tail| tail.chars().next());
                return Err(TokenUriError::Character {
                    attribute,
                    character: character.unwrap_or(char::REPLACEMENT_CHARACTER),
                });
            }
            bytes.push(byte);
            continue;
        }
        let digit = |digit: Option<u8>| digit.and_then(|b| char::from(b).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(TokenUriError::Encoding(attribute)),
        }
    }
    String::from_utf8(bytes).map_err(|_| TokenUriError::Encoding(attribute))
}

struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            // Narrower than what is read, so that what is written is right everywhere.
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<TokenUri, TokenUriError> {
        text.parse()
    }

    #[test]
    fn refuses_what_it_cannot_honour() {
        let module = "module-path=/m.so";
        let cases = [
            ("softhsm".to_owned(), TokenUriError::Scheme),
            ("PKCS11:token=a?module-path=/m.so".into(), TokenUriError::Scheme),
            (format!("pkcs11:token=a?{module}&pin-value=1234"), TokenUriError::PinInUri("pin-value")),
            (format!("pkcs11:token=a;pin-value=1234?{module}"), TokenUriError::PinInUri("pin-value")),
            (format!("pkcs11:token=a?pin-source=file:/pin&{module}"), TokenUriError::PinInUri("pin-source")),
            (format!("pkcs11:token=a;object=key?{module}"), TokenUriError::UnknownAttribute("object".into())),
            (
                format!("pkcs11:token=a?{module}&module-name=softhsm2"),
                TokenUriError::UnknownAttribute("module-name".into()),
            ),
            (format!("pkcs11:token?{module}"), TokenUriError::NoValue("token".into())),
            (format!("pkcs11:token=a;token=b?{module}"), TokenUriError::Repeated("token")),
            (format!("pkcs11:token=%4?{module}"), TokenUriError::Encoding("token")),
            (format!("pkcs11:token=%zz?{module}"), TokenUriError::Encoding("token")),
            (format!("pkcs11:token=%FF?{module}"), TokenUriError::Encoding("token")),
            (
                format!("pkcs11:token=a b?{module}"),
                TokenUriError::Character { attribute: "token", character: ' ' },
            ),
            (
                format!("pkcs11:token=é?{module}"),
                TokenUriError::Character { attribute: "token", character: 'é' },
            ),
            (format!("pkcs11:slot-id=+1?{module}"), TokenUriError::SlotId("+1".into())),
            (format!("pkcs11:slot-id=?{module}"), TokenUriError::SlotId(String::new())),
            (
                format!("pkcs11:slot-id=18446744073709551616?{module}"),
                TokenUriError::SlotId("18446744073709551616".into()),
            ),
            ("pkcs11:token=a".into(), TokenUriError::NoModulePath),
            ("pkcs11:token=a?module-path=m.so".into(), TokenUriError::RelativeModulePath("m.so".into())),
            (format!("pkcs11:?{module}"), TokenUriError::NoToken),
            (format!("pkcs11:model=x?{module}"), TokenUriError::NoToken),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse(&text), Err(wanted), "{text}");
        }
    }

    #[test]
    fn a_refused_pin_is_not_repeated_in_the_error() {
        for text in ["pkcs11:token=a?module-path=/m.so&pin-value=987654", "pkcs11:pin-value=987654"] {
            let error = parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("987654"));
        }
    }

    #[test]
    fn decodes_percent_and_reads_what_p11tool_prints() {
        let uri = parse(
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=c2af09;token=a%3bb%26;slot-id=7\
             ?module-path=/usr/lib/softhsm/libsofthsm2.so",
        )
        .unwrap();
        assert_eq!(uri.token.as_deref(), Some("a;b&"));
        assert_eq!(uri.model.as_deref(), Some("SoftHSM v2"));
        assert_eq!(uri.slot_id, Some(7));
        assert_eq!(uri.module_path(), Path::new("/usr/lib/softhsm/libsofthsm2.so"));
    }

    proptest! {
        #[test]
        fn roundtrip_display(label in "\\PC{0,40}", serial in proptest::option::of("\\PC{0,16}")) {
            let mut uri = TokenUri::new(Path::new("/opt/ä b/m%.so"), &label).unwrap();
            uri.serial = serial;
            prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
        }

        #[test]
        fn never_panics(text in "(pkcs11:)?\\PC{0,80}") {
            let _ = parse(&text);
        }
    }
}
