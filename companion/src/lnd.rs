//! The stream on which lnd tells of every call and waits for a word on it.

use std::time::Duration;

use strongroom_proto::lnrpc::lightning_client::LightningClient;
use strongroom_proto::lnrpc::rpc_middleware_request::InterceptType;
use strongroom_proto::lnrpc::rpc_middleware_response::MiddlewareMessage;
use strongroom_proto::lnrpc::{
    InterceptFeedback, MiddlewareRegistration, RpcMessage, RpcMiddlewareRequest, RpcMiddlewareResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::ask::{Signer, cause};
use crate::config::Config;
use crate::door::door;
use crate::question::{Heard, hear};

/// The name that `rpcmiddleware.addmandatory` takes.
const NAME: &str = "strongroom-companion";

/// Between tries to register; lnd may be down or its wallet locked.
const AGAIN: Duration = Duration::from_secs(1);

/// lnd closes a stream that has not registered within its `intercepttimeout`, and answers as fast.
const REGISTERS_WITHIN: Duration = Duration::from_secs(10);

/// What lnd lets its own clients receive (`lnrpc.MaxGrpcMsgSize`): answers of this size come by here too, unread.
const LARGEST: usize = 400 << 20;

/// Words waiting to be sent to lnd.
const WAITING: usize = 1_024;

/// Stands beside lnd for as long as the process lives.
pub async fn accompany(config: &Config, signer: &Signer) {
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    let mut before = String::new();
    loop {
        let because = match stand(config, signer, &mut before).await {
            Ok(()) => "lnd closed the stream".to_owned(),
            Err(status) => cause(&status),
        };
        // The same cause every second would drown the log.
        if because != before {
            tracing::warn!(lnd = config.lnd.address, because, "not registered with lnd; trying again");
            status("not registered with lnd");
        }
        before = because;
        tokio::time::sleep(AGAIN).await;
    }
}

/// Registers and answers, until the stream ends. What went wrong before is over once it is registered.
async fn stand(config: &Config, signer: &Signer, before: &mut String) -> Result<(), Status> {
    let (words, sent) = mpsc::channel(WAITING);
    let register = MiddlewareMessage::Register(MiddlewareRegistration {
        middleware_name: NAME.to_owned(),
        read_only_mode: true,
    });
    let first = RpcMiddlewareResponse { ref_msg_id: 0, middleware_message: Some(register) };
    words.send(first).await.map_err(|_| gone())?;
    let mut lnd = LightningClient::new(door(&config.lnd)).max_decoding_message_size(LARGEST);
    let registered = async {
        let mut calls = lnd.register_rpc_middleware(ReceiverStream::new(sent)).await?.into_inner();
        let complete = calls.message().await?.and_then(|message| message.intercept_type);
        if complete != Some(InterceptType::RegComplete(true)) {
            return Err(Status::unknown("lnd does not say that the registration is complete"));
        }
        Ok(calls)
    };
    let calls = tokio::time::timeout(REGISTERS_WITHIN, registered)
        .await
        .map_err(|_| Status::unknown("lnd does not answer the registration"))??;
    tracing::info!(lnd = config.lnd.address, name = NAME, "registered with lnd");
    status("registered with lnd");
    before.clear();
    answer(calls, &words, signer).await
}

/// Gives lnd a word on each call. Those that need no question get it at once.
async fn answer(
    mut calls: Streaming<RpcMiddlewareRequest>,
    words: &mpsc::Sender<RpcMiddlewareResponse>,
    signer: &Signer,
) -> Result<(), Status> {
    while let Some(RpcMiddlewareRequest { msg_id, intercept_type }) = calls.message().await? {
        let heard = match intercept_type {
            Some(InterceptType::Request(request)) => understood(&request),
            // A stream's requests follow its beginning; answers are none of our business. What lnd may add one day
            // carries no request that it would have to begin.
            Some(
                InterceptType::StreamAuth(_) | InterceptType::Response(_) | InterceptType::RegComplete(_),
            )
            | None => None,
        };
        match heard {
            None => say(words, msg_id, String::new()).await?,
            Some((call, Err(why))) => say(words, msg_id, turned_down(&call, &why)).await?,
            Some((call, Ok(question))) => {
                let (words, signer) = (words.clone(), signer.clone());
                tokio::spawn(async move {
                    let word = match signer.permits(&call, *question).await {
                        Ok(()) => String::new(),
                        Err(why) => turned_down(&call, &why),
                    };
                    // lnd may have closed the stream; whoever waited was told so by lnd.
                    let _ = say(&words, msg_id, word).await;
                });
            }
        }
    }
    Ok(())
}

type Understood = (String, Result<Box<strongroom_proto::strongroom::v1::PreflightRequest>, String>);

/// What a request asks, if it begins anything.
fn understood(request: &RpcMessage) -> Option<Understood> {
    let call = request.method_full_uri.clone();
    match hear(&call, &request.serialized) {
        Heard::Nothing => None,
        Heard::Question(question) => Some((call, Ok(question))),
        Heard::Unclear(why) => Some((call, Err(why))),
    }
}

fn turned_down(call: &str, why: &str) -> String {
    tracing::warn!(call, why, "turned down");
    format!("turned down before lnd began: {why}")
}

/// An empty word lets the call go on.
async fn say(words: &mpsc::Sender<RpcMiddlewareResponse>, msg_id: u64, error: String) -> Result<(), Status> {
    let feedback = MiddlewareMessage::Feedback(InterceptFeedback { error });
    let word = RpcMiddlewareResponse { ref_msg_id: msg_id, middleware_message: Some(feedback) };
    words.send(word).await.map_err(|_| gone())
}

fn gone() -> Status {
    Status::unknown("the stream to lnd is closed")
}

/// What `systemctl status` shows.
fn status(text: &str) {
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Status(text)]);
}
