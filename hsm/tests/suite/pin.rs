//! A wrong PIN is refused once, whoever else is logged in, and never tried again.

use std::fs;
use std::process::Command;

use cryptoki::error::RvError;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use strongroom_hsm::{HsmError, Token};

use crate::bed::{Bed, Kind, code, isolated, isolated_with, pin, refused, wrong_pin};

/// OpenSC's spy module: passes every call on and writes it down.
const SPIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so",
    "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/pkcs11-spy.so",
];

#[test]
fn a_wrong_pin_is_tried_exactly_once() {
    let name = "pin::a_wrong_pin_is_tried_exactly_once";
    match Kind::under_test().expected().tries {
        // Counted by a spy between us and the module.
        None => {
            let spied = |command: &mut Command| {
                let spy = SPIES.iter().find(|path| fs::exists(path).unwrap_or(false));
                let spy = spy.unwrap_or_else(|| panic!("none of {SPIES:?}: apt-get install opensc"));
                command.env("PKCS11SPY", Kind::under_test().path()).env("STRONGROOM_TEST_MODULE_PATH", spy);
            };
            isolated_with(name, spied, |bed| {
                let log = std::env::var_os("PKCS11SPY_OUTPUT").unwrap();
                let logins = || fs::read_to_string(&log).unwrap().matches("C_Login\n").count();
                drop(bed.initialise());
                let before = logins();
                assert!(before > 0, "the spy sees logins");
                assert!(matches!(refused(Token::open(&bed.uri, &wrong_pin())), HsmError::WrongPin));
                assert_eq!(logins(), before + 1);
                bed.open();
                assert_eq!(logins(), before + 2);
            });
        }
        // Counted by the token: it leaves as many tries as if one had been made.
        Some(tries) => isolated(name, |bed| {
            assert!(matches!(refused(Token::open(&bed.uri, &wrong_pin())), HsmError::WrongPin));
            assert_eq!(raw_tries(bed), tries - 1);
        }),
    }
}

/// How often the module itself calls a wrong PIN wrong, up to 25 times, until it locks.
fn raw_tries(bed: &Bed) -> usize {
    let raw = bed.raw_logged_out();
    let wrong = AuthPin::from("wrong horse");
    let refusals = (0..25).map(|_| code(raw.session.login(UserType::User, Some(&wrong))));
    let tries = refusals.take_while(|refusal| *refusal == RvError::PinIncorrect).count();
    raw.finish();
    tries
}

#[test]
fn the_module_counts_tries_as_expected() {
    isolated("pin::the_module_counts_tries_as_expected", |bed| {
        assert_eq!(raw_tries(bed), bed.kind.expected().tries.unwrap_or(25));
    });
}

#[test]
fn a_token_that_locks_is_reported_locked() {
    isolated("pin::a_token_that_locks_is_reported_locked", |bed| {
        drop(bed.initialise());
        let answers: Vec<HsmError> = (0..25).map(|_| refused(Token::open(&bed.uri, &wrong_pin()))).collect();
        let tries = bed.kind.expected().tries.unwrap_or(25);
        let (wrong, locked) = answers.split_at(tries);
        assert!(wrong.iter().all(|error| matches!(error, HsmError::WrongPin)), "{answers:?}");
        assert!(locked.iter().all(|error| matches!(error, HsmError::PinLocked)), "{answers:?}");
        let right = Token::open(&bed.uri, &pin());
        match bed.kind.expected().tries {
            Some(_) => assert!(matches!(refused(right), HsmError::PinLocked)),
            None => assert!(right.is_ok()),
        }
    });
}

#[test]
fn an_open_token_lends_its_login_to_nobody() {
    isolated("pin::an_open_token_lends_its_login_to_nobody", |bed| {
        let token = bed.initialise();
        for pin in [pin(), wrong_pin()] {
            assert!(matches!(refused(Token::open(&bed.uri, &pin)), HsmError::AlreadyOpen));
        }
        token.heartbeat().unwrap();
        token.close();
        // Logged in by somebody else in this process, past this crate.
        let raw = bed.raw();
        assert!(matches!(refused(Token::open(&bed.uri, &wrong_pin())), HsmError::WrongPin));
        drop(raw);
        bed.open();
    });
}

#[test]
fn a_module_without_its_configuration_is_absent() {
    isolated("pin::a_module_without_its_configuration_is_absent", |bed| {
        let conf = std::env::var_os(bed.kind.variable()).unwrap();
        fs::rename(&conf, bed.dir.join("elsewhere")).unwrap();
        let error = refused(Token::open(&bed.uri, &pin()));
        assert!(error.is_absence(), "{error}");
        match bed.kind {
            Kind::SoftHsm => assert!(error.to_string().contains("configuration"), "{error}"),
            // It starts without a slot.
            Kind::Kryoptic => assert!(matches!(error, HsmError::NoToken { .. }), "{error}"),
        }
        fs::rename(bed.dir.join("elsewhere"), conf).unwrap();
        drop(bed.initialise());
    });
}

#[test]
fn no_error_shows_a_pin() {
    isolated("pin::no_error_shows_a_pin", |bed| {
        let error = refused(Token::open(&bed.uri, &wrong_pin()));
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("horse"), "{shown}");
    });
}

#[test]
fn the_token_must_be_named_rightly() {
    isolated("pin::the_token_must_be_named_rightly", |bed| {
        let module = bed.uri.module_path().display();
        let open = |uri: String| refused(Token::open(&uri.parse().unwrap(), &pin()));
        let error = open(format!("pkcs11:token=other?module-path={module}"));
        assert!(matches!(error, HsmError::NoToken { .. }), "{error}");
        assert!(error.to_string().contains("\"test\""), "it says what is there: {error}");
        let error = open(format!("pkcs11:token=test;serial=00?module-path={module}"));
        assert!(matches!(error, HsmError::NoToken { .. }), "{error}");
        let error = open("pkcs11:token=test?module-path=/nowhere/m.so".into());
        assert!(matches!(error, HsmError::NoModule { .. }), "{error}");
        assert!(error.to_string().contains("/nowhere/m.so"));
        let error = open("pkcs11:token=test?module-path=/etc/passwd".into());
        assert!(matches!(error, HsmError::NoModule { .. }), "{error}");
        let error = refused(Token::open(&bed.uri, &pin()));
        assert!(matches!(error, HsmError::NotInitialised(_)), "{error}");
    });
}
