//! Who says yes to channels that are used before their funding confirms: lnd asks for them on a stream.

use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use bytes::{Buf, BytesMut};
use prost::Message;
use tokio::sync::oneshot;

use super::Lnd;
use crate::grpc::{Channel, frame};

const METHOD: &str = "/lnrpc.Lightning/ChannelAcceptor";

/// What lnd asks: of its fields that one which the answer repeats.
#[derive(Clone, PartialEq, Message)]
struct Asked {
    #[prost(bytes = "vec", tag = "3")]
    pending_chan_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Accepted {
    #[prost(bool, tag = "1")]
    accept: bool,
    #[prost(bytes = "vec", tag = "2")]
    pending_chan_id: Vec<u8>,
    /// 0, as `zero_conf` demands.
    #[prost(uint32, tag = "10")]
    min_accept_depth: u32,
    #[prost(bool, tag = "11")]
    zero_conf: bool,
}

/// Accepts every channel that peers open, without confirmations, until it is dropped.
pub struct Acceptor {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Registers with `lnd` and says yes from now on.
    pub fn start(lnd: &Lnd) -> Result<Self> {
        let door = lnd.as_signer();
        let (end, ended) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let stream = async {
                    let (mut send, response) = Channel::to_signer(&door).await?.stream(METHOD).await?;
                    let _ = tell.send(());
                    let mut body = response.await?.into_body();
                    let mut received = BytesMut::new();
                    while let Some(chunk) = body.data().await {
                        let chunk = chunk?;
                        body.flow_control().release_capacity(chunk.len())?;
                        received.extend_from_slice(&chunk);
                        while let Some(asked) = next(&mut received)? {
                            let yes = Accepted {
                                accept: true,
                                pending_chan_id: asked.pending_chan_id,
                                min_accept_depth: 0,
                                zero_conf: true,
                            };
                            send.send_data(frame(&yes.encode_to_vec()), false)?;
                        }
                    }
                    Ok::<_, anyhow::Error>(())
                };
                tokio::select! { outcome = stream => if let Err(error) = outcome { eprintln!("acceptor: {error:#}") }, _ = ended => {} }
            });
        });
        told.recv().context("lnd takes no acceptor")?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            // Gone already where lnd ended the stream.
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes the next whole message off the front.
fn next(received: &mut BytesMut) -> Result<Option<Asked>> {
    let Some(head) = received.first_chunk::<5>() else { return Ok(None) };
    let [_, length @ ..] = *head;
    let whole = 5 + usize::try_from(u32::from_be_bytes(length))?;
    if received.len() < whole {
        return Ok(None);
    }
    let mut message = received.split_to(whole);
    message.advance(5);
    Asked::decode(message).map(Some).map_err(|error| anyhow!("lnd's question: {error}"))
}
