//! What an agent wants done.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, LazyLock, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::amount::Money;
use crate::digest::{Digest, DigestBuilder};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{ActionId, ActionKind, AgentId, StreamId};

/// The largest parameters of an action, the largest context and the largest output, as bytes of JSON (64 KiB).
pub const MAX_PARAMS: usize = 64 << 10;
/// What the ids of actions begin with that rules ask for: the gate takes them from [nobody else](super::Gate::reserved).
pub const RESERVED_IDS: &str = "rules/";
/// The deepest nesting in parameters and context.
const MAX_DEPTH: usize = 32;
/// The longest action id: its stream name must fit in an id too.
const MAX_ACTION_ID: usize = 180;

/// Something an agent wants done: data, without any power of its own.
///
/// ```
/// use daa_core::action::Action;
/// use daa_core::amount::Currency;
///
/// let usdc = Currency::new("USDC", 6)?;
/// let action = Action::new("pay-0001".try_into()?, "payment.send".try_into()?, "treasurer".try_into()?)?
///     .with_params(serde_json::json!({ "to": "0xabc", "amount": "12.50" }))?
///     .with_max_cost(usdc.parse("12.60")?);
/// assert_eq!(action.kind().as_str(), "payment.send");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Action(Arc<Wanted>);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename = "Action")]
struct Wanted {
    /// Once it is asked for.
    #[serde(skip)]
    stream: OnceLock<StreamId>,
    id: ActionId,
    kind: ActionKind,
    actor: AgentId,
    params: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_cost: Option<Money>,
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        let Self { stream: _, id, kind, actor, params, max_cost } = self;
        (id, kind, actor, params, max_cost)
            == (&other.id, &other.kind, &other.actor, &other.params, &other.max_cost)
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wanted::deserialize(deserializer).map(|wanted| Self(Arc::new(wanted)))
    }
}

impl Action {
    /// An action without parameters and without cost.
    ///
    /// `id` is the idempotency key: one id takes effect at most once, also across restarts.
    ///
    /// # Errors
    /// [`ActionError::IdTooLong`] beyond 180 bytes.
    pub fn new(id: ActionId, kind: ActionKind, actor: AgentId) -> Result<Self, ActionError> {
        if id.as_str().len() > MAX_ACTION_ID {
            return Err(ActionError::IdTooLong { len: id.as_str().len() });
        }
        let params = Value::Object(serde_json::Map::new());
        Ok(Self(Arc::new(Wanted { stream: OnceLock::new(), id, kind, actor, params, max_cost: None })))
    }

    /// Sets the parameters.
    ///
    /// # Errors
    /// [`ActionError::TooLarge`] beyond [`MAX_PARAMS`] bytes of JSON, [`ActionError::TooDeep`] beyond 32 levels.
    pub fn with_params(mut self, params: Value) -> Result<Self, ActionError> {
        check_value("parameters", &params)?;
        Arc::make_mut(&mut self.0).params = params;
        Ok(self)
    }

    /// Sets the most that the action may cost. It is reserved before the effect and settled after it.
    #[must_use]
    pub fn with_max_cost(mut self, cost: Money) -> Self {
        Arc::make_mut(&mut self.0).max_cost = Some(cost);
        self
    }

    /// The same action under another id, in somebody's name.
    pub(crate) fn renamed(mut self, id: ActionId, actor: AgentId) -> Result<Self, ActionError> {
        let wanted = Arc::make_mut(&mut self.0);
        (wanted.id, wanted.actor, wanted.stream) = (id, actor, OnceLock::new());
        self.check().map(|()| self)
    }

    /// The idempotency key.
    #[must_use]
    pub fn id(&self) -> &ActionId {
        &self.0.id
    }

    /// What kind of action it is.
    #[must_use]
    pub fn kind(&self) -> &ActionKind {
        &self.0.kind
    }

    /// Who wants it.
    #[must_use]
    pub fn actor(&self) -> &AgentId {
        &self.0.actor
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &Value {
        &self.0.params
    }

    pub(super) fn params_mut(&mut self) -> &mut Value {
        &mut Arc::make_mut(&mut self.0).params
    }

    /// The most it may cost; `None` when it costs nothing.
    #[must_use]
    pub fn max_cost(&self) -> Option<Money> {
        self.0.max_cost
    }

    /// The digest that decisions and approvals are bound to. Every field is covered; objects are hashed by
    /// sorted key, so that it does not depend on how a JSON library orders them.
    #[must_use]
    pub fn digest(&self) -> Digest {
        static BEGUN: LazyLock<DigestBuilder> = LazyLock::new(|| Digest::builder("daa action v1"));
        let mut builder = BEGUN.clone();
        builder.add(self.0.id.as_str().as_bytes());
        builder.add(self.0.kind.as_str().as_bytes());
        builder.add(self.0.actor.as_str().as_bytes());
        hash_value(&mut builder, &self.0.params);
        match self.0.max_cost {
            None => builder.add(b"free"),
            Some(cost) => {
                builder.add(b"cost");
                builder.add(&cost.amount().units().to_le_bytes());
                builder.add(cost.currency().code().as_bytes());
                builder.add(&[cost.currency().decimals()]);
            }
        }
        builder.finish()
    }

    /// The stream that the life of this action is written to.
    ///
    /// # Errors
    /// [`ActionError::IdTooLong`] for an action that was deserialised with too long an id.
    pub fn stream(&self) -> Result<StreamId, ActionError> {
        if let Some(stream) = self.0.stream.get() {
            return Ok(stream.clone());
        }
        let stream = stream_of(&self.0.id)?;
        Ok(self.0.stream.get_or_init(|| stream).clone())
    }

    /// Checks every bound: what was deserialised has not passed the constructors.
    pub(crate) fn check(&self) -> Result<(), ActionError> {
        check_id(&self.0.id)?;
        check_value("parameters", &self.0.params)
    }
}

/// What the names of the streams of actions begin with.
pub(super) const STREAMS: &str = "action/";

pub(crate) fn stream_of(id: &ActionId) -> Result<StreamId, ActionError> {
    check_id(id)?;
    StreamId::joined(&[STREAMS, id.as_str()]).map_err(|_| ActionError::IdTooLong { len: id.as_str().len() })
}

fn check_id(id: &ActionId) -> Result<(), ActionError> {
    let len = id.as_str().len();
    if len > MAX_ACTION_ID { Err(ActionError::IdTooLong { len }) } else { Ok(()) }
}

pub(crate) fn check_value(what: &'static str, value: &Value) -> Result<(), ActionError> {
    let most = most_json(what, value, 0)?;
    check_size(what, value, most)
}

/// `most` is how many bytes of JSON there are at the most: what is small anyway need not be written to be measured.
pub(super) fn check_size(what: &'static str, value: &impl Serialize, most: usize) -> Result<(), ActionError> {
    if most <= MAX_PARAMS {
        return Ok(());
    }
    let actual = json_len(value);
    if actual > MAX_PARAMS {
        return Err(ActionError::TooLarge { what, actual, limit: MAX_PARAMS });
    }
    Ok(())
}

/// How many bytes of JSON a value takes.
pub(crate) fn json_len(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

/// Counts what is written, and keeps nothing of it.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The most bytes of JSON that a value can take, which is quicker to tell than how many it takes; and whether it is
/// not nested too deeply.
pub(super) fn most_json(what: &'static str, value: &Value, depth: usize) -> Result<usize, ActionError> {
    /// The longest number: a float of 17 digits with sign, point and exponent.
    const NUMBER: usize = 25;
    if depth > MAX_DEPTH {
        return Err(ActionError::TooDeep { what, limit: MAX_DEPTH });
    }
    Ok(match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => NUMBER,
        Value::String(text) => most_text(text),
        Value::Array(items) => {
            let mut most = 2;
            for item in items {
                most += 1 + most_json(what, item, depth + 1)?;
            }
            most
        }
        Value::Object(map) => {
            let mut most = 2;
            for (name, item) in map {
                most += 2 + most_text(name) + most_json(what, item, depth + 1)?;
            }
            most
        }
    })
}

/// Each byte may become a `\uXXXX`.
pub(super) const fn most_text(text: &str) -> usize {
    2 + 6 * text.len()
}

/// Hashes a JSON value: a tag for its type, then its content; containers with their length first.
pub(crate) fn hash_value(builder: &mut DigestBuilder, value: &Value) {
    match value {
        Value::Null => builder.add(b"null"),
        Value::Bool(bool) => builder.add(if *bool { b"true" } else { b"false" }),
        Value::Number(number) => {
            builder.add(b"number");
            builder.add(number.to_string().as_bytes());
        }
        Value::String(text) => {
            builder.add(b"string");
            builder.add(text.as_bytes());
        }
        Value::Array(items) => {
            builder.add(b"array");
            builder.add(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hash_value(builder, item));
        }
        Value::Object(map) => {
            builder.add(b"object");
            builder.add(&(map.len() as u64).to_le_bytes());
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            for (key, item) in sorted {
                builder.add(key.as_bytes());
                hash_value(builder, item);
            }
        }
    }
}

/// An action or a context that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// An id that leaves no room for the name of its stream.
    #[error("an action id has at most {MAX_ACTION_ID} bytes, this one has {len}")]
    IdTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Too much JSON.
    #[error("the {what} of the action take {actual} bytes, at most {limit} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes of JSON.
        actual: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// An id that only rules may use.
    #[error("ids that begin with {RESERVED_IDS:?} are those of actions that rules ask for, and {id} is not")]
    Reserved {
        /// The id.
        id: ActionId,
    },
    /// Too deeply nested JSON.
    #[error("the {what} of the action are nested more than {limit} levels deep")]
    TooDeep {
        /// What is too deep.
        what: &'static str,
        /// How deep is allowed.
        limit: usize,
    },
}

impl Reaction for ActionError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action() -> Action {
        let currency = crate::amount::Currency::new("USD", 2).unwrap();
        Action::new("a1".parse().unwrap(), "payment.send".parse().unwrap(), "alice".parse().unwrap())
            .unwrap()
            .with_params(json!({ "b": [1, 2.5, null, true], "a": { "x": "y" } }))
            .unwrap()
            .with_max_cost(currency.units(100))
    }

    #[test]
    fn every_field_changes_the_digest() {
        let original = serde_json::to_value(action()).unwrap();
        let changes = [
            ("id", json!("a2")),
            ("kind", json!("payment.sent")),
            ("actor", json!("bob")),
            ("params", json!({ "b": [1, 2.5, null, false], "a": { "x": "y" } })),
            ("params", json!({ "b": [1, 2.5, null, true], "a": { "x": "z" } })),
            ("params", json!({ "b": [1, 2.5, null, true], "a": { "z": "y" } })),
            ("params", json!({ "b": ["1", 2.5, null, true], "a": { "x": "y" } })),
            ("max_cost", json!(null)),
            ("max_cost", json!({ "amount": "101", "currency": { "code": "USD", "decimals": 2 } })),
            ("max_cost", json!({ "amount": "100", "currency": { "code": "EUR", "decimals": 2 } })),
            ("max_cost", json!({ "amount": "100", "currency": { "code": "USD", "decimals": 3 } })),
        ];
        for (field, value) in changes {
            let mut changed = original.clone();
            changed[field] = value;
            let changed: Action = serde_json::from_value(changed).unwrap();
            assert_ne!(changed.digest(), action().digest(), "{field} is not covered");
        }
        let same: Action = serde_json::from_value(original).unwrap();
        assert_eq!(same.digest(), action().digest());
    }

    #[test]
    fn refuses_what_is_too_large_or_too_deep() {
        let large = action().with_params(json!({ "blob": "x".repeat(MAX_PARAMS) }));
        assert!(matches!(large, Err(ActionError::TooLarge { limit: MAX_PARAMS, .. })));
        let mut deep = json!(1);
        for _ in 0..40 {
            deep = json!([deep]);
        }
        assert_eq!(
            action().with_params(deep),
            Err(ActionError::TooDeep { what: "parameters", limit: MAX_DEPTH })
        );
        let long = Action::new("a".repeat(181).parse().unwrap(), "k".parse().unwrap(), "x".parse().unwrap());
        assert_eq!(long, Err(ActionError::IdTooLong { len: 181 }));
    }
}
