//! Wire contracts: the parts of LND's API that a remote signer answers and that a companion beside lnd reads, and
//! Strongroom's own.

#![allow(missing_docs, clippy::all)]

/// `walletrpc`, as lnd's watch-only wallet calls it.
pub mod walletrpc {
    tonic::include_proto!("walletrpc");
}

/// `signrpc`, as lnd's watch-only wallet calls it.
pub mod signrpc {
    tonic::include_proto!("signrpc");
}

/// `lnrpc`, as far as a companion beside lnd needs it.
pub mod lnrpc {
    tonic::include_proto!("lnrpc");
}

/// `routerrpc`, the same.
pub mod routerrpc {
    tonic::include_proto!("routerrpc");
}

/// Strongroom's own services.
pub mod strongroom {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("strongroom.v1");
    }
}
