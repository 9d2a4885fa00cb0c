//! Many threads on one token.

use strongroom_hsm::{SealContext, Token};

use crate::bed::isolated;

#[test]
fn threads_share_a_token() {
    isolated("concurrency::threads_share_a_token", |bed| {
        fn is_send_and_sync<T: Send + Sync>(_: &T) {}
        let token = bed.initialise();
        is_send_and_sync(&token);
        let work = |token: &Token, thread: u8| {
            for i in 0..50u64 {
                let context = SealContext::new("seed", "alice", thread.into(), i).unwrap();
                let secret = [thread; 32];
                let blob = token.seal(&context, &secret).unwrap();
                assert_eq!(*token.unseal(&context, &blob).unwrap(), secret);
                let digest = [i as u8; 32];
                let signature = token.sign_audit(&digest).unwrap();
                assert!(token.audit_public_key().verify(&digest, &signature));
                token.heartbeat().unwrap();
                let mut random = [0; 300];
                token.random(&mut random).unwrap();
                assert!(random[268..].iter().any(|byte| *byte != 0));
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let token = &token;
                scope.spawn(move || work(token, thread));
            }
        });
        token.heartbeat().unwrap();
    });
}
