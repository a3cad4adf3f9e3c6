//! What a cycle reports.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::adapt::Change;
use super::event::DaaEvent;
use super::lapse::Lapse;
use super::reflect::Reflection;
use crate::action::Outcome;
use crate::clock::Timestamp;
use crate::id::{ActionId, ActionKind, StrategyName};

/// One cycle, told in full.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CycleReport {
    /// The number of the cycle, from 1.
    pub cycle: u64,
    /// When it began, or was resumed.
    pub began: Timestamp,
    /// Whether it was begun by an earlier run, and only brought to its end by this one.
    pub resumed: bool,
    /// The strategy that was followed; `None` when nothing was done.
    pub strategy: Option<StrategyName>,
    /// The steps of the plan, and what came of them.
    pub steps: Vec<StepReport>,
    /// What the cycle was worth; `None` without steps, or when the reflector failed.
    pub reflection: Option<Reflection>,
    /// What the agent changed about itself.
    pub changes: Vec<Change>,
    /// What happened, in order. All of it is in the agent's stream.
    pub events: Vec<DaaEvent>,
    /// What went wrong without ending the cycle.
    pub lapses: Vec<Lapse>,
}

impl CycleReport {
    /// The score; `None` when there was nothing to score.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        self.reflection.as_ref().map(|reflection| reflection.score)
    }

    /// Whether a part of the agent did not do its work.
    #[must_use]
    pub const fn is_degraded(&self) -> bool {
        !self.lapses.is_empty()
    }
}

/// One step of a plan, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepReport {
    /// The id of the action.
    pub id: ActionId,
    /// What kind of action it is.
    pub kind: ActionKind,
    /// What came of it.
    pub result: StepResult,
    /// What came of undoing it; `None` when that was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<UndoResult>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepResult {
    /// It took effect.
    Succeeded {
        /// What it brought about.
        outcome: Outcome,
        /// Whether it was done before: by an earlier cycle with the same explicit id, or before a crash.
        replayed: bool,
    },
    /// It did not succeed: denied, refused, failed, or too slow.
    Failed {
        /// Why, for people.
        error: String,
        /// Whether it may have taken effect all the same.
        uncertain: bool,
    },
    /// An earlier step failed, so it was not tried.
    Skipped,
}

impl fmt::Display for StepResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded { .. } => f.write_str("succeeded"),
            Self::Failed { error, uncertain: false } => write!(f, "failed: {error}"),
            Self::Failed { error, uncertain: true } => write!(f, "may have failed: {error}"),
            Self::Skipped => f.write_str("skipped"),
        }
    }
}

/// What came of undoing a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UndoResult {
    /// It is undone.
    Undone,
    /// Its executor knows no way to undo it.
    Impossible,
    /// It has an explicit id and was done before, perhaps by an earlier cycle, so it was left alone.
    Kept,
    /// Undoing it failed.
    Failed {
        /// Why, for people.
        error: String,
    },
}
