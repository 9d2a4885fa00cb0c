//! What an auditor reads: a leaf, a header, a signed head, a whole export. Each has one spelling.

#![no_main]

use std::path::Path;

use strongroom_audit::{
    AuditKey, Chain, Event, Header, LEAF_BYTES_MAX, Leaf, SignedHead, Tally, Trust, head_line, verify_export,
};

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/tests/cmd/journal.in");
    let files = std::fs::read_dir(folder).expect("the exports of the operator's tests");
    let files = files.map(|file| std::fs::read(file.expect("a file").path()).expect("its bytes"));
    files.flat_map(|file| {
        let mut inputs: Vec<Vec<u8>> = file.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        inputs.push(file);
        inputs
    })
}

fn run(input: &[u8]) {
    if let Ok(leaf) = Leaf::parse(input) {
        assert_eq!(leaf.encode(), input);
        Tally::default().count(&leaf);
        recorded(leaf.event);
    }
    if let Ok(header) = Header::parse(input) {
        assert_eq!(header.to_line().as_bytes(), input);
    }
    if let Ok(report) = verify_export(input, &Trust::default()) {
        assert!(report.size >= report.from);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(signed) = text.parse::<AuditKey>() {
        assert_eq!(signed.to_string().parse::<AuditKey>(), Ok(signed));
    }
    if let Ok(head) = SignedHead::parse(text) {
        // Base64 is the one part that could be spelled in two ways.
        assert_eq!(head.to_text(), text);
        assert!(head_line(&head).len() < LEAF_BYTES_MAX);
    }
    // Large enough to be cut to size.
    let some: String = text.chars().take(200).collect();
    recorded(Event::Stopped { reason: some.repeat(400) });
    recorded(Event::Unsealed { nodes: vec![some; 400] });
}

/// An event that is recorded fits a leaf, and is read again.
fn recorded(event: Event) {
    let mut chain = Chain::genesis(&"strongroom/fuzz".parse().expect("an origin"));
    let recorded = chain.record(u64::MAX, event);
    assert!(recorded.bytes.len() <= LEAF_BYTES_MAX, "a leaf of {} bytes", recorded.bytes.len());
    assert_eq!(Leaf::parse(&recorded.bytes).expect("a leaf that was recorded is read"), recorded.leaf);
}

strongroom_fuzz::target!(seeds, run);
