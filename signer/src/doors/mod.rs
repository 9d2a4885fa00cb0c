//! How a client gets in: TLS, macaroons, and a listener that no client can exhaust.

pub mod gate;
pub mod listener;
pub mod macaroon;
pub mod metrics;
pub mod tls;
