//! The life of channels: reservations and PSBTs in a row, each learned before the next is asked.

#![no_main]

use strongroom_fuzz::day::{self, Call};
use strongroom_fuzz::node::{self, Node};
use strongroom_fuzz::pieces::{Pieces, join};

/// Kinds of pieces: a PSBT; or family and index of a key in a byte each, and a point.
const PSBT: u8 = 0;
const SHARED_KEY: u8 = 1;
/// Requests of one life.
const MOST: usize = 24;

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let calls: Vec<(u8, Vec<u8>)> = day::calls().into_iter().filter_map(piece).collect();
    // From the start, where channels are opened, and from anywhere.
    let lives =
        [&calls[..], &calls[6..]].map(|calls| calls.chunks(MOST).map(<[_]>::to_vec).collect::<Vec<_>>());
    lives.into_iter().flatten().map(|life| join(life.iter().map(|(kind, piece)| (*kind, &piece[..]))))
}

fn piece(call: Call) -> Option<(u8, Vec<u8>)> {
    match call {
        Call::SignPsbt(psbt) => Some((PSBT, psbt)),
        Call::DeriveSharedKey(asked) => {
            let key = asked.key_loc.unwrap_or_default();
            let name = [u8::try_from(key.key_family).ok()?, u8::try_from(key.key_index).ok()?];
            // Those of onions and handshakes teach nothing.
            (name[0] == 5).then(|| (SHARED_KEY, [&name[..], &asked.ephemeral_pubkey].concat()))
        }
        Call::SignMessage(_) | Call::CreateSession(_) => None,
    }
}

fn run(input: &[u8]) {
    let mut node = Node::default();
    for (kind, piece) in Pieces::of(input).take(MOST) {
        match (kind % 2, piece) {
            (PSBT, psbt) => {
                let Ok(request) = node::parse(psbt) else { continue };
                let outcome = node.asked(&request);
                node.learn(&request, outcome);
            }
            (_, [family, index, point @ ..]) => node.shared_key((*family).into(), (*index).into(), point),
            _ => {}
        }
    }
    node.is_whole();
}

strongroom_fuzz::target!(seeds, run);
