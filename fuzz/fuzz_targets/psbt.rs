//! A PSBT, as lnd sends it: parsed; held against channels that have seen a day, and against none; answered.

#![no_main]

use bitcoin::secp256k1::{ecdsa, schnorr};
use strongroom_fuzz::day::{self, Call};
use strongroom_fuzz::node::{self, Node};
use strongroom_lightning::{Malformed, SignRequest, SpendSignature};

thread_local! {
    static NODES: [Node; 2] = [Node::default(), Node::after_the_day()];
}

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let psbts = day::calls().into_iter().filter_map(|call| match call {
        Call::SignPsbt(psbt) => Some(psbt),
        _ => None,
    });
    day::of_each_length(psbts)
}

fn run(input: &[u8]) {
    let Ok(request) = node::parse(input) else { return };
    NODES.with(|nodes| {
        for node in nodes {
            let ask = node.asked(&request).ask;
            assert_eq!(ask.outputs.len(), request.transaction().output.len());
            assert_eq!(ask.inputs.len(), request.transaction().input.len());
        }
    });
    answer(input, &request);
}

/// The answer keeps every byte that came, in order, and asks for nothing more.
fn answer(input: &[u8], request: &SignRequest) {
    let one = [[0; 31].as_slice(), &[1]].concat();
    let signatures: Vec<_> = request
        .to_sign()
        .iter()
        .map(|to_sign| {
            let signature = match to_sign.tap {
                None => ecdsa::Signature::from_compact(&one.repeat(2)).map(SpendSignature::Ecdsa),
                Some(_) => schnorr::Signature::from_slice(&one.repeat(2)).map(SpendSignature::Schnorr),
            };
            (to_sign.index, signature.expect("r = 1 and s = 1"))
        })
        .collect();
    let answer = request.answer(&signatures).expect("a signature for each that is asked for");
    let mut rest = answer.iter();
    assert!(input.iter().all(|byte| rest.any(|kept| kept == byte)), "the answer lost bytes of the request");
    let again = node::parse(&answer).err();
    assert!(matches!(again, Some(Malformed::NothingToSign { .. })), "{again:?} of an answer");
}

strongroom_fuzz::target!(seeds, run);
