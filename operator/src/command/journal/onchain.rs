//! What happened on the chain, in words.

use strongroom_audit::Event;

use crate::wording::{list, number, plain, sat};

/// A leaf about the chain; empty for any other.
pub fn line(event: &Event) -> String {
    match event {
        Event::ChainAnchored { height, block } => {
            format!("chain followed from height {}, {}", number((*height).into()), plain(block))
        }
        Event::ChainReorganised { depth, fork, from, to, unconfirmed } => format!(
            "chain REORGANISED {depth} deep above {}: {} is now {}, unconfirmed again: {}",
            number((*fork).into()),
            plain(from),
            plain(to),
            list(unconfirmed)
        ),
        Event::ChainStale { height, because } => {
            let height = height.map_or("no block".to_owned(), |height| number(height.into()));
            format!("chain STALE at {height}: {}", plain(because))
        }
        Event::ChainRefused { name, because } => {
            format!("chain REFUSED, {}: {}", plain(name), plain(because))
        }
        Event::ChainFollowed { height, block } => {
            format!("chain followed again at {}, {}", number((*height).into()), plain(block))
        }
        Event::ChainContradicted { name, because } => {
            format!("chain CONTRADICTED, {}: {}", plain(name), plain(because))
        }
        Event::ChainAccepted { block, against } => {
            format!("chain accepted from {}, against: {}", plain(block), plain(against))
        }
        Event::FundingConfirmed { channel, height, sat: pays, as_signed } => {
            let other = if *as_signed { "" } else { ", NOT THE OUTPUT SIGNED FOR" };
            format!(
                "funding of {} confirmed at {}: {}{other}",
                plain(channel),
                number((*height).into()),
                sat(*pays)
            )
        }
        Event::ChannelClosed { channel, txid, height, with } => format!(
            "channel {} closed at {} by {}: {}",
            plain(channel),
            number((*height).into()),
            plain(txid),
            plain(with)
        ),
        Event::DeadlineNear { channel, expiry, height } => format!(
            "HTLC DEADLINE of {} at {}, the chain is at {}, and nothing was signed",
            plain(channel),
            number((*expiry).into()),
            number((*height).into())
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_words_and_none_speaks_to_the_terminal() {
        let evil = || "\x1b[2J".to_owned();
        let events = [
            (Event::ChainAnchored { height: 850_000, block: evil() }, "850,000"),
            (
                Event::ChainReorganised {
                    depth: 3,
                    fork: 9,
                    from: evil(),
                    to: evil(),
                    unconfirmed: vec![evil(), "a:1".into()],
                },
                "REORGANISED 3 deep",
            ),
            (Event::ChainStale { height: None, because: evil() }, "STALE at no block"),
            (Event::ChainStale { height: Some(7), because: evil() }, "STALE at 7"),
            (Event::ChainRefused { name: "wrong-network".into(), because: evil() }, "wrong-network"),
            (Event::ChainFollowed { height: 7, block: evil() }, "again at 7"),
            (Event::ChainContradicted { name: evil(), because: "seven deep".into() }, "seven deep"),
            (Event::ChainAccepted { block: "00ab".into(), against: evil() }, "from 00ab"),
            (
                Event::FundingConfirmed { channel: evil(), height: 7, sat: 1_000, as_signed: false },
                "1,000 sat, NOT THE OUTPUT SIGNED FOR",
            ),
            (
                Event::ChannelClosed {
                    channel: evil(),
                    txid: evil(),
                    height: 7,
                    with: "mutual-close".into(),
                },
                "mutual-close",
            ),
            (Event::DeadlineNear { channel: evil(), expiry: 9, height: 7 }, "at 9, the chain is at 7"),
        ];
        for (event, says) in events {
            let line = line(&event);
            assert!(line.contains(says) && !line.contains('\x1b'), "{line}");
        }
        assert!(
            !line(&Event::FundingConfirmed { channel: "a".into(), height: 1, sat: 1, as_signed: true })
                .contains("NOT")
        );
    }
}
