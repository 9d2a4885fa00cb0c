//! What would be refused, asked before lnd begins: the same rules over the same books. Nothing is charged or recorded.

use bitcoin::Amount;
use strongroom_lightning::Terms;
use strongroom_lightning::preflight::{Foreseen, Intent};
use strongroom_lightning::vls::Places;
use strongroom_policy::rules::mutual_close_balance;
use strongroom_policy::{Ask, Case, ClientName, NodeName, Operation, Violation};
use tokio::sync::oneshot;

use super::spend::vls_network;
use super::thread::Keeper;
use crate::refusal::Refusal;
use crate::share::Turn;

/// A question of an authenticated client, on its way to the journal.
pub struct Question {
    /// The node that would be asked.
    pub node: NodeName,
    /// Who asks.
    pub client: ClientName,
    /// What lnd's user wants.
    pub intent: Intent,
    /// Its place in the client's share, held until the question is answered.
    pub turn: Turn,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Forecast, Refusal>>,
}

/// What would be refused.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    /// By rules that are enforced; none if what is known is allowed.
    pub violations: Vec<Violation>,
    /// What nothing is said of, and what is refused only if it comes to the worst.
    pub not_checked: Vec<String>,
}

impl Forecast {
    /// Two requests for one purpose break a limit once.
    fn add(&mut self, mut found: Vec<Violation>) {
        found.retain(|violation| self.violations.iter().all(|before| before.tag != violation.tag));
        self.violations.extend(found);
    }
}

impl Keeper {
    /// Asks the rules about the requests that lnd would make.
    pub(super) fn preflight(
        &self,
        node: &NodeName,
        client: &ClientName,
        intent: &Intent,
    ) -> Result<Forecast, Refusal> {
        if let Some(violation) = self.policy.may_not_ask(client, node) {
            return Err(Refusal::Denied(vec![violation]));
        }
        if let Some(fault) = self.cannot_count() {
            return Err(Refusal::NotRecorded(fault));
        }
        let books =
            self.books.get(node).ok_or_else(|| Refusal::Sealed(format!("node {node} is not open")))?;
        let funded = match intent {
            Intent::Close(closing) => books.allowances.funded_by_us(&closing.channel),
            Intent::Payment(_) | Intent::Wallet(_) | Intent::Open(_) | Intent::Forward(_) => Amount::ZERO,
        };
        let terms = Terms {
            funded_by_us: funded > Amount::ZERO,
            now: self.now(),
            window: self.policy.window().seconds(),
            claim_seconds: self.policy.claim_seconds(),
        };
        let foresight = books.channels.foresee(intent, &books.accounts, terms);
        let mut forecast = Forecast { not_checked: foresight.unchecked, ..Forecast::default() };
        let places = Places {
            accounts: &books.accounts,
            allowed: self.policy.allowlist(),
            network: vls_network(self.policy.network()),
        };
        let theirs = books.vls.foresee(intent, &foresight.certain, places);
        for foreseen in foresight.certain {
            forecast.add(self.would_violate(node, client, foreseen)?);
        }
        // A channel that is not open yet is not known, and how many HTLCs it has by then neither: only where the money goes.
        for foreseen in foresight.at_its_end {
            let mut found = self.would_violate(node, client, foreseen)?;
            found.retain(|violation| violation.tag == mutual_close_balance::TAG.0);
            forecast.add(found);
        }
        forecast.add(self.policy.vls().split(theirs).0);
        if let Intent::Open(opening) = intent {
            forecast.add(self.may_open(node, books, opening));
            if opening.channels.iter().any(|channel| channel.peer.is_none()) {
                forecast.not_checked.push("the peer, which is not named".to_owned());
            }
        }
        for (when, foreseen) in foresight.possible {
            let found = self.would_violate(node, client, foreseen)?;
            if forecast.violations.is_empty() && !found.is_empty() {
                forecast.not_checked.push(format!("{when} it is {}", Refusal::Denied(found)));
            }
        }
        Ok(forecast)
    }

    /// What the enforced rules have against a request that is not made yet.
    fn would_violate(
        &self,
        node: &NodeName,
        client: &ClientName,
        foreseen: Foreseen,
    ) -> Result<Vec<Violation>, Refusal> {
        let Foreseen { ask, update, reservations, funded_by_us } = foreseen;
        let (mut facts, _) = self.spend_facts(node, &ask)?;
        facts.update = update;
        facts.open_reservations = facts.open_reservations.saturating_add(reservations);
        facts.funded_by_us = facts.funded_by_us.max(funded_by_us);
        // No key is named in it, so whose right it is to sign is left to the request itself.
        let case = Case {
            node: node.clone(),
            client: client.clone(),
            operation: Operation::SignPsbt,
            ask: Ask::Spend(ask),
        };
        Ok(self.policy.decide(&case, &facts).enforced)
    }
}
