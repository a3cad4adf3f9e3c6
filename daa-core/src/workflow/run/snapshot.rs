//! The state of a run in a form that is written down.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Approval, Claim, RunOutcome, RunStarted, Task, Wait};
use super::failure::{FailureCause, StepError};
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{LimitKey, SignalName, SourceId, StepName};

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
    /// The keys under which signals came.
    #[serde(default)]
    pub(super) signal_keys_of: BTreeMap<SignalName, BTreeSet<String>>,
    /// Those of a snapshot of an earlier version, which did not tell the signals apart.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) signal_keys: BTreeSet<String>,
    pub(super) signal_count: u32,
    /// By the order of the definition.
    pub(super) steps: Vec<StepState>,
    /// What took effect, in order.
    pub(super) done: Vec<(StepName, u32)>,
}

impl Snapshot {
    /// Whether a signal came under this key before.
    pub(super) fn has_signal(&self, signal: &SignalName, key: &str) -> bool {
        self.signal_keys_of.get(signal).is_some_and(|keys| keys.contains(key))
            || self.signal_keys.contains(key)
    }

    pub(in crate::workflow) const fn started(&self) -> &RunStarted {
        &self.started
    }

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
    /// How often in a row its executor could not say what became of its undoing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) undo_checks: u32,
    /// Why it could not be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) undo_error: Option<StepError>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<Money>,
    /// The untrusted sources of its output.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) sources: BTreeSet<SourceId>,
    /// It had taken effect before the run asked for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) replayed: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
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
        undo_checks: 0,
        undo_error: None,
        cost: None,
        sources: BTreeSet::new(),
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

#[cfg(test)]
mod tests {
    use super::super::state::Run;
    use super::*;
    use crate::workflow::{Step, Workflow};

    #[test]
    fn a_snapshot_that_does_not_tell_the_keys_of_signals_apart_is_read() {
        let flow = Workflow::new("w".try_into().unwrap());
        let nap = Step::sleep("s".try_into().unwrap(), std::time::Duration::from_secs(1));
        let definition = flow.with_step(nap).compile().unwrap();
        let started = RunStarted::attached("r".try_into().unwrap(), "a".try_into().unwrap(), &definition);
        let run = Run::new(started, definition, Timestamp::EPOCH);
        let mut written = serde_json::to_value(&run.state).unwrap();
        written.as_object_mut().unwrap().remove("signal_keys_of").unwrap();
        written["signal_keys"] = serde_json::json!(["seen"]);
        let read: Snapshot = serde_json::from_value(written).unwrap();
        let signal = SignalName::new("go").unwrap();
        assert!(read.has_signal(&signal, "seen") && !read.has_signal(&signal, "fresh"));
    }
}
