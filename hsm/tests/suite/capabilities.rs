//! The self-test against what is known of each module.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use strongroom_hsm::{Capability, Outcome, initialise};

use crate::bed::{AUDIT, isolated, pin};

#[test]
fn the_self_test_finds_what_the_module_can_do() {
    isolated("capabilities::the_self_test_finds_what_the_module_can_do", |bed| {
        let made = initialise(&bed.uri, &pin(), "vault").ok().unwrap();
        let found = made.capabilities;
        assert_eq!(found.probes.len(), Capability::ALL.len());
        for capability in Capability::ALL {
            let absent = bed.kind.expected().absent.contains(&capability);
            assert_eq!(found.has(capability), !absent, "{capability}\n{found}");
        }
        for probe in &found.probes {
            match &probe.outcome {
                Outcome::Present { micros } => assert!(*micros < 1_000_000, "{found}"),
                Outcome::Absent { reason } => assert!(!reason.is_empty()),
            }
        }
        let shown = found.to_string();
        assert_eq!(shown.lines().count(), 1 + Capability::ALL.len());
        eprintln!("{shown}");
        // Nothing of the self-test stays on the token.
        made.token.close();
        let raw = bed.raw();
        for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            assert_eq!(raw.session.find_objects(&[Attribute::Class(class)]).unwrap().len(), 1);
        }
        raw.finish();
    });
}

/// Why [`strongroom_hsm::Token::sign_audit`] takes an array: modules sign anything.
#[test]
fn the_module_itself_does_not_enforce_a_digests_length() {
    isolated("capabilities::the_module_itself_does_not_enforce_a_digests_length", |bed| {
        let _token = bed.initialise();
        let raw = bed.raw();
        let key = raw.only(ObjectClass::PRIVATE_KEY, AUDIT);
        let accepted: Vec<usize> = [0, 1, 20, 31, 32, 33, 48, 64]
            .into_iter()
            .filter(|length| raw.session.sign(&Mechanism::Ecdsa, key, &vec![1; *length]).is_ok())
            .collect();
        assert_eq!(accepted, bed.kind.expected().ecdsa_lengths);
    });
}
