//! What a killed process leaves behind is swept; what it had finished is kept.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use strongroom_hsm::{SealContext, SealedBlob, initialise};

use crate::bed::{self, AUDIT, Bed, Kind, SEALING, isolated, pin};

fn count(bed: &Bed, label: &str) -> usize {
    let raw = bed.raw();
    let found = [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY]
        .map(|class| raw.find(class, label).len());
    raw.finish();
    found.iter().sum()
}

/// An AES key as somebody else would make one.
fn foreign(bed: &Bed, label: &str, id: &[u8]) {
    let raw = bed.raw();
    let template = [
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
        Attribute::Label(label.into()),
        Attribute::Id(id.into()),
    ];
    raw.session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    raw.finish();
}

#[test]
fn only_what_is_ours_and_unfinished_is_swept() {
    isolated("sweep::only_what_is_ours_and_unfinished_is_swept", |bed| {
        let unfinished = format!("{SEALING}, new");
        foreign(bed, "another product's key", b"1");
        // Nameless, but whole: somebody's.
        foreign(bed, "", b"");
        foreign(bed, &unfinished, b"vault");
        foreign(bed, &unfinished, b"vault");
        // A public audit key whose private half never got its name.
        let raw = bed.raw();
        let made = [Attribute::Token(false), Attribute::EcParams(P256.into())];
        let private = [Attribute::Token(false)];
        let pair = raw.session.generate_key_pair(&Mechanism::EccKeyPairGen, &made, &private);
        let public = pair.unwrap().0;
        let point = raw.session.get_attributes(public, &[AttributeType::EcPoint]).unwrap().remove(0);
        raw.session
            .create_object(&[
                Attribute::Class(ObjectClass::PUBLIC_KEY),
                Attribute::KeyType(KeyType::EC),
                Attribute::Token(true),
                Attribute::EcParams(P256.into()),
                point,
                Attribute::Label(AUDIT.into()),
            ])
            .unwrap();
        raw.finish();

        let made = initialise(&bed.uri, &pin(), "vault").ok().unwrap();
        assert_eq!(made.swept, 3);
        drop(made);
        assert_eq!(count(bed, &unfinished), 0);
        assert_eq!(count(bed, "another product's key"), 1);
        assert_eq!(count(bed, ""), 1);
        assert_eq!((count(bed, SEALING), count(bed, AUDIT)), (1, 2));

        // Opening sweeps too.
        foreign(bed, &unfinished, b"vault");
        drop(bed.open());
        assert_eq!(count(bed, &unfinished), 0);
    });
}

const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

#[test]
fn half_written_objects_are_swept_wherever_writing_stopped() {
    isolated("sweep::half_written_objects_are_swept_wherever_writing_stopped", |bed| {
        // kryoptic writes each object in one sqlite transaction: there are no halves.
        let Kind::SoftHsm = bed.kind else {
            return assert!(bed.dir.join("token.sql").is_file());
        };
        foreign(bed, &format!("{SEALING}, new"), b"vault");
        let raw = bed.raw();
        let audit = format!("{AUDIT}, new");
        let public = [
            Attribute::Token(true),
            Attribute::EcParams(P256.into()),
            Attribute::Label(audit.clone().into()),
        ];
        let private = [Attribute::Token(true), Attribute::Label(audit.into())];
        raw.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
        raw.finish();
        let store = fs::read_dir(bed.dir.join("tokens")).unwrap().next().unwrap().unwrap().path();
        let files = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
        let objects: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "object"))
            .filter(|path| !path.ends_with("token.object"))
            .collect();
        assert_eq!(objects.len(), 3);
        // Each of the three again under other names, cut at every eighth byte.
        for (index, object) in objects.iter().enumerate() {
            let bytes = fs::read(object).unwrap();
            for cut in (0..bytes.len()).step_by(8) {
                let name = format!("00000000-0000-0000-{index:04x}-{cut:012x}.object");
                let path = store.join(name);
                fs::write(&path, &bytes[..cut]).unwrap();
                // Without its lock file SoftHSM cannot destroy an object: one in four.
                if cut % 32 != 0 {
                    fs::write(path.with_extension("lock"), b"").unwrap();
                }
            }
        }
        let made = initialise(&bed.uri, &pin(), "vault").unwrap_or_else(|e| panic!("{e}"));
        eprintln!("{} objects swept", made.swept);
        assert!(made.swept > 3, "{}", made.swept);
        drop(made);
        assert_eq!((count(bed, SEALING), count(bed, AUDIT)), (1, 2));
        let again = initialise(&bed.uri, &pin(), "vault").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((again.swept, again.sealing_key_created), (0, false));
    });
}

#[test]
fn killed_at_any_moment_it_begins_again_and_loses_no_key() {
    let name = "sweep::killed_at_any_moment_it_begins_again_and_loses_no_key";
    if std::env::var_os("STRONGROOM_TEST_VICTIM").is_some() {
        // The victim: one start of an appliance, told to the survivor by a file.
        let dir = std::env::var_os(bed::DIR).unwrap();
        let uri = std::env::var("STRONGROOM_TEST_VICTIM").unwrap().parse().unwrap();
        let made = initialise(&uri, &pin(), "vault").unwrap_or_else(|error| panic!("{error}"));
        let context = SealContext::new("seed", "alice", 1, 0).unwrap();
        let blob = made.token.seal(&context, b"entropy").unwrap().to_bytes();
        let written = Path::new(&dir).join("blob.part");
        fs::write(&written, blob).unwrap();
        fs::rename(written, Path::new(&dir).join("blob")).unwrap();
        return;
    }
    isolated(name, |bed| {
        let context = SealContext::new("seed", "alice", 1, 0).unwrap();
        let (mut kills, mut swept, mut repaired) = (0, 0, 0);
        // How long one undisturbed start takes here; other work makes it longer, not shorter.
        let undisturbed = || {
            let began = Instant::now();
            assert!(victim(name, bed).wait().unwrap().success());
            began.elapsed()
        };
        let whole = undisturbed().min(undisturbed());
        assert!(bed.dir.join("blob").exists());
        assert_eq!(repair(bed), 0);
        let mut round = 0;
        while kills < 24 {
            assert!(round < 120, "only {kills} of {round} were killed in time");
            // A blank token two times in three, so that keys are being made when it dies.
            if round % 3 != 0 {
                blank(bed);
            }
            let mut child = victim(name, bed);
            std::thread::sleep(whole.mul_f64(0.2 + f64::from(round * 7 % 24) / 30.0));
            let _ = child.kill();
            kills += u32::from(!child.wait().unwrap().success());
            repaired += repair(bed);
            let made = initialise(&bed.uri, &pin(), "vault").unwrap_or_else(|e| panic!("{e}"));
            swept += made.swept;
            // What the victim sealed before it died opens: its key was not replaced.
            if let Ok(bytes) = fs::read(bed.dir.join("blob")) {
                assert!(!made.sealing_key_created, "round {round}");
                let blob = SealedBlob::from_bytes(&bytes).unwrap();
                assert_eq!(&*made.token.unseal(&context, &blob).unwrap(), b"entropy");
            }
            drop(made);
            assert_eq!((count(bed, SEALING), count(bed, AUDIT)), (1, 2), "round {round}");
            assert_eq!(count(bed, &format!("{SEALING}, new")), 0);
            drop(bed.open());
            round += 1;
        }
        eprintln!("{kills} kills, {swept} objects swept, {repaired} token heads restored");
    });
}

fn victim(name: &str, bed: &Bed) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("STRONGROOM_TEST_VICTIM", bed.uri.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Takes every key off the token, as if it were new.
fn blank(bed: &Bed) {
    let _ = fs::remove_file(bed.dir.join("blob"));
    let raw = bed.raw();
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for object in raw.session.find_objects(&[Attribute::Class(class)]).unwrap() {
            raw.session.destroy_object(object).unwrap();
        }
    }
    raw.finish();
}

/// SoftHSM cuts `token.object` to nothing and writes it again at every login: killed in
/// between, the token is lost, which no client can help. A copy puts it right.
fn repair(bed: &Bed) -> u32 {
    let Kind::SoftHsm = bed.kind else { return 0 };
    let store = fs::read_dir(bed.dir.join("tokens")).unwrap().next().unwrap().unwrap().path();
    let (head, copy) = (store.join("token.object"), bed.dir.join("token.object.copy"));
    if fs::metadata(&head).unwrap().len() > 0 {
        fs::copy(head, copy).unwrap();
        return 0;
    }
    fs::copy(copy, head).unwrap();
    1
}
