//! The values of parameters: a stream in which each event has all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use daa_core::action::Context;
use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, DecodeError, EventStore, ExpectedVersion, NewEvent, ReadError, RecordedEvent,
    StreamWrite, Version, last_event,
};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{AgentId, EventKind, IdError, RuleId, SourceId, StreamId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::RulesEngine;
use crate::limits::Limits;
use crate::ruleset::Ruleset;
use crate::runner::Fired;
use crate::trigger::{Parameter, ParameterError};

/// The stream of the values of parameters.
pub const PARAMETERS_STREAM: &str = "rules.parameters";

pub(crate) const SET: &str = "rules.parameters.v1";
/// How often a change is tried again when another one was faster.
const TRIES: u32 = 32;

/// Parameters have got values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParametersSet {
    /// All values that were ever set, these included. Those that the ruleset does not declare stay as long as there is
    /// room.
    pub values: Map<String, Value>,
    /// Which of them were set now.
    pub changed: Vec<String>,
    /// The untrusted sources of the data that they come from, by name; those that are not here come from none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, BTreeSet<SourceId>>,
    /// The rules that set them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleId>,
    /// Who set them, where no rule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentId>,
    /// How long the chain of causes is that led to it.
    #[serde(default)]
    pub depth: u8,
}

impl ParametersSet {
    /// Reads a recorded event; `None` when it is not about parameters.
    ///
    /// # Errors
    /// [`DecodeError`] when it is, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if event.kind.as_str() == SET { event.json().map(Some) } else { Ok(None) }
    }

    /// Nothing changed yet.
    pub(crate) fn of(before: &Values) -> Self {
        let (values, sources) = (before.values.clone(), before.sources.clone());
        Self { values, changed: Vec::new(), sources, rules: Vec::new(), by: None, depth: 0 }
    }

    /// The untrusted sources of what was set now.
    pub(crate) fn sources_of_changes(&self) -> impl Iterator<Item = &SourceId> {
        self.changed.iter().filter_map(|name| self.sources.get(name)).flatten()
    }

    /// With what a rule sets because of data of these sources; `Err` has the size where that is too much.
    pub(crate) fn changed_by(&self, fired: &Fired, rules: &Ruleset) -> Result<Self, usize> {
        let mut set = self.clone();
        for (name, value) in &fired.set {
            set.change(name, value.clone(), fired.context.sources().cloned().collect());
        }
        if !set.rules.contains(&fired.rule) {
            set.rules.push(fired.rule.clone());
        }
        set.depth = set.depth.max(fired.depth);
        set.bounded(rules)
    }

    fn change(&mut self, name: &str, value: Value, sources: BTreeSet<SourceId>) {
        self.values.insert(name.to_owned(), value);
        if !self.changed.iter().any(|known| known == name) {
            self.changed.push(name.to_owned());
        }
        if sources.is_empty() {
            self.sources.remove(name);
        } else {
            self.sources.insert(name.to_owned(), sources);
        }
    }

    /// Within [`Limits::PARAMETERS_SET`]: where there is no room, what no rule declares any more goes. `Err` has the size
    /// where that is not enough.
    fn bounded(mut self, rules: &Ruleset) -> Result<Self, usize> {
        if self.size() > Limits::PARAMETERS_SET {
            self.values.retain(|name, _| rules.parameter(name).is_some());
            self.sources.retain(|name, _| rules.parameter(name).is_some());
        }
        match self.size() {
            0..=Limits::PARAMETERS_SET => Ok(self),
            size => Err(size),
        }
    }

    fn size(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }

    /// The write that makes it the version after `before`.
    pub(crate) fn write(&self, before: Version, at: Timestamp) -> Result<StreamWrite, SetError> {
        let event = NewEvent::json(EventKind::new(SET)?, at, self)?;
        Ok(StreamWrite::new(stream()?, ExpectedVersion::Exact(before), vec![event]))
    }
}

/// Parameters that could not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// It cannot have this value.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// All parameters together are too large.
    #[error("all parameters together take {actual} bytes, at most {} are allowed", Limits::PARAMETERS_SET)]
    TooLarge {
        /// Their size in bytes of JSON.
        actual: usize,
    },
    /// The store cannot be read.
    #[error("the event store cannot be read")]
    Read(#[from] ReadError),
    /// The store did not take the event.
    #[error("the event store did not accept the values")]
    Append(#[from] AppendError),
    /// The stream is damaged, or the event cannot be written.
    #[error("an event of the parameters is damaged")]
    Damaged(#[from] DecodeError),
    /// Other writers were faster every time.
    #[error("gave up after {tries} conflicting writes")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// A constant of this library is not an id.
    #[error("the stream or the event has no valid name")]
    Name(#[from] IdError),
}

impl Reaction for SetError {
    fn fault(&self) -> Fault {
        match self {
            Self::Parameter(_) | Self::TooLarge { .. } => Fault::Caller,
            Self::Read(error) => error.fault(),
            Self::Append(error) => error.fault(),
            Self::Damaged(error) => error.fault(),
            Self::Contended { .. } => Fault::Environment,
            Self::Name(_) => Fault::Bug,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Parameter(_) | Self::TooLarge { .. } | Self::Damaged(_) | Self::Name(_) => Retry::Never,
            Self::Read(error) => error.retry(),
            Self::Append(error) => error.retry(),
            Self::Contended { .. } => Retry::Later,
        }
    }
}

fn stream() -> Result<StreamId, IdError> {
    StreamId::new(PARAMETERS_STREAM)
}

/// The values at one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values {
    pub(crate) version: Version,
    pub(crate) values: Map<String, Value>,
    /// The untrusted sources that they come from.
    pub(crate) sources: BTreeMap<String, BTreeSet<SourceId>>,
}

impl Values {
    /// What an event of the stream says.
    pub(crate) fn after(version: Version, set: ParametersSet) -> Self {
        Self { version, values: set.values, sources: set.sources }
    }

    /// The untrusted sources of these parameters.
    pub(crate) fn sources_of<'v>(
        &'v self,
        names: impl Iterator<Item = &'v str>,
    ) -> impl Iterator<Item = &'v SourceId> {
        names.filter_map(|name| self.sources.get(name)).flatten()
    }

    /// Adds what these parameters are to what is given, and the untrusted sources that they come from. One that is on record, and is not what it is declared to be now, is
    /// unknown.
    pub(crate) fn give<'p>(
        &self,
        parameters: impl Iterator<Item = &'p Parameter>,
        given: Context,
    ) -> Context {
        let mut given = given;
        let mut any = false;
        for parameter in parameters {
            any = true;
            given = given.with_sources(self.sources.get(&parameter.name).into_iter().flatten().cloned());
            let value = self.values.get(&parameter.name).unwrap_or(&parameter.value);
            let path = format!("parameter.{}", parameter.name);
            given = match parameter.check(value) {
                Ok(()) => given.with(path, value.clone()),
                Err(error) => given.with(format!("{path}.problem"), error.to_string()),
            };
        }
        if any { given.with("parameter.version", self.version.get()) } else { given }
    }
}

/// The values of a store, as far as they were read.
#[derive(Debug, Default)]
pub(crate) struct ParameterBook(Mutex<Arc<Values>>);

impl ParameterBook {
    /// The values with everything that is durable.
    pub(crate) async fn read(&self, store: &dyn EventStore) -> Result<Arc<Values>, SetError> {
        let known = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(last) = last_event(store, &stream()?, known.version).await? else { return Ok(known) };
        let read = Arc::new(Values::after(last.version, last.json()?));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.version < read.version {
            *kept = Arc::clone(&read);
        }
        Ok(read)
    }
}

impl RulesEngine {
    /// Sets parameters of the ruleset that governs, all of them or none. Decisions that begin afterwards use the new
    /// values, which whoever sets them vouches for: they have no untrusted sources. Returns the version that they have.
    ///
    /// # Errors
    /// [`SetError`]; nothing is set then, unless it is [`SetError::Append`] and that does not know.
    ///
    /// # Cancel safety
    /// A dropped call may have set them, all or none.
    pub async fn set_parameters(
        &self,
        store: &dyn EventStore,
        values: Map<String, Value>,
        by: AgentId,
        now: Timestamp,
    ) -> Result<Version, SetError> {
        let rules = self.ruleset();
        for (name, value) in &values {
            let parameter = rules.parameter(name);
            parameter.ok_or_else(|| ParameterError::Unknown { name: name.clone() })?.check(value)?;
        }
        let book = ParameterBook::default();
        for _ in 0..TRIES {
            let before = book.read(store).await?;
            let mut set = ParametersSet { by: Some(by.clone()), ..ParametersSet::of(&before) };
            for (name, value) in &values {
                set.change(name, value.clone(), BTreeSet::new());
            }
            let set = set.bounded(&rules).map_err(|actual| SetError::TooLarge { actual })?;
            match store.append(Batch::new().with(set.write(before.version, now)?)).await {
                Ok(_) => return Ok(before.version.next()),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SetError::Contended { tries: TRIES })
    }
}
