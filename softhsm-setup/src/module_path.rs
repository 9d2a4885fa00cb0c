//! Where SoftHSM's module lies.

use std::path::{Path, PathBuf};

use crate::SetupError;

/// Where Debian and its relatives put it, and where a build from source does.
const USUAL: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// The module at `named`, or at the first usual place that has one.
///
/// # Errors
/// [`SetupError::NoModule`] or [`SetupError::NoSoftHsm`], which says how to install it.
pub fn find_module(named: Option<&Path>) -> Result<PathBuf, SetupError> {
    match named {
        Some(path) => std::path::absolute(path)
            .ok()
            .filter(|path| path.is_file())
            .ok_or_else(|| SetupError::NoModule(path.to_owned())),
        None => find_among(&USUAL),
    }
}

fn find_among(places: &[&str]) -> Result<PathBuf, SetupError> {
    let found = places.iter().map(PathBuf::from).find(|path| path.is_file());
    found.ok_or_else(|| SetupError::NoSoftHsm(places.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_softhsm_is_named_with_its_package() {
        let error = find_among(&["/nowhere/libsofthsm2.so"]).unwrap_err().to_string();
        assert!(error.contains("SoftHSM is missing") && error.contains("apt-get install softhsm2"));
        assert!(error.contains("/nowhere/libsofthsm2.so"));
    }

    #[test]
    fn a_named_module_must_be_there() {
        let error = find_module(Some(Path::new("/nowhere/m.so"))).unwrap_err();
        assert!(matches!(error, SetupError::NoModule(_)));
    }
}
