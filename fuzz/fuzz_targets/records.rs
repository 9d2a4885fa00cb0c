//! What is stored of channels and for VLS. It is authenticated on the disk; a record of another version must still not
//! stop the daemon, nor a request that meets it.

#![no_main]

use std::sync::LazyLock;

use bitcoin::Network;
use strongroom_fuzz::day::{self, Call};
use strongroom_fuzz::node::{ID, Node, POLICY, parse, show};
use strongroom_fuzz::pieces::{Pieces, join};
use strongroom_lightning::{Channels, SignRequest, Vls};

/// Requests on the channels of the recorded day.
static REQUESTS: LazyLock<Vec<SignRequest>> = LazyLock::new(|| {
    let psbts = day::calls().into_iter().filter_map(|call| match call {
        Call::SignPsbt(psbt) => Some(psbt),
        _ => None,
    });
    day::of_each_length(psbts).take(12).filter_map(|psbt| parse(&psbt).ok()).collect()
});

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let node = Node::after_the_day();
    let inputs: Vec<Vec<u8>> = node
        .records()
        .into_iter()
        .zip([0, 1])
        .flat_map(|(records, kind)| {
            let pieces: Vec<(u8, &[u8])> =
                records.iter().flat_map(|(key, value)| [(kind, &key[..]), (kind, &value[..])]).collect();
            pieces.chunks(8).map(|pieces| join(pieces.iter().copied())).collect::<Vec<_>>()
        })
        .collect();
    inputs.into_iter()
}

fn run(input: &[u8]) {
    let pieces: Vec<(u8, Vec<u8>)> =
        Pieces::of(input).map(|(kind, piece)| (kind % 2, piece.to_vec())).collect();
    let records = |of| {
        let pairs = pieces.as_chunks::<2>().0.iter().filter(move |[key, _]| key.0 == of);
        pairs.map(|[key, value]| (key.1.clone(), value.1.clone()))
    };
    if let Ok(channels) = Channels::load(records(0)) {
        show(&channels);
        let node = Node::of(channels);
        for request in REQUESTS.iter() {
            let _ = node.asked(request);
        }
    }
    let vls = Vls::load(POLICY.vls().clone(), Network::Regtest, *ID, records(1));
    let _ = vls.map(|vls| (vls.height(), vls.unknown_fundings()));
}

strongroom_fuzz::target!(seeds, run);
