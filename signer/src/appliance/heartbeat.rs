//! The HSM stays in charge: when the token no longer answers, secrets are wiped. So too when the journal can no
//! longer write, since nothing may be signed without it.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::Appliance;

/// Between two heartbeats.
const INTERVAL: Duration = Duration::from_secs(1);
/// A token that answers later than this counts as gone.
const PATIENCE: Duration = Duration::from_secs(5);

impl Appliance {
    /// Asks token and journal to do something every second, for as long as the appliance lives; seals when one cannot.
    pub async fn watch_token(self: Arc<Self>) {
        let mut beat = tokio::time::interval(INTERVAL);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let beating = self.clone();
            let beaten = tokio::task::spawn_blocking(move || beating.beat());
            let because = match tokio::time::timeout(PATIENCE, beaten).await {
                Ok(Ok(Ok(()))) => continue,
                Ok(Ok(Err(because))) => because,
                Ok(Err(_)) => "the heartbeat of the token panicked".to_owned(),
                Err(_) => format!(
                    "token gone: no answer within {} s; when it is back: strongroom unseal",
                    PATIENCE.as_secs()
                ),
            };
            self.metrics.token_failures.inc();
            let sealing = self.clone();
            // Not awaited: a token that hangs also hangs whoever says goodbye to it. Secrets are wiped before that.
            drop(tokio::task::spawn_blocking(move || sealing.seal(&because)));
        }
    }

    /// One heartbeat; `Err` says why the appliance must be sealed.
    fn beat(&self) -> Result<(), String> {
        let Ok(open) = self.open_state() else { return Ok(()) };
        if let Err(e) = open.token.heartbeat() {
            return Err(format!("token gone: {e}; when it is back: strongroom unseal"));
        }
        *self.last_heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let report = match open.journal.report_blocking() {
            Ok(report) => report,
            // Sealed meanwhile, in good order.
            Err(_) if self.state().0 != "open" => return Ok(()),
            Err(gone) => return Err(format!("{gone}; once mended: strongroom unseal")),
        };
        match report.and_then(|report| report.fault) {
            Some(fault) => Err(format!("the journal cannot write: {fault}; once mended: strongroom unseal")),
            None => Ok(()),
        }
    }
}
