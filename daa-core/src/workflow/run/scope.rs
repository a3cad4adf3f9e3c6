//! What the templates of a run refer to.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::failure::StepError;
use super::snapshot::LaneState;
use super::state::{Run, Spot};
use crate::workflow::definition::{Scope, Template};

/// Where a template stands.
pub(super) struct RunScope<'a> {
    pub(super) run: &'a Run,
    /// The doing of a step that it belongs to.
    pub(super) spot: Option<Spot>,
}

impl Scope for RunScope<'_> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        let state = &self.run.state;
        match name {
            "input" => Some(Cow::Borrowed(&state.started.input)),
            "vars" => Some(Cow::Borrowed(&state.vars)),
            "run" => Some(Cow::Owned(json!({
                "id": state.started.run.as_str(),
                "workflow": state.started.workflow.as_str(),
            }))),
            "item" => {
                let spot = self.spot?;
                let (_, step) = self.run.step(spot.step)?;
                step.items.get(spot.lane as usize).map(Cow::Borrowed)
            }
            "index" => Some(Cow::Owned(self.spot?.lane.into())),
            "last" => {
                let spot = self.spot?;
                let before = Spot { lane: spot.lane.checked_sub(1)?, ..spot };
                self.run.lane(before).map(|lane| Cow::Borrowed(&lane.output))
            }
            name => {
                let index = self.run.definition.index(name)?;
                let (step, state) = self.run.step(index)?;
                let own = self.spot.filter(|spot| spot.step == index).and_then(|spot| self.run.lane(spot));
                let several = step.each.is_some() || step.repeat.is_some();
                // In its own undo a step that is done several times stands for one of them, and one that took effect
                // and failed for what it yields.
                let own = own.filter(|lane| several || matches!(lane.state, LaneState::Failed { .. }));
                Some(Cow::Borrowed(own.map_or(&state.output, |lane| &lane.output)))
            }
        }
    }
}

/// The scope after a lane of a loop: its own output is the last one.
pub(super) struct AfterLane<'a>(pub(super) RunScope<'a>);

impl Scope for AfterLane<'_> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        match name {
            "last" => self.0.run.lane(self.0.spot?).map(|lane| Cow::Borrowed(&lane.output)),
            name => self.0.root(name),
        }
    }
}

impl Run {
    pub(super) fn resolve(&self, template: &Template, spot: Option<Spot>) -> Value {
        template.node().resolve(&RunScope { run: self, spot }).into_owned()
    }

    /// The text that a template yields, such as the key of a limit.
    pub(super) fn resolve_text(&self, template: &Template, spot: Option<Spot>) -> Result<String, StepError> {
        match self.resolve(template, spot) {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(StepError::Mismatch(format!("{other} is no key: text or a number is expected"))),
        }
    }
}
