//! A leaf in a line or two, for people.

use strongroom_audit::{Ask, Decision, Event, Gossip, Leaf, Spend, TurnedAwayTally, Verdict, Violation};

use crate::wording::{list, number, plain, sat, time, time_ms};

/// The leaf in words; reasons of a refusal on lines of their own.
pub fn line(leaf: &Leaf) -> String {
    format!("{:>8}  {}  {}", leaf.index, time_ms(leaf.time), event(&leaf.event))
}

fn event(event: &Event) -> String {
    match event {
        Event::Decision(decision) => self::decision(decision),
        Event::Gossip(gossip) => self::gossip(gossip),
        Event::Started { version, network, .. } => {
            format!("started {} on {}", plain(version), plain(network))
        }
        Event::Stopped { reason } => format!("stopped: {}", plain(reason)),
        Event::Initialised { token, audit_key } => {
            format!("initialised {}, audit key {}", plain(token), plain(audit_key))
        }
        Event::Unsealed { nodes } => format!("unsealed: {}", list(nodes)),
        Event::Sealed { reason } => format!("sealed: {}", plain(reason)),
        Event::NodeAdded { node, identity, seed_origin } => {
            format!("node {} added: {}, seed {}", plain(node), plain(identity), plain(seed_origin))
        }
        Event::PolicyLoaded { policy, profile, observed_rules } => {
            format!("policy {} loaded: {policy}, only observed: {}", plain(profile), list(observed_rules))
        }
        Event::ChecksInForce { policy, tier, checks } => {
            format!("checks of {} kinds of request at tier {}, policy {policy}", checks.len(), plain(tier))
        }
        Event::MacaroonMinted { id, node, client, expires, .. } => {
            let expires = expires.map_or("never".to_owned(), time);
            format!("macaroon {} minted: {} as {}, expires {expires}", plain(id), plain(node), plain(client))
        }
        Event::MacaroonRevoked { id } => format!("macaroon {} revoked", plain(id)),
        Event::LookaheadMoved { node, branch, index } => {
            format!("lookahead of {} moved: {}/{index} counts as used", plain(node), plain(branch))
        }
        Event::PaymentAuthorized { node, payment_hash, sat: amount, max_attempts, expires, label } => {
            format!(
                "payment of {} authorised for {}: {}, {max_attempts} attempts until {}{}",
                plain(payment_hash),
                plain(node),
                sat(*amount),
                time(*expires),
                if label.is_empty() { String::new() } else { format!(", {}", plain(label)) },
            )
        }
        Event::CloseAllowed { node, channel, at_least_sat, expires } => format!(
            "close of {} of {} allowed until {}, if it pays us at least {}",
            plain(channel),
            plain(node),
            time(*expires),
            sat(*at_least_sat),
        ),
        Event::ChainAnchored { .. }
        | Event::ChainReorganised { .. }
        | Event::ChainStale { .. }
        | Event::ChainRefused { .. }
        | Event::ChainFollowed { .. }
        | Event::ChainContradicted { .. }
        | Event::ChainAccepted { .. }
        | Event::FundingConfirmed { .. }
        | Event::ChannelClosed { .. }
        | Event::DeadlineNear { .. } => super::onchain::line(event),
        Event::TurnedAway { from, until, tallies } => {
            let seconds = until.saturating_sub(*from).div_ceil(1000);
            let requests = tallies.iter().fold(0, |sum: u64, tally| sum.saturating_add(tally.requests));
            let mut text = format!("turned away {} in {seconds} s", number(requests));
            tallies.iter().for_each(|tally| text += &turned_away(tally));
            text
        }
    }
}

fn turned_away(tally: &TurnedAwayTally) -> String {
    let of = |word: &str, name: &Option<String>| {
        name.as_deref().map_or(String::new(), |name| format!(" {word} {}", plain(name)))
    };
    let (who, address) = (of("as", &tally.who), of("from", &tally.address));
    format!("\n{:>10}{}{who}{address}: {}", "", number(tally.requests), plain(&tally.why))
}

fn decision(decision: &Decision) -> String {
    let verdict = match &decision.verdict {
        Verdict::Approved { .. } => "approved".to_owned(),
        Verdict::Repeated { first: Some(first) } => format!("repeated {first}"),
        Verdict::Repeated { first: None } => "repeated".to_owned(),
        Verdict::Refused { .. } => "REFUSED".to_owned(),
    };
    let who = format!("{}/{}", plain(&decision.node), plain(&decision.client));
    let mut text = format!("{verdict:<9} {who}  {}  {}", plain(&decision.operation), ask(&decision.what));
    if let Some(tier) = &decision.tier {
        text += &format!(", at {}", plain(tier));
    }
    if let Verdict::Refused { enforced } = &decision.verdict {
        enforced.iter().for_each(|violation| text += &reason("refused", violation));
    }
    decision.observed.iter().for_each(|violation| text += &reason("observed", violation));
    text
}

fn reason(what: &str, violation: &Violation) -> String {
    let Violation { tag, value, limit } = violation;
    format!("\n{:>10}{what} {}: {}; allowed: {}", "", plain(tag), plain(value), plain(limit))
}

fn ask(ask: &Ask) -> String {
    match ask {
        Ask::Spend(spend) => self::spend(spend),
        Ask::Message { key, kind, detail } => {
            let detail = detail.as_deref().map_or(String::new(), |detail| format!(" {}", plain(detail)));
            format!("{} by {}{detail}", plain(kind), plain(key))
        }
        Ask::Ecdh { key, purpose } => format!("{} by {}", plain(purpose), plain(key)),
        Ask::Musig2 { key, step } => format!("{} by {}", plain(step), plain(key)),
        Ask::Malformed { why } => format!("malformed: {}", plain(why)),
    }
}

fn spend(spend: &Spend) -> String {
    let mut text = format!("{} {}", plain(&spend.kind), plain(&spend.txid));
    if let Some(number) = spend.commitment {
        text += &format!(" number {number}");
    }
    if let Some(channel) = &spend.channel {
        text += &format!(" of {}", plain(channel));
    }
    if spend.paid_out_sat > 0 {
        text += &format!(", pays out {}", sat(spend.paid_out_sat));
    }
    if let Some(fee) = spend.fee_sat {
        text += &format!(", fee {}", sat(fee));
    }
    text
}

fn gossip(gossip: &Gossip) -> String {
    let class =
        |class: &strongroom_audit::ClassTally| format!("{} {}", number(class.approved), plain(&class.class));
    let classes: Vec<String> = gossip.classes.iter().map(class).collect();
    let seconds = gossip.until.saturating_sub(gossip.from).div_ceil(1000);
    let who = format!("{}/{}", plain(&gossip.node), plain(&gossip.client));
    let refused: Vec<String> =
        gossip.refused.iter().map(|c| format!("{} {}", number(c.refused), plain(&c.class))).collect();
    if refused.is_empty() {
        return format!("approved  {who}  in {seconds} s: {}", list(&classes));
    }
    let approved = if classes.is_empty() { "none".to_owned() } else { list(&classes) };
    format!(
        "flood     {who}  in {seconds} s: approved {approved}, refused beyond those listed {}",
        list(&refused)
    )
}
