//! The HSM stays in charge: when the token no longer answers, secrets are wiped.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::Appliance;

/// Between two heartbeats.
const INTERVAL: Duration = Duration::from_secs(1);

impl Appliance {
    /// Asks the token to do something every second, for as long as the appliance lives; seals when it cannot.
    pub async fn watch_token(self: Arc<Self>) {
        let mut beat = tokio::time::interval(INTERVAL);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let appliance = self.clone();
            let beaten = tokio::task::spawn_blocking(move || appliance.beat()).await;
            if let Err(e) = beaten {
                tracing::error!(error = %e, "the heartbeat panicked");
                self.seal("the heartbeat of the token panicked");
            }
        }
    }

    /// One heartbeat.
    fn beat(&self) {
        let Ok(open) = self.open_state() else { return };
        match open.token.heartbeat() {
            Ok(()) => {
                *self.last_heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            Err(e) => {
                drop(open);
                self.metrics.token_failures.inc();
                self.seal(&format!("token gone: {e}; when it is back: strongroom unseal"));
            }
        }
    }
}
