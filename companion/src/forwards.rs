//! lnd's HTLC interceptor: a forward that the signer would refuse is failed before lnd makes a commitment of it.
//!
//! Whatever is in doubt goes on: the signer decides when it is asked to sign. lnd itself lets go on what it holds when this
//! stream ends.

mod tally;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_proto::routerrpc::router_client::RouterClient;
use strongroom_proto::routerrpc::{
    ForwardHtlcInterceptRequest, ForwardHtlcInterceptResponse, ResolveHoldForwardAction,
};
use strongroom_proto::strongroom::v1::preflight_request::What;
use strongroom_proto::strongroom::v1::{ForwardIntent, OutgoingHtlc, PreflightAnswer, PreflightRequest};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::ask::{Signer, cause};
use crate::config::Config;
use crate::door::door;
use tally::Tally;

/// How long lnd holds a forward for the signer's answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// For so long lnd may not have asked for what it was let go on with.
const UNDER_WAY: Duration = Duration::from_secs(3);

/// The most of those that a question names; the signer takes no more.
const MOST: usize = 64;

/// Words waiting to be sent to lnd.
const WAITING: usize = 1_024;

/// Between tries to become the interceptor: at first, and at the most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A stream that lasted so long was no failed try.
const LASTED: Duration = Duration::from_secs(10);

/// Stands in lnd's forwards for as long as the process lives.
pub async fn hold(config: &Config, signer: &Signer) {
    let tally = Arc::new(Tally::default());
    let (mut before, mut pause) = (String::new(), AGAIN.0);
    loop {
        let began = Instant::now();
        let because = match stand(config, signer, &tally).await {
            Ok(()) => "lnd closed the stream".to_owned(),
            Err(status) => cause(&status),
        };
        if began.elapsed() >= LASTED {
            (before, pause) = (String::new(), AGAIN.0);
        }
        if because != before {
            tracing::warn!(lnd = config.lnd.address, because, "forwards are not asked about; trying again");
        }
        before = because;
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(AGAIN.1);
    }
}

async fn stand(config: &Config, signer: &Signer, tally: &Arc<Tally>) -> Result<(), Status> {
    let (words, sent) = mpsc::channel(WAITING);
    let mut lnd = RouterClient::new(door(&config.lnd));
    // lnd answers the call itself with its first forward only, and a second interceptor with an error at once.
    tracing::info!(lnd = config.lnd.address, "asking lnd for its forwards");
    let forwards = lnd.htlc_interceptor(ReceiverStream::new(sent)).await?.into_inner();
    answer(forwards, &words, signer, tally).await
}

async fn answer(
    mut forwards: Streaming<ForwardHtlcInterceptRequest>,
    words: &mpsc::Sender<ForwardHtlcInterceptResponse>,
    signer: &Signer,
    tally: &Arc<Tally>,
) -> Result<(), Status> {
    let under_way = Arc::new(Mutex::new(UnderWay::default()));
    while let Some(forward) = forwards.message().await? {
        // Only a preimage has a say there, and any other word ends the stream.
        if is_on_chain(&forward) {
            continue;
        }
        let (words, signer, tally) = (words.clone(), signer.clone(), tally.clone());
        let (under_way, came) = (under_way.clone(), Instant::now());
        tokio::spawn(async move {
            let asked = tokio::time::timeout(PATIENCE, ask(&forward, &signer, &under_way)).await;
            let late = || Err(format!("no answer within {} ms", PATIENCE.as_millis()));
            let word = word(&forward, asked.unwrap_or_else(|_| late()), &tally);
            // If lnd closed the stream, it has let the forward go on.
            let _ = words.send(word).await;
            tracing::debug!(held_us = came.elapsed().as_micros(), "a forward has its word");
        });
    }
    Ok(())
}

/// Asks about one after another: parts of one payment come together, and each alone may be allowed.
async fn ask(
    forward: &ForwardHtlcInterceptRequest,
    signer: &Signer,
    under_way: &Mutex<UnderWay>,
) -> Result<PreflightAnswer, String> {
    let mut under_way = under_way.lock().await;
    let heard = signer.asked_of_forward(question(forward, under_way.beside(Instant::now()))).await;
    if !heard.as_ref().is_ok_and(is_no) {
        under_way.add(htlc(forward), Instant::now());
    }
    heard
}

/// The signer's clear no.
fn is_no(answer: &PreflightAnswer) -> bool {
    !answer.violations.is_empty()
}

/// What lnd was let go on with a moment ago.
#[derive(Default)]
struct UnderWay(VecDeque<(Instant, OutgoingHtlc)>);

impl UnderWay {
    fn beside(&mut self, now: Instant) -> Vec<OutgoingHtlc> {
        self.0.retain(|(since, _)| now.saturating_duration_since(*since) < UNDER_WAY);
        self.0.iter().map(|(_, htlc)| htlc.clone()).collect()
    }

    fn add(&mut self, htlc: OutgoingHtlc, now: Instant) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((now, htlc));
    }
}

/// Whether the incoming channel is closed, and the HTLC a matter of the chain.
fn is_on_chain(forward: &ForwardHtlcInterceptRequest) -> bool {
    u32::try_from(forward.auto_fail_height).is_ok_and(|height| height >= forward.incoming_expiry)
}

fn htlc(forward: &ForwardHtlcInterceptRequest) -> OutgoingHtlc {
    OutgoingHtlc {
        payment_hash: forward.payment_hash.clone(),
        amount_msat: forward.outgoing_amount_msat,
        expiry: forward.outgoing_expiry,
    }
}

fn question(forward: &ForwardHtlcInterceptRequest, beside: Vec<OutgoingHtlc>) -> PreflightRequest {
    PreflightRequest { what: Some(What::Forward(ForwardIntent { htlc: Some(htlc(forward)), beside })) }
}

/// The word on a forward. Only the signer's clear no fails it.
fn word(
    forward: &ForwardHtlcInterceptRequest,
    heard: Result<PreflightAnswer, String>,
    tally: &Tally,
) -> ForwardHtlcInterceptResponse {
    let action = match heard {
        Ok(answer) if is_no(&answer) => {
            tally.failed(&answer.violations, Instant::now());
            ResolveHoldForwardAction::Fail
        }
        Ok(_) => ResolveHoldForwardAction::Resume,
        Err(because) => {
            tally.unasked(&because, Instant::now());
            ResolveHoldForwardAction::Resume
        }
    };
    ForwardHtlcInterceptResponse {
        incoming_circuit_key: forward.incoming_circuit_key,
        action: action.into(),
        failure_code: 0,
    }
}

#[cfg(test)]
mod tests {
    use strongroom_proto::routerrpc::CircuitKey;
    use strongroom_proto::strongroom::v1::PreflightViolation;

    use super::*;

    fn forward() -> ForwardHtlcInterceptRequest {
        ForwardHtlcInterceptRequest {
            incoming_circuit_key: Some(CircuitKey { chan_id: 7, htlc_id: 3 }),
            payment_hash: vec![9; 32],
            outgoing_amount_msat: 5_000,
            outgoing_expiry: 660,
            incoming_expiry: 740,
            auto_fail_height: 721,
        }
    }

    #[test]
    fn only_the_signers_clear_no_fails_a_forward() {
        let broken = PreflightViolation { tag: "forward-cltv".into(), ..Default::default() };
        let no = PreflightAnswer { violations: vec![broken], ..PreflightAnswer::default() };
        let yes = PreflightAnswer { allowed: true, ..PreflightAnswer::default() };
        for (heard, action) in [
            (Ok(no), ResolveHoldForwardAction::Fail),
            (Ok(yes), ResolveHoldForwardAction::Resume),
            (Ok(PreflightAnswer::default()), ResolveHoldForwardAction::Resume),
            (Err("no answer".to_owned()), ResolveHoldForwardAction::Resume),
        ] {
            let word = word(&forward(), heard, &Tally::default());
            assert_eq!(word.action(), action);
            assert_eq!(word.incoming_circuit_key, Some(CircuitKey { chan_id: 7, htlc_id: 3 }));
        }
    }

    #[test]
    fn what_the_chain_settles_gets_no_word() {
        assert!(!is_on_chain(&forward()));
        assert!(is_on_chain(&ForwardHtlcInterceptRequest { auto_fail_height: 740, ..forward() }));
        // lnd before 0.21 says nothing of it.
        assert!(!is_on_chain(&ForwardHtlcInterceptRequest { auto_fail_height: 0, ..forward() }));
    }

    #[test]
    fn the_signer_is_asked_about_what_goes_out() {
        let htlc = OutgoingHtlc { payment_hash: vec![9; 32], amount_msat: 5_000, expiry: 660 };
        let asked = ForwardIntent { htlc: Some(htlc.clone()), beside: vec![htlc.clone()] };
        assert_eq!(question(&forward(), vec![htlc]).what, Some(What::Forward(asked)));
    }

    #[test]
    fn what_went_on_is_named_for_a_moment_and_not_without_end() {
        let (mut under_way, start) = (UnderWay::default(), Instant::now());
        for amount_msat in 0..=MOST as u64 {
            under_way.add(OutgoingHtlc { amount_msat, ..OutgoingHtlc::default() }, start);
        }
        let named: Vec<u64> = under_way.beside(start).iter().map(|htlc| htlc.amount_msat).collect();
        assert_eq!(named, (1..=MOST as u64).collect::<Vec<_>>());
        under_way.add(htlc(&forward()), start + UNDER_WAY);
        assert_eq!(under_way.beside(start + UNDER_WAY), [htlc(&forward())]);
    }
}
