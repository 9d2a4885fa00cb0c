//! A fee estimator that lnd asks (`fee.url`): the feerate is what a scenario says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

/// Answers every lnd that asks, until this process ends.
#[derive(Clone, Debug)]
pub struct FeeSource {
    port: u16,
    rate: Arc<AtomicU64>,
}

impl FeeSource {
    /// Starts one that says `rate` sat/vB for the next block, and less for later ones.
    pub fn start(rate: u64) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let source = Self { port: listener.local_addr()?.port(), rate: Arc::new(rate.into()) };
        let rate = source.rate.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let now = rate.load(Ordering::Relaxed) * 1_000;
                let body = json!({
                    "fee_by_block_target": {
                        "2": now, "6": now * 9 / 10, "144": (now / 2).max(1_000), "1008": (now / 3).max(1_000),
                    },
                    "min_relay_feerate": 1_000,
                })
                .to_string();
                // A client that goes away is asked for nothing more.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let _ = stream.read(&mut [0; 4_096]);
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Ok(source)
    }

    /// From now on the next block costs `rate` sat/vB.
    pub fn set(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// The lines for `lnd.conf`.
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!("fee.url=http://127.0.0.1:{}/", self.port),
            "fee.min-update-timeout=1s".to_owned(),
            "fee.max-update-timeout=2s".to_owned(),
        ]
    }
}
