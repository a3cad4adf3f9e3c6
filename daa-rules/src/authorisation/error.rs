//! Why policies or changes of entities are not accepted.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use daa_core::action::PolicyError;
use daa_core::event::{AppendError, DecodeError, ReadError, Version};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::IdError;

use super::entity::EntityId;
use crate::diagnostic::Diagnostic;

/// Which of the two texts that policies are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// The program's own schema.
    Schema,
    /// The policies.
    Policies,
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Schema => "schema",
            Self::Policies => "policies",
        })
    }
}

/// Policies, or a schema, that are not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoliciesError {
    /// Something in a text is wrong: all of it, up to [`AuthorisationLimits::PROBLEMS`](super::AuthorisationLimits::PROBLEMS), one a line.
    #[error("{}", lines(*text, problems))]
    Invalid {
        /// In which.
        text: Text,
        /// What is wrong, by its place.
        problems: Vec<Diagnostic>,
    },
    /// A text is too long.
    #[error("the {text} take {actual} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Which.
        text: Text,
        /// Its size; of a file, as much of it as was read.
        actual: u64,
        /// How much is allowed.
        limit: usize,
    },
    /// A file cannot be read.
    #[error("cannot read the {text} {}", path.display())]
    Read {
        /// What should be in it.
        text: Text,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no thread to read them on.
    #[error("no thread can be started to read the policies")]
    Thread {
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn lines(text: Text, problems: &[Diagnostic]) -> String {
    problems.iter().map(|problem| format!("{text}: {problem}")).collect::<Vec<_>>().join("\n")
}

impl PoliciesError {
    /// What is wrong in the text, where that is the reason.
    #[must_use]
    pub fn problems(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid { problems, .. } => problems,
            _ => &[],
        }
    }
}

impl Reaction for PoliciesError {
    fn fault(&self) -> Fault {
        match self {
            Self::Invalid { .. } | Self::TooLarge { .. } => Fault::Caller,
            Self::Read { .. } | Self::Thread { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Invalid { .. } | Self::TooLarge { .. } => Retry::Never,
            Self::Read { .. } | Self::Thread { .. } => Retry::Later,
        }
    }
}

/// A change of entities that is not accepted. What was before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntityError {
    /// A text that is no name of an entity.
    #[error("{text:?} is no entity such as DAA::Person::\"alice\": {why}")]
    Name {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A type that the schema does not declare.
    #[error("the schema declares no type {kind}{}", hint(suggestion))]
    UnknownType {
        /// The type.
        kind: String,
        /// The nearest that it declares.
        suggestion: Option<String>,
    },
    /// An entity that is not there.
    #[error("there is no {entity}{}", hint(suggestion))]
    Unknown {
        /// Its name.
        entity: EntityId,
        /// The nearest that is there.
        suggestion: Option<String>,
    },
    /// An entity that is not as the schema says.
    #[error("{entity} is not as the schema says: {why}")]
    Misfit {
        /// The entity.
        entity: EntityId,
        /// What does not fit.
        why: String,
        /// As Cedar says it.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Entities that are right each by itself, and do not fit each other.
    #[error("the entities do not fit each other: {source}")]
    Together {
        /// As Cedar says it.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// An entity that would be in itself.
    #[error("{entity} would be in itself")]
    Cycle {
        /// The entity.
        entity: EntityId,
    },
    /// An entity in which others are.
    #[error("{member} is in {entity}, which therefore stays")]
    InUse {
        /// The entity that was to go.
        entity: EntityId,
        /// One that is in it.
        member: EntityId,
    },
    /// Two who act under one name: an action names its actor, and not its type.
    #[error("{second} cannot act beside {first}: an action names its actor without its type")]
    SameActor {
        /// The one.
        first: EntityId,
        /// The other.
        second: EntityId,
    },
    /// Somebody who acts under a name that no action can give.
    #[error("{entity} cannot act under its name")]
    Actor {
        /// The entity.
        entity: EntityId,
        /// What is wrong with the name.
        #[source]
        source: IdError,
    },
    /// Too much of something.
    #[error("{what}: at most {limit} are allowed")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// Nothing to change.
    #[error("there is nothing to change")]
    Nothing,
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

impl Reaction for EntityError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// Why policies or entities could not be read from the store, or not be changed in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorisationError {
    /// The change of entities is not accepted.
    #[error("the change is not accepted")]
    Entity(#[from] EntityError),
    /// The entities do not fit the new schema.
    #[error("the entities do not fit the new schema")]
    Schema(#[source] EntityError),
    /// The policies are not accepted.
    #[error("the policies are not accepted")]
    Policies(#[from] PoliciesError),
    /// A change on record cannot be read: until a version that can read it runs, everything is denied, and nothing
    /// changed.
    #[error("the change on record at version {version} cannot be read: {why}")]
    Unreadable {
        /// Where it stands in its stream.
        version: Version,
        /// Why not.
        why: String,
    },
    /// The store cannot be read.
    #[error("the event store cannot be read")]
    Read(#[from] ReadError),
    /// The store did not take the change.
    #[error("the event store did not accept the change")]
    Append(#[from] AppendError),
    /// The change does not encode.
    #[error("the change cannot be written")]
    Encode(#[from] DecodeError),
    /// A constant of this library is not an id.
    #[error("the stream or the event has no valid name")]
    Name(#[from] IdError),
    /// Other writers were faster every time.
    #[error("gave up after {tries} conflicting writes")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
}

impl From<AuthorisationError> for PolicyError {
    fn from(error: AuthorisationError) -> Self {
        Self::new(error)
    }
}

impl Reaction for AuthorisationError {
    fn fault(&self) -> Fault {
        match self {
            Self::Entity(error) | Self::Schema(error) => error.fault(),
            Self::Policies(error) => error.fault(),
            Self::Unreadable { .. } => Fault::Peer,
            Self::Read(error) => error.fault(),
            Self::Append(error) => error.fault(),
            Self::Encode(error) => error.fault(),
            Self::Name(_) => Fault::Bug,
            Self::Contended { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Entity(error) | Self::Schema(error) => error.retry(),
            Self::Policies(error) => error.retry(),
            Self::Read(error) => error.retry(),
            Self::Append(error) => error.retry(),
            Self::Unreadable { .. } | Self::Encode(_) | Self::Name(_) => Retry::Never,
            Self::Contended { .. } => Retry::Later,
        }
    }
}
