//! The stream of an agent: what is written to it, and how its state is read back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::adapt::Change;
use super::event::DaaEvent;
use super::lapse::Lapse;
use super::pattern::Signature;
use super::plan::Plan;
use super::report::UndoResult;
use super::state::AgentState;
use crate::action::Context;
use crate::clock::Timestamp;
use crate::event::{DecodeError, EventStore, NewEvent, PageSize, ReadError, RecordedEvent, Version};
use crate::id::{ActionId, EventKind, StreamId};

const STARTED: &str = "agent.started.v1";
const PLANNED: &str = "agent.planned.v1";
const COMPLETED: &str = "agent.completed.v1";
const SNAPSHOT: &str = "agent.snapshot.v1";

/// An event in the stream of an agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// An instance of the agent took over; earlier ones must not write any more.
    Started { incarnation: u64 },
    /// A plan that is about to be carried out.
    Planned(Arc<PlannedCycle>),
    /// A cycle is over.
    Completed(CompletedCycle),
    /// The whole state, so that reading back does not begin at the beginning.
    Snapshot(Box<AgentState>),
    /// Something for those who watch.
    Event(DaaEvent),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PlannedCycle {
    pub(super) cycle: u64,
    pub(super) plan: Plan,
    /// What the gate is told with every step.
    pub(super) context: Context,
    pub(super) signature: Signature,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CompletedCycle {
    pub(super) cycle: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) strategy: Option<crate::id::StrategyName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) steps: Vec<StepNote>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<Change>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) insights: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lapses: Vec<Lapse>,
}

/// A step in brief; the action's own stream has the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StepNote {
    pub(super) id: ActionId,
    pub(super) result: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) undo: Option<UndoResult>,
}

#[derive(Serialize, Deserialize)]
struct Started {
    incarnation: u64,
}

impl Record {
    pub(super) fn to_new(&self, at: Timestamp) -> Result<NewEvent, DecodeError> {
        match self {
            Self::Started { incarnation } => json(STARTED, at, &Started { incarnation: *incarnation }),
            Self::Planned(planned) => json(PLANNED, at, &**planned),
            Self::Completed(completed) => json(COMPLETED, at, completed),
            Self::Snapshot(state) => json(SNAPSHOT, at, &**state),
            Self::Event(event) => event.to_new(at),
        }
    }

    /// `None` for an event that somebody else wrote to the stream.
    fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match event.kind.as_str() {
            STARTED => Self::Started { incarnation: event.json::<Started>()?.incarnation },
            PLANNED => Self::Planned(Arc::new(event.json()?)),
            COMPLETED => Self::Completed(event.json()?),
            SNAPSHOT => Self::Snapshot(Box::new(event.json()?)),
            _ => return Ok(DaaEvent::read(event)?.map(Self::Event)),
        }))
    }
}

fn json<T: Serialize>(kind: &'static str, at: Timestamp, payload: &T) -> Result<NewEvent, DecodeError> {
    NewEvent::json(EventKind::constant(kind), at, payload)
}

/// Why the state of an agent cannot be read back.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// The cycle that an event is about, if it says.
pub(super) fn cycle_of(event: &RecordedEvent) -> Option<u64> {
    match event.kind.as_str() {
        PLANNED => event.json().ok().map(|PlannedCycle { cycle, .. }| cycle),
        COMPLETED => event.json().ok().map(|CompletedCycle { cycle, .. }| cycle),
        _ => None,
    }
}

/// What an event says was planned for a cycle.
pub(super) fn planned_in(event: &RecordedEvent, cycle: u64) -> Option<PlannedCycle> {
    let planned: PlannedCycle = (event.kind.as_str() == PLANNED).then(|| event.json().ok()).flatten()?;
    (planned.cycle == cycle).then_some(planned)
}

/// How many events are looked at together.
pub(super) const PAGE: u64 = 256;

/// Reads the state of an agent back, and the version that it is the state of.
///
/// Takes time in proportion to the events since the latest snapshot (and the logarithm of all), and memory for
/// one page of events.
pub(super) async fn load(
    store: &dyn EventStore,
    stream: &StreamId,
) -> Result<(AgentState, Version), LoadError> {
    let mut state = AgentState::default();
    let mut version = latest_snapshot(store, stream).await?;
    loop {
        let page = store.read_stream(stream, version, page()).await?;
        if page.is_empty() {
            return Ok((state, version));
        }
        for event in &page {
            if let Some(record) = Record::read(event)? {
                state.apply(&record);
            }
            version = event.version;
        }
    }
}

pub(super) fn page() -> PageSize {
    PageSize::new(usize::try_from(PAGE).unwrap_or(PageSize::MAX))
}

/// The version before the latest snapshot; that before the first event when there is none.
async fn latest_snapshot(store: &dyn EventStore, stream: &StreamId) -> Result<Version, ReadError> {
    let mut end = length(store, stream).await?;
    while end > 0 {
        let from = end.saturating_sub(PAGE);
        let page = store.read_stream(stream, Version::new(from), page()).await?;
        let found = page.iter().rev().find(|event| event.kind.as_str() == SNAPSHOT);
        if let Some(event) = found {
            return Ok(Version::new(event.version.get().saturating_sub(1)));
        }
        end = from;
    }
    Ok(Version::EMPTY)
}

/// How many events the stream has at least (others may be adding to it), by doubling and halving.
pub(super) async fn length(store: &dyn EventStore, stream: &StreamId) -> Result<u64, ReadError> {
    let (mut there, mut beyond) = (0_u64, PAGE);
    while exists_behind(store, stream, beyond).await? {
        there = beyond;
        beyond = beyond.saturating_mul(2);
    }
    while beyond.saturating_sub(there) > PAGE {
        let middle = there + (beyond - there) / 2;
        if exists_behind(store, stream, middle).await? { there = middle } else { beyond = middle }
    }
    let rest = store.read_stream(stream, Version::new(there), page()).await?;
    Ok(rest.last().map_or(there, |event| event.version.get()))
}

async fn exists_behind(store: &dyn EventStore, stream: &StreamId, version: u64) -> Result<bool, ReadError> {
    Ok(!store.read_stream(stream, Version::new(version), PageSize::new(1)).await?.is_empty())
}
