//! Compiles the wire contracts with a pure-Rust protobuf compiler, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = [
        "lnd/walletrpc.proto",
        "lnd/signrpc.proto",
        "lnd/lnrpc.proto",
        "lnd/routerrpc.proto",
        "strongroom/v1/operator.proto",
        "strongroom/v1/channels.proto",
        "strongroom/v1/payments.proto",
        "strongroom/v1/preflight.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().bytes(".walletrpc").compile_fds(descriptors)?;
    Ok(())
}
