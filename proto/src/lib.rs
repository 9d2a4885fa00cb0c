//! Wire contracts: the part of LND's API that a remote signer answers, and Strongroom's own.

#![allow(missing_docs, clippy::all)]

/// `walletrpc`, as lnd's watch-only wallet calls it.
pub mod walletrpc {
    tonic::include_proto!("walletrpc");
}

/// `signrpc`, as lnd's watch-only wallet calls it.
pub mod signrpc {
    tonic::include_proto!("signrpc");
}

/// Strongroom's own services.
pub mod strongroom {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("strongroom.v1");
    }
}
