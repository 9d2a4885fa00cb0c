//! Module or token vanish under an open token, and come back.

use std::fs;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use strongroom_hsm::{HsmError, SealContext, SealedBlob, Token, TokenUri};

use crate::bed::{self, Bed, Kind, isolated, isolated_with, peer, pin, refused};

fn context() -> SealContext<'static> {
    SealContext::new("seed", "alice", 1, 0).unwrap()
}

/// Every way of using a token says that it is gone, also when asked again.
fn assert_gone(token: &Token, blob: &SealedBlob) {
    for _ in 0..2 {
        let answers = [
            token.heartbeat().err(),
            token.seal(&context(), b"x").err(),
            token.unseal(&context(), blob).err(),
            token.sign_audit(&[1; 32]).err(),
            token.random(&mut [0; 32]).err(),
            token.self_test().err(),
        ];
        for answer in answers {
            assert!(matches!(answer, Some(HsmError::Gone(_))), "{answer:?}");
        }
    }
}

/// What a token is stored in, and where it is moved.
fn store(bed: &Bed) -> (PathBuf, PathBuf) {
    let name = match bed.kind {
        Kind::SoftHsm => "tokens",
        Kind::Kryoptic => "token.sql",
    };
    (bed.dir.join(name), bed.dir.join("elsewhere"))
}

#[test]
fn a_store_that_is_taken_away_is_noticed_and_its_return_too() {
    isolated("gone::a_store_that_is_taken_away_is_noticed_and_its_return_too", |bed| {
        let mut token = bed.initialise();
        let blob = token.seal(&context(), b"entropy").unwrap();
        let (here, elsewhere) = store(bed);
        for _ in 0..3 {
            fs::rename(&here, &elsewhere).unwrap();
            if !bed.kind.expected().misses_its_store {
                token.heartbeat().unwrap();
                assert_eq!(&*token.unseal(&context(), &blob).unwrap(), b"entropy");
                fs::rename(&elsewhere, &here).unwrap();
                continue;
            }
            assert_gone(&token, &blob);
            // While it is away it cannot be opened; that is no wrong PIN.
            let error = refused(Token::open(&bed.uri, &pin()));
            assert!(error.is_absence(), "{error}");
            fs::rename(&elsewhere, &here).unwrap();
            // What is lost stays lost, although the store is back.
            assert_gone(&token, &blob);
            token = bed.open();
            assert_eq!(&*token.unseal(&context(), &blob).unwrap(), b"entropy");
        }
    });
}

#[test]
fn a_dropped_dead_token_does_not_harm_its_successor() {
    let name = "gone::a_dropped_dead_token_does_not_harm_its_successor";
    isolated_with(name, through_p11_kit, |bed| {
        drop(bed.initialise());
        let uri = client();
        let server = Server::start(bed);
        let dead = Token::open(&uri, &pin()).ok().unwrap();
        drop(server);
        assert!(matches!(dead.heartbeat(), Err(HsmError::Gone(_))));
        let _server = Server::start(bed);
        let alive = Token::open(&uri, &pin()).ok().unwrap();
        // Its session has the same number as the dead one's.
        drop(dead);
        alive.heartbeat().unwrap();
        assert!(matches!(refused(Token::open(&uri, &pin())), HsmError::AlreadyOpen));
    });
}

#[test]
fn a_module_killed_in_mid_use_is_gone_and_can_be_opened_again() {
    let name = "gone::a_module_killed_in_mid_use_is_gone_and_can_be_opened_again";
    isolated_with(name, through_p11_kit, |bed| {
        drop(bed.initialise());
        let uri = client();
        for _ in 0..5 {
            let server = Server::start(bed);
            let token = Token::open(&uri, &pin()).unwrap_or_else(|error| panic!("{error}"));
            let blob = token.seal(&context(), b"entropy").unwrap();
            // Every thread works until it is refused; the server dies under them.
            let refusals: Vec<HsmError> = std::thread::scope(|scope| {
                let busy = || loop {
                    match token.unseal(&context(), &blob) {
                        Ok(secret) => assert_eq!(&*secret, b"entropy"),
                        Err(error) => return error,
                    }
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(busy)).collect();
                std::thread::sleep(Duration::from_millis(30));
                drop(server);
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(refusals.iter().all(|e| matches!(e, HsmError::Gone(_))), "{refusals:?}");
            assert_gone(&token, &blob);
            let error = refused(Token::open(&uri, &pin()));
            assert!(error.is_absence(), "{error}");
            let _server = Server::start(bed);
            let back = Token::open(&uri, &pin()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(&*back.unseal(&context(), &blob).unwrap(), b"entropy");
        }
    });
}

/// The client module reads its server's address from the environment, when it is loaded.
fn through_p11_kit(command: &mut Command) {
    let dir = command.get_envs().find_map(|(name, value)| (name == bed::DIR).then_some(value?));
    let socket = Path::new(dir.unwrap()).join(SOCKET);
    command.env("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", socket.display()));
}

/// The token through p11-kit's client module.
fn client() -> TokenUri {
    let module = peer("p11-kit", "p11-kit/lib/pkcs11/p11-kit-client.so");
    TokenUri::new(&module, "test").unwrap()
}

const SOCKET: &str = "p11-kit.sock";

/// `p11-kit server`: the module in another process, behind a socket.
struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    fn start(bed: &Bed) -> Self {
        let socket = bed.dir.join(SOCKET);
        let _ = fs::remove_file(&socket);
        let child = Command::new(peer("p11-kit", "p11-kit/bin/p11-kit"))
            .args(["server", "--foreground", "--name"])
            .arg(&socket)
            .arg("--provider")
            .arg(bed.kind.path())
            .arg("pkcs11:token=test")
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("p11-kit: {error}"));
        let server = Self { child, socket };
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(&server.socket).is_err() {
            assert!(Instant::now() < deadline, "p11-kit server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The whole group: it serves each connection by a process of its own.
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}
