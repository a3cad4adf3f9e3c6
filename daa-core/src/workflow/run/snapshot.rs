//! The state of a run in a form that is written down.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Approval, Claim, RunOutcome, RunStarted, Task, Wait};
use super::failure::{FailureCause, StepError};
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{LimitKey, SignalName, StepName};

/// The sum of the events of a run, so that a reader can begin here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub(super) started: RunStarted,
    pub(super) at: Timestamp,
    /// The definition it follows now; a migration may have changed it since the start.
    pub(super) definition: Digest,
    pub(super) claim: Option<Claim>,
    pub(super) phase: Phase,
    /// Whether it had completed, and is rolled back after all.
    #[serde(default)]
    pub(super) reopened: bool,
    pub(super) paused: bool,
    pub(super) cancel: Option<FailureCause>,
    pub(super) admission: Admission,
    /// Which tasks hold a place under which limit.
    pub(super) holding: BTreeMap<Task, LimitKey>,
    pub(super) vars: Value,
    pub(super) signals: BTreeMap<SignalName, VecDeque<Value>>,
    pub(super) signal_keys: BTreeSet<String>,
    pub(super) signal_count: u32,
    /// By the order of the definition.
    pub(super) steps: Vec<StepState>,
    /// What took effect, in order.
    pub(super) done: Vec<(StepName, u32)>,
}

impl Snapshot {
    pub(in crate::workflow) const fn definition(&self) -> Digest {
        self.definition
    }
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    Running,
    RollingBack(FailureCause),
    Ended(RunOutcome),
}

/// Whether there is room for the run under the limit of its workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Admission {
    Open,
    Queued { key: LimitKey, until: Option<Timestamp> },
    Held(LimitKey),
}

/// A step of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StepState {
    pub(super) phase: StepPhase,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lanes: Vec<Lane>,
    /// The list of a step over a list.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) items: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) output: Value,
    /// When it must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deadline: Option<Timestamp>,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StepPhase {
    /// Others come first.
    #[default]
    Blocked,
    Open,
    Succeeded,
    Skipped,
    Failed,
}

impl StepPhase {
    pub(super) const fn is_settled(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped | Self::Failed)
    }
}

/// One doing of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) state: LaneState,
    pub(super) tries: u32,
    /// How often its executor could not say what became of it.
    pub(super) checks: u32,
    pub(super) output: Value,
    /// How many approvals were asked for.
    pub(super) requests: u32,
    pub(super) approval: Option<Approval>,
    pub(super) progress: Option<Value>,
    pub(super) undo: UndoState,
    pub(super) undo_tries: u32,
    /// Why it could not be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) undo_error: Option<StepError>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<Money>,
    /// It had taken effect before the run asked for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) replayed: bool,
}

impl Lane {
    pub(super) const NEW: Self = Self {
        state: LaneState::Due,
        tries: 0,
        checks: 0,
        output: Value::Null,
        requests: 0,
        approval: None,
        progress: None,
        undo: UndoState::None,
        undo_tries: 0,
        undo_error: None,
        cost: None,
        replayed: false,
    };
}

/// How far one doing of a step is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LaneState {
    /// To be begun.
    Due,
    /// With its executor.
    InFlight,
    /// To be tried again.
    Backoff {
        until: Timestamp,
    },
    /// Its executor is to be asked again.
    Unknown {
        again: Timestamp,
    },
    Waiting {
        on: Wait,
        until: Option<Timestamp>,
    },
    Done,
    Failed {
        error: StepError,
    },
    /// Given up before it was done, because the run failed.
    Dropped,
}

impl LaneState {
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Failed { .. } | Self::Dropped)
    }
}

/// How far the undoing of a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UndoState {
    #[default]
    None,
    InFlight,
    Backoff {
        until: Timestamp,
    },
    Done,
    Impossible,
    GivenUp,
}
