//! Entities: those who act, what they belong to, what is acted on. And changes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use cedar_policy::{EntityTypeName, EntityUid};
use daa_core::id::{AgentId, MAX_ID_LEN};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::EntityError;

/// The type and the id of an entity, such as `DAA::Person::"alice"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Named", into = "Named")]
pub struct EntityId {
    kind: String,
    id: String,
}

#[derive(Serialize, Deserialize)]
struct Named {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

impl TryFrom<Named> for EntityId {
    type Error = EntityError;

    fn try_from(named: Named) -> Result<Self, EntityError> {
        Self::new(&named.kind, &named.id)
    }
}

impl From<EntityId> for Named {
    fn from(EntityId { kind, id }: EntityId) -> Self {
        Self { kind, id }
    }
}

impl EntityId {
    /// An entity of a type, which is written with its namespace.
    ///
    /// # Errors
    /// [`EntityError::Name`] for what is no type, and for an id that is empty, longer than 200 bytes, or has control
    /// characters.
    pub fn new(kind: &str, id: &str) -> Result<Self, EntityError> {
        let bad = |why: &str| EntityError::Name { text: format!("{kind}::{id:?}"), why: why.to_owned() };
        let parsed: EntityTypeName = kind.parse().map_err(|_| bad("the type is no name"))?;
        if parsed.to_string() != kind {
            return Err(bad("the type is not written plainly"));
        }
        if id.is_empty() || id.len() > MAX_ID_LEN {
            return Err(bad("an id has 1 to 200 bytes"));
        }
        if id.chars().any(char::is_control) {
            return Err(bad("an id has no control characters"));
        }
        Ok(Self { kind: kind.to_owned(), id: id.to_owned() })
    }

    /// A person, `DAA::Person`.
    #[must_use]
    pub fn person(id: &AgentId) -> Self {
        Self::of("DAA::Person", id)
    }

    /// An agent, `DAA::Agent`.
    #[must_use]
    pub fn agent(id: &AgentId) -> Self {
        Self::of("DAA::Agent", id)
    }

    /// A service, `DAA::Service`.
    #[must_use]
    pub fn service(id: &AgentId) -> Self {
        Self::of("DAA::Service", id)
    }

    /// A role, `DAA::Role`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn role(id: &str) -> Result<Self, EntityError> {
        Self::new("DAA::Role", id)
    }

    /// A team, `DAA::Team`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn team(id: &str) -> Result<Self, EntityError> {
        Self::new("DAA::Team", id)
    }

    fn of(kind: &str, id: &AgentId) -> Self {
        Self { kind: kind.to_owned(), id: id.as_str().to_owned() }
    }

    /// Its type, with the namespace.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its id among those of its type.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn json(&self) -> Value {
        json!({ "type": self.kind, "id": self.id })
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{:?}", self.kind, self.id)
    }
}

impl FromStr for EntityId {
    type Err = EntityError;

    fn from_str(text: &str) -> Result<Self, EntityError> {
        let bad = |why: String| EntityError::Name { text: text.to_owned(), why };
        if text.len() > 4 * MAX_ID_LEN {
            return Err(bad("it is too long".to_owned()));
        }
        let uid: EntityUid = text.parse().map_err(|why: cedar_policy::ParseErrors| bad(why.to_string()))?;
        Self::new(&uid.type_name().to_string(), uid.id().unescaped())
    }
}

/// An entity: what it is in, and what policies may know about it.
///
/// ```
/// use daa_rules::authorisation::{Entity, EntityId};
///
/// let alice = Entity::new(EntityId::person(&"alice".parse()?))
///     .in_group(EntityId::role("treasurer")?)
///     .with_tag("clearance", "high");
/// assert_eq!(alice.id().to_string(), "DAA::Person::\"alice\"");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    id: EntityId,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<EntityId>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, Value>,
}

impl Entity {
    /// An entity that is in nothing, and of which nothing is known.
    #[must_use]
    pub const fn new(id: EntityId) -> Self {
        Self { id, groups: BTreeSet::new(), attributes: BTreeMap::new(), tags: BTreeMap::new() }
    }

    /// It in one group more: a role, a team, or whatever the schema has.
    #[must_use]
    pub fn in_group(mut self, group: EntityId) -> Self {
        self.groups.insert(group);
        self
    }

    /// It with an attribute that the schema declares; an earlier one of that name is replaced. Entities are written
    /// `{"type": …, "id": …}`, values of Cedar's extensions as text.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// It with a tag; an earlier one of that name is replaced.
    #[must_use]
    pub fn with_tag(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.tags.insert(name.into(), value.into());
        self
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &EntityId {
        &self.id
    }

    /// What it is directly in.
    #[must_use]
    pub const fn groups(&self) -> &BTreeSet<EntityId> {
        &self.groups
    }

    /// It without a group.
    pub(super) fn out_of(mut self, group: &EntityId) -> Self {
        self.groups.remove(group);
        self
    }

    /// As Cedar writes it.
    pub(super) fn json(&self) -> Value {
        json!({
            "uid": self.id.json(),
            "parents": self.groups.iter().map(EntityId::json).collect::<Vec<_>>(),
            "attrs": self.attributes,
            "tags": self.tags,
        })
    }
}

/// A change of entities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntityChange {
    /// An entity is new, or is otherwise than it was.
    Put(Entity),
    /// An entity is no more. Others must not be in it.
    Remove(EntityId),
    /// An entity is given a role, or joins a team. Nothing changes where it has it.
    Grant {
        /// Who.
        to: EntityId,
        /// What.
        group: EntityId,
    },
    /// An entity has a role no more, or leaves a team. Nothing changes where it has it not.
    Revoke {
        /// Who.
        from: EntityId,
        /// What.
        group: EntityId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for text in ["DAA::Person::\"alice\"", "A::\"x y\\\"z\"", "A::B::C::\"\u{e9}\""] {
            let id: EntityId = text.parse().unwrap();
            assert_eq!(id.to_string().parse::<EntityId>().unwrap(), id, "{text}");
            assert_eq!(text.parse::<EntityUid>().unwrap().to_string(), id.to_string(), "as Cedar writes it");
            let json = serde_json::to_value(&id).unwrap();
            assert_eq!(serde_json::from_value::<EntityId>(json).unwrap(), id);
        }
        for text in ["alice", "A::B", "A::\"\"", "A B::\"x\"", "", "A::\"a\\nb\"", "if::\"x\""] {
            assert!(text.parse::<EntityId>().is_err(), "{text}");
        }
        assert!(EntityId::new("A ::B", "x").is_err());
        assert!(EntityId::new("A", &"x".repeat(201)).is_err());
    }
}
