//! A request that somebody wrote down.

use std::collections::BTreeMap;
use std::io;

use daa_core::action::{Action, ActionError, Context, Request};
use daa_core::amount::{AmountError, Currency, Money};
use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::IdError;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::ruleset::Ruleset;

/// A request by itself: what rules are asked in a test or a simulation.
///
/// ```
/// use daa_rules::Case;
///
/// let case = Case::from_json(r#"{
///     "action": { "kind": "payment.send", "params": { "to": "bob" }, "cost": "12.50 USDC" },
///     "context": { "trusted": true }
/// }"#)?;
/// assert_eq!(case.request().action.max_cost().map(|cost| cost.to_string()), Some("12.50 USDC".to_owned()));
/// # Ok::<(), daa_rules::CaseError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    action: Action,
    context: Context,
    given: Option<Context>,
    now: Timestamp,
}

/// What is written down. What is missing is something that hardly any rule is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    action: WrittenAction,
    #[serde(default)]
    context: Map<String, Value>,
    #[serde(default)]
    given: BTreeMap<String, Map<String, Value>>,
    /// In milliseconds since 1970.
    #[serde(default)]
    now: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAction {
    kind: String,
    #[serde(default = "some_id")]
    id: String,
    #[serde(default = "some_actor")]
    actor: String,
    #[serde(default)]
    params: Map<String, Value>,
    #[serde(default)]
    cost: Option<Cost>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Cost {
    Text(String),
    Exact(Money),
}

fn some_id() -> String {
    "case".to_owned()
}

fn some_actor() -> String {
    "agent".to_owned()
}

/// A request that makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// It is not JSON, or not a request.
    #[error("the request is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// A name that is none.
    #[error("{field} of the action is no name")]
    Name {
        /// What should be a name.
        field: &'static str,
        /// Why it is none.
        source: IdError,
    },
    /// The action or its parameters are too large.
    #[error("the action is not valid")]
    Action(#[from] ActionError),
    /// A cost that is no amount of money.
    #[error("{text:?} is not money, expected an amount and a currency such as \"12.50 USDC\"")]
    Cost {
        /// The text.
        text: String,
        /// What is wrong with the amount or the currency; `None` where one of them is missing.
        source: Option<AmountError>,
    },
    /// A time that is none.
    #[error("{text:?} is no time such as \"2026-03-29T01:00:00Z\"")]
    Time {
        /// The text.
        text: String,
    },
    /// Nothing happened, or several things.
    #[error("what happened is one of event, schedule and threshold")]
    Nothing,
    /// It cannot be read.
    #[error("the request cannot be read")]
    Read(#[from] io::Error),
}

impl Reaction for CaseError {
    fn fault(&self) -> Fault {
        match self {
            Self::Read(_) => Fault::Environment,
            Self::Json(_) | Self::Name { .. } | Self::Action(_) | Self::Cost { .. } => Fault::Caller,
            Self::Time { .. } | Self::Nothing => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Read(_) => Retry::Later,
            Self::Json(_) | Self::Name { .. } | Self::Action(_) | Self::Cost { .. } => Retry::Never,
            Self::Time { .. } | Self::Nothing => Retry::Never,
        }
    }
}

impl Case {
    /// A request by itself.
    #[must_use]
    pub const fn new(action: Action, context: Context, now: Timestamp) -> Self {
        Self { action, context, given: None, now }
    }

    /// The same, with what was gathered for it under names such as `window.daily`.
    #[must_use]
    pub fn with_given(self, given: Context) -> Self {
        Self { given: Some(given), ..self }
    }

    /// The same under a ruleset: its parameters that are not given are what they are declared to be.
    #[must_use]
    pub fn under(self, ruleset: &Ruleset) -> Self {
        let given = with_parameters(ruleset, self.given.clone().unwrap_or_default());
        if given.is_empty() { self } else { self.with_given(given) }
    }

    /// Reads `{"action": {"kind", "id", "actor", "params", "cost"}, "context": {...}, "given": {...}, "now": milliseconds}`;
    /// all but `action` and its kind may be left out. `given` is what would be gathered, such as
    /// `{"window": {"daily": "12 USDC"}, "parameter": {"most": 5}}`.
    ///
    /// A cost such as `"12.50 USDC"` is in a currency of as many decimal places as are written. For another
    /// number of them write `{"amount": "12500000", "currency": {"code": "USDC", "decimals": 6}}`.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn from_json(text: &str) -> Result<Self, CaseError> {
        Self::from_value(serde_json::from_str(text)?)
    }

    pub(crate) fn from_value(value: Value) -> Result<Self, CaseError> {
        let Written { action, context, given, now } = serde_json::from_value(value)?;
        let name = |field| move |source| CaseError::Name { field, source };
        let id = action.id.parse().map_err(name("id"))?;
        let kind = action.kind.parse().map_err(name("kind"))?;
        let actor = action.actor.parse().map_err(name("actor"))?;
        let mut wanted = Action::new(id, kind, actor)?.with_params(Value::Object(action.params))?;
        if let Some(cost) = action.cost {
            wanted = wanted.with_max_cost(cost.money()?);
        }
        let context =
            context.into_iter().fold(Context::new(), |context, (name, fact)| context.with(name, fact));
        let given = (!given.is_empty()).then(|| flat(given));
        Ok(Self { action: wanted, context, given, now: Timestamp::from_millis(now) })
    }

    /// The request.
    #[must_use]
    pub const fn request(&self) -> Request<'_> {
        let request = Request::new(&self.action, &self.context, self.now);
        match &self.given {
            Some(given) => request.with_given(given),
            None => request,
        }
    }
}

/// What is given, under the names that conditions have for it.
pub(crate) fn flat(given: BTreeMap<String, Map<String, Value>>) -> Context {
    let all = given.into_iter().flat_map(|(root, names)| {
        names.into_iter().map(move |(name, value)| (format!("{root}.{name}"), value))
    });
    all.fold(Context::new(), |context, (name, value)| context.with(name, value))
}

/// What is given, with the parameters that are not.
pub(crate) fn with_parameters(ruleset: &Ruleset, given: Context) -> Context {
    ruleset.parameters().iter().fold(given, |given, parameter| {
        let path = format!("parameter.{}", parameter.name);
        if given.fact(&path).is_some() { given } else { given.with(path, parameter.value.clone()) }
    })
}

impl Cost {
    fn money(self) -> Result<Money, CaseError> {
        let text = match self {
            Self::Exact(money) => return Ok(money),
            Self::Text(text) => text,
        };
        let bad = |text: &str, source| CaseError::Cost { text: text.chars().take(64).collect(), source };
        let Some((amount, code)) = text.split_once(' ') else { return Err(bad(&text, None)) };
        let decimals = amount.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let decimals = u8::try_from(decimals).unwrap_or(u8::MAX);
        let money = Currency::new(code, decimals).and_then(|currency| currency.parse(amount));
        money.map_err(|source| bad(&text, Some(source)))
    }
}
