//! JSON over HTTP(S) to a loopback peer.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, http::Response};

/// A JSON client for one peer.
#[derive(Clone)]
pub struct Rest {
    agent: Agent,
    base: String,
    header: Option<(String, String)>,
}

impl Rest {
    /// `base` such as `https://127.0.0.1:8080`; `header` is sent with every request.
    ///
    /// Certificates are not verified: both ends are children of this process on loopback.
    pub fn new(base: String, header: Option<(String, String)>) -> Self {
        Self { agent: agent(120), base, header }
    }

    /// The same client, with no more patience than so many seconds.
    pub fn within(&self, seconds: u64) -> Self {
        Self { agent: agent(seconds), ..self.clone() }
    }

    /// The address this client was made for.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET `path`.
    pub fn get(&self, path: &str) -> Result<Value> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some((key, value)) = &self.header {
            request = request.header(key, value);
        }
        answer(path, request.call())
    }

    /// POST `body` to `path`.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        answer(path, self.post_raw(path, body))
    }

    /// POST `body` to `path`, a server stream: its messages, as they come.
    pub fn post_stream(
        &self,
        path: &'static str,
        body: &Value,
    ) -> Result<impl Iterator<Item = Result<Value>> + use<>> {
        Ok(lines(path, self.post_raw(path, body))?.map(move |line| message(path, &line?)))
    }

    /// POST `body` to `path`, a server stream: the last message of it.
    pub fn post_stream_last(&self, path: &'static str, body: &Value) -> Result<Value> {
        let mut last = None;
        for message in self.post_stream(path, body)? {
            last = Some(message?);
        }
        last.ok_or_else(|| anyhow!("{path}: the stream ended without a message"))
    }

    /// DELETE `path`.
    pub fn delete(&self, path: &str) -> Result<Value> {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        if let Some((key, value)) = &self.header {
            request = request.header(key, value);
        }
        answer(path, request.call())
    }

    /// DELETE `path`, a server stream: the first message of it.
    pub fn delete_stream_first(&self, path: &str) -> Result<Value> {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        if let Some((key, value)) = &self.header {
            request = request.header(key, value);
        }
        let line = lines(path, request.call())?
            .next()
            .ok_or_else(|| anyhow!("{path}: the stream ended without a message"))??;
        message(path, &line)
    }

    fn post_raw(&self, path: &str, body: &Value) -> Result<Response<Body>, ureq::Error> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some((key, value)) = &self.header {
            request = request.header(key, value);
        }
        request.send(body.to_string())
    }
}

fn agent(seconds: u64) -> Agent {
    let config = Agent::config_builder()
        .tls_config(TlsConfig::builder().disable_verification(true).build())
        .http_status_as_error(false)
        .max_idle_connections_per_host(256)
        .max_idle_connections(256)
        .timeout_global(Some(Duration::from_secs(seconds)))
        .build();
    config.into()
}

fn answer(path: &str, response: Result<Response<Body>, ureq::Error>) -> Result<Value> {
    let mut response = response.with_context(|| path.to_owned())?;
    let status = response.status();
    let text = response
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string()
        .with_context(|| path.to_owned())?;
    if !status.is_success() {
        bail!("{path}: {status}: {}", text.trim());
    }
    serde_json::from_str(&text).with_context(|| format!("{path}: not JSON: {text}"))
}

fn lines(
    path: &str,
    response: Result<Response<Body>, ureq::Error>,
) -> Result<impl Iterator<Item = std::io::Result<String>> + use<>> {
    let mut response = response.with_context(|| path.to_owned())?;
    let status = response.status();
    if !status.is_success() {
        let text = response.body_mut().read_to_string().unwrap_or_default();
        bail!("{path}: {status}: {}", text.trim());
    }
    Ok(BufReader::new(response.into_body().into_reader()).lines())
}

/// A message of a REST stream is `{"result": …}` or `{"error": …}`.
fn message(path: &str, line: &str) -> Result<Value> {
    let mut value: Value = serde_json::from_str(line).with_context(|| format!("{path}: not JSON: {line}"))?;
    if let Some(error) = value.get("error") {
        bail!("{path}: {error}");
    }
    Ok(value["result"].take())
}
