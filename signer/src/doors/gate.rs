//! What stands before every call of the LND door: who asks, how much a client has under way, how long it may take.
//!
//! It stands before a request's body is read, so that strangers and floods cost little. It also gives the answers that
//! tonic makes by itself a code that lnd does not shut down on.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::listener::Peer;
use crate::appliance::Appliance;
use crate::line::Client;
use crate::refusal::Refusal;

/// Added to `limits.deadline_ms`: the line refuses what is late in its own words, if it got the whole body in time.
const GRACE: Duration = Duration::from_millis(400);

/// A gRPC service behind the gate.
#[derive(Clone)]
pub struct Gate<S> {
    inner: S,
    appliance: Arc<Appliance>,
}

impl<S> Gate<S> {
    /// Puts the gate before `inner`.
    pub fn new(inner: S, appliance: Arc<Appliance>) -> Self {
        Self { inner, appliance }
    }

    /// Who sends the request, with a place in its share.
    fn admit(&self, request: &Request<Body>) -> Result<Client, Refusal> {
        let peer = request.extensions().get::<Peer>();
        let macaroon = request.headers().get("macaroon").and_then(|m| m.to_str().ok()).unwrap_or("");
        let address = peer.map(Peer::ip);
        let limits = self.appliance.limits();
        let known = self.appliance.authenticate(macaroon, address)?;
        let busy = |what, limit, key| {
            let client = format!("{}/{}", known.node, known.client);
            Refusal::Crowded { client, what, limit, key }
        };
        let limit = limits.max_connections_per_client;
        if peer.is_some_and(|peer| !peer.belongs_to(&known.share, limit)) {
            return Err(busy("connections", limit, "limits.max_connections_per_client"));
        }
        let limit = limits.max_queue_per_client;
        let turn = known.share.begin(limit);
        let turn = turn.ok_or_else(|| busy("requests under way", limit, "limits.max_queue_per_client"))?;
        Ok(Client { node: known.node, name: known.client, turn })
    }
}

impl<S: NamedService> NamedService for Gate<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.admit(&request) {
            Ok(client) => request.extensions_mut().insert(client),
            Err(refusal) => {
                let address = request.extensions().get::<Peer>().map(Peer::ip);
                let macaroon = request.headers().get("macaroon").and_then(|m| m.to_str().ok());
                self.appliance.turn_away(macaroon.unwrap_or(""), address, &refusal);
                return Box::pin(ready(Ok(Status::from(refusal).into_http())));
            }
        };
        let patience = patience(request.headers(), self.appliance.limits().deadline_ms);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Ok(answer) = tokio::time::timeout(patience, answer).await else {
                let limit_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
                return Ok(Status::from(Refusal::Late { limit_ms }).into_http());
            };
            answer.map(in_lnds_terms)
        })
    }
}

/// How long a call may take, its body included. A client that gives itself less gets its answer before it gives up.
fn patience(headers: &HeaderMap, deadline_ms: u64) -> Duration {
    let own = Duration::from_millis(deadline_ms) + GRACE;
    let clients = headers.get("grpc-timeout").and_then(|value| grpc_timeout(value.to_str().ok()?));
    clients.map_or(own, |clients| own.min(clients.mul_f64(0.9)))
}

/// The header `grpc-timeout`: at most eight digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Gives what tonic answered by itself a code that says what it was: a body that cannot be read is InvalidArgument, all
/// else a refusal.
fn in_lnds_terms(response: Response<Body>) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let text = status.message();
    match status.code() {
        Code::Ok | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented => response,
        Code::OutOfRange | Code::Internal => Status::from(Refusal::Malformed(text.to_owned())).into_http(),
        _ => Status::from(Refusal::Internal(text.to_owned())).into_http(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: Status) -> Code {
        let answered = in_lnds_terms(status.into_http());
        Status::from_header_map(answered.headers()).map_or(Code::Ok, |status| status.code())
    }

    #[test]
    fn no_code_that_lnd_shuts_down_on_gets_out() {
        for number in 0..=16 {
            let said = code(Status::new(Code::from_i32(number), "text"));
            assert!(
                matches!(
                    said,
                    Code::Ok | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented
                ),
                "{number} became {said:?}"
            );
        }
        assert_eq!(code(Status::out_of_range("too large")), Code::InvalidArgument);
        assert_eq!(code(Status::cancelled("Timeout expired")), Code::PermissionDenied);
    }

    #[test]
    fn a_client_is_answered_before_it_gives_up() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", value.parse().expect("a header"));
            patience(&headers, 3_000)
        };
        assert_eq!(patience(&HeaderMap::new(), 3_000), Duration::from_millis(3_400));
        assert_eq!(with("1S"), Duration::from_millis(900));
        assert_eq!(with("5000m"), Duration::from_millis(3_400));
        for wrong in ["", "S", "5", "5x", "123456789S", "-1S", "é"] {
            assert_eq!(grpc_timeout(wrong), None, "{wrong:?}");
        }
    }
}
