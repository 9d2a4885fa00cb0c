//! The metrics door: plain HTTP/1.1 on loopback, one answer to every question.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::appliance::Appliance;

/// Answers scrapes until the daemon ends.
pub async fn serve(listener: TcpListener, appliance: Arc<Appliance>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let appliance = appliance.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(Duration::from_secs(5), answer(stream, &appliance)).await;
        });
    }
}

async fn answer(mut stream: TcpStream, appliance: &Appliance) -> std::io::Result<()> {
    // The question does not matter; only its end does.
    let mut question = Vec::new();
    let mut part = [0u8; 1024];
    while !question.windows(4).any(|w| w == b"\r\n\r\n") && question.len() < 16 << 10 {
        match stream.read(&mut part).await? {
            0 => return Ok(()),
            n => question.extend_from_slice(&part[..n]),
        }
    }
    // A report refreshes the gauges of amounts.
    if let Ok(journal) = appliance.journal() {
        let _ = journal.report().await;
    }
    let body = appliance.metrics().render();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}
