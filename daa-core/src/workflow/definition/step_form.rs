//! A step as it is written: one flat table, in which exactly one key says what is done.
//!
//! Kept apart from [`Step`], because a flattened field would swallow keys that nobody knows.

use std::time::Duration;

use serde::Deserialize;

use super::super::duration_text;
use super::retry::Retry;
use super::step::{ActionStep, ApprovalStep, ChildStep, Each, Limit, OnFailure, Repeat, SignalStep};
use super::{Condition, Step, StepKind, Template, Type, Undo};
use crate::id::StepName;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepForm {
    step: StepName,
    action: Option<ActionStep>,
    #[serde(default, with = "duration_text::optional")]
    sleep: Option<Duration>,
    until: Option<Template>,
    signal: Option<SignalStep>,
    approval: Option<ApprovalStep>,
    workflow: Option<ChildStep>,
    #[serde(default)]
    after: Vec<StepName>,
    when: Option<Condition>,
    each: Option<Each>,
    repeat: Option<Repeat>,
    #[serde(default)]
    gives: Type,
    #[serde(default)]
    retry: Retry,
    #[serde(default, with = "duration_text::optional")]
    try_timeout: Option<Duration>,
    #[serde(default, with = "duration_text::optional")]
    heartbeat: Option<Duration>,
    #[serde(default, with = "duration_text::optional")]
    deadline: Option<Duration>,
    #[serde(default)]
    undo: Undo,
    #[serde(default)]
    on_failure: OnFailure,
    limit: Option<Limit>,
}

/// A step that says nothing to do, or more than one thing.
#[derive(Debug, thiserror::Error)]
#[error(
    "a step has exactly one of action, sleep, until, signal, approval and workflow, {step:?} has {found}"
)]
pub(super) struct OneKind {
    step: StepName,
    found: usize,
}

impl TryFrom<StepForm> for Step {
    type Error = OneKind;

    fn try_from(form: StepForm) -> Result<Self, OneKind> {
        let kinds = [
            form.action.map(StepKind::Action),
            form.sleep.map(StepKind::Sleep),
            form.until.map(StepKind::Until),
            form.signal.map(StepKind::Signal),
            form.approval.map(StepKind::Approval),
            form.workflow.map(StepKind::Workflow),
        ];
        let mut kinds = kinds.into_iter().flatten();
        let (Some(kind), rest) = (kinds.next(), kinds.count()) else {
            return Err(OneKind { step: form.step, found: 0 });
        };
        if rest > 0 {
            return Err(OneKind { step: form.step, found: rest + 1 });
        }
        Ok(Self {
            name: form.step,
            kind,
            after: form.after,
            when: form.when,
            each: form.each,
            repeat: form.repeat,
            gives: form.gives,
            retry: form.retry,
            try_timeout: form.try_timeout,
            heartbeat: form.heartbeat,
            deadline: form.deadline,
            undo: form.undo,
            on_failure: form.on_failure,
            limit: form.limit,
        })
    }
}
