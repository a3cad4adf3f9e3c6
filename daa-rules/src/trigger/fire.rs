//! Whether a triggered rule fires, and what it does then. Pure.

use daa_core::action::Request;
use daa_core::amount::{Currency, Money};
use daa_core::id::ActionKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Cost, Emit, Member, Notify, Stimulus, TriggeredRule};
use crate::condition::{Amount, Budget, Indeterminate};
use crate::limits::Limits;

/// What a rule does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// The parameters that it sets.
    pub(crate) sets: Map<String, Value>,
    /// Whether they would be others, or none, without what is redacted.
    pub(crate) sets_what_is_redacted: bool,
    pub(crate) notified: Option<Notified>,
    pub(crate) emitted: Option<Emitted>,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notified {
    /// What it is called, as `[notification.NAME]` declares it.
    pub name: String,
    /// What people are told.
    pub text: String,
    /// What programs are told.
    pub data: Map<String, Value>,
}

/// An action that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Emitted {
    /// Its kind.
    pub kind: ActionKind,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// What it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
}

impl TriggeredRule {
    /// Whether its condition holds.
    pub(crate) fn holds(&self, request: &Request<'_>, budget: &mut Budget) -> Result<bool, Indeterminate> {
        match &self.condition {
            None => Ok(true),
            Some(condition) if condition.guards().iter().any(|guard| guard.is_false(request)) => Ok(false),
            Some(condition) => condition.holds(request, budget),
        }
    }

    /// What it does about this: all of it, or nothing.
    pub(crate) fn respond(&self, about: &Stimulus, budget: &mut Budget) -> Result<Response, Indeterminate> {
        let request = &about.request();
        let (mut sets, mut sets_what_is_redacted) = (Map::new(), false);
        for set in &self.effects.set {
            let value = set.0.template.fill(request, budget)?;
            sets_what_is_redacted |= about.redacts()
                && set.0.template.fill(&about.told(), budget).map_or(true, |told| told != value);
            sets.insert(set.0.name.clone(), value);
        }
        let notified = self.effects.notify.as_ref().map(|notify| notify.fill(about, budget)).transpose()?;
        let emitted = self.effects.emit.as_ref().map(|emit| emit.fill(request, budget)).transpose()?;
        Ok(Response { sets, sets_what_is_redacted, notified, emitted })
    }
}

impl Notify {
    /// What cannot be told without what is redacted is redacted too.
    fn fill(&self, about: &Stimulus, budget: &mut Budget) -> Result<Notified, Indeterminate> {
        let (told, redacts) = (&about.told(), about.redacts());
        let mut data = Map::new();
        for member in &self.data {
            let value = match member.fill(told, budget) {
                Err(_) if redacts => json!({ "redacted": true }),
                value => value?,
            };
            data.insert(member.name.clone(), value);
        }
        let mut text = String::new();
        for piece in &self.text {
            match piece.fill(told, budget) {
                Err(_) if redacts => text.push_str("[redacted]"),
                part => text.push_str(&part?),
            }
            if text.len() > Limits::TEXT {
                return Err(Indeterminate::Built);
            }
        }
        Ok(Notified { name: self.name.clone(), text, data })
    }
}

impl Emit {
    fn fill(&self, request: &Request<'_>, budget: &mut Budget) -> Result<Emitted, Indeterminate> {
        let params = Member::fill_all(&self.params, request, budget)?;
        let cost = self.cost.as_ref().map(|cost| cost.fill(request, budget)).transpose()?;
        Ok(Emitted { kind: self.kind.clone(), params, cost })
    }
}

impl Cost {
    /// An amount that its currency has: nothing is rounded.
    fn fill(&self, request: &Request<'_>, budget: &mut Budget) -> Result<Money, Indeterminate> {
        let value = self.of.json(request, budget)?;
        let text = value.as_str().unwrap_or_default();
        let wrong = || Indeterminate::Conversion("cost");
        let amount = Amount::parse(text).ok_or_else(wrong)?;
        let currency = Currency::new(amount.code(), self.decimals).map_err(|_| wrong())?;
        let money = amount.within(currency).ok_or_else(wrong)?;
        if Amount::of(money) == Some(amount) { Ok(money) } else { Err(wrong()) }
    }
}
