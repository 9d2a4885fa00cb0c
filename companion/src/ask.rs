//! Asks the signer what it would refuse, and finds the words for lnd's caller.

use std::sync::Arc;
use std::time::Duration;

use strongroom_proto::strongroom::v1::preflight_client::PreflightClient;
use strongroom_proto::strongroom::v1::{PreflightAnswer, PreflightRequest};
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use crate::config::{Config, WhenUnreachable};
use crate::door::{Door, door};

/// Below the two seconds after which lnd itself turns the call down (`rpcmiddleware.intercepttimeout`).
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Questions under way at once; far below the signer's own share for one client.
const MOST: usize = 64;

/// The signer, as the companion knows it.
#[derive(Clone)]
pub struct Signer {
    door: PreflightClient<Door>,
    when_unreachable: WhenUnreachable,
    places: Arc<Semaphore>,
}

impl Signer {
    /// The signer of `config`. Connects when it is first asked.
    pub fn new(config: &Config) -> Self {
        Self {
            door: PreflightClient::new(door(&config.signer)),
            when_unreachable: config.when_unreachable,
            places: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// What the signer says of a forward, or why nothing was heard.
    pub async fn asked_of_forward(&self, question: PreflightRequest) -> Result<PreflightAnswer, String> {
        let mut door = self.door.clone();
        door.ask(question).await.map(tonic::Response::into_inner).map_err(|status| cause(&status))
    }

    /// Lets a call of lnd's go on, or says why not.
    pub async fn permits(&self, call: &str, question: PreflightRequest) -> Result<(), String> {
        let Ok(_place) = self.places.try_acquire() else {
            return self.unasked(call, &format!("{MOST} questions are under way"));
        };
        let mut door = self.door.clone();
        match tokio::time::timeout(PATIENCE, door.ask(question)).await {
            Ok(Ok(answer)) => permitted(call, answer.into_inner()),
            Ok(Err(status)) if is_answer(&status) => Err(status.message().to_owned()),
            Ok(Err(status)) => self.unasked(call, &cause(&status)),
            Err(_) => self.unasked(call, &format!("no answer within {} ms", PATIENCE.as_millis())),
        }
    }

    fn unasked(&self, call: &str, because: &str) -> Result<(), String> {
        match self.when_unreachable {
            WhenUnreachable::Refuse => Err(format!("the signer cannot be asked: {because}")),
            WhenUnreachable::Pass => {
                tracing::warn!(call, because, "the signer cannot be asked; the call goes on");
                Ok(())
            }
        }
    }
}

fn permitted(call: &str, answer: PreflightAnswer) -> Result<(), String> {
    if answer.allowed && answer.violations.is_empty() {
        tracing::debug!(call, not_checked = answer.not_checked.join("; "), "nothing is against it");
        return Ok(());
    }
    let words: Vec<String> = answer.violations.into_iter().map(|violation| violation.message).collect();
    Err(format!("refused by policy: {}", words.join("; ")))
}

/// Whether the signer itself said no: it answers with these codes only, sealed or not. tonic's own are others.
fn is_answer(status: &Status) -> bool {
    matches!(status.code(), Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented)
}

/// What a status says, with the causes behind it.
pub fn cause(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use strongroom_proto::strongroom::v1::PreflightViolation;

    use super::*;

    #[test]
    fn an_answer_permits_only_where_it_says_so() {
        let broken = PreflightViolation { message: "fee-cap: 5; allowed: 4".into(), ..Default::default() };
        for (allowed, violations) in [(false, vec![]), (false, vec![broken.clone()]), (true, vec![broken])] {
            let answer = PreflightAnswer { allowed, violations, not_checked: vec![] };
            assert!(permitted("call", answer).is_err());
        }
        assert!(permitted("call", PreflightAnswer::default()).is_err(), "an empty answer is no yes");
        let yes = PreflightAnswer { allowed: true, ..PreflightAnswer::default() };
        assert_eq!(permitted("call", yes), Ok(()));
    }

    #[test]
    fn only_the_signers_own_words_are_an_answer() {
        for (code, answer) in [
            (Code::Unavailable, false),
            (Code::Unknown, false),
            (Code::Cancelled, false),
            (Code::Ok, false),
            (Code::PermissionDenied, true),
            (Code::InvalidArgument, true),
            (Code::Unimplemented, true),
        ] {
            assert_eq!(is_answer(&Status::new(code, "")), answer, "{code:?}");
        }
    }
}
