//! The names of the actions of a run, and what the rules are told beside them.

use super::event::Task;
use super::state::Run;
use crate::action::{ActionError, Context};
use crate::id::ActionId;

impl Run {
    /// The id of the action that does a task: the one that a plan gives, or else run and step. It is the same for
    /// every try.
    pub(in crate::workflow) fn action_id(&self, task: &Task) -> Result<ActionId, ActionError> {
        match self.definition.given_id(task.step.as_str()) {
            Some(given) => Ok(given.id.clone()),
            None => id_of(&[self.id().as_str(), "/", &task.text()]),
        }
    }

    /// The id of the action that undoes a task.
    pub(in crate::workflow) fn undo_id(&self, task: &Task) -> Result<ActionId, ActionError> {
        id_of(&[self.action_id(task)?.as_str(), "/undo"])
    }

    /// What the rules are told beside an action of the run.
    pub(in crate::workflow) fn context(&self, task: &Task) -> Context {
        let context = self.facts(task).with_sources(self.sources_before(task));
        match self.trace_of(task) {
            Some(trace) => context.with_trace(trace),
            None => context,
        }
    }

    fn facts(&self, task: &Task) -> Context {
        if let Some(given) = &self.definition.given {
            return given.context.clone();
        }
        let started = &self.state.started;
        Context::new()
            .with("run", started.run.as_str())
            .with("workflow", started.workflow.as_str())
            .with("step", &*task.text())
    }

    /// What the rules are told beside the undoing of a task.
    pub(in crate::workflow) fn undo_context(&self, task: &Task) -> Context {
        let context = self.context(task);
        match self.action_id(task) {
            Ok(id) => context.with("undo_of", id.as_str()),
            Err(_) => context,
        }
    }

    /// Whether others may ask for the action of a task too.
    pub(super) fn is_shared(&self, task: &Task) -> bool {
        self.definition.given_id(task.step.as_str()).is_some_and(|given| given.shared)
    }
}

fn id_of(parts: &[&str]) -> Result<ActionId, ActionError> {
    ActionId::joined(parts)
        .map_err(|_| ActionError::IdTooLong { len: parts.iter().map(|part| part.len()).sum() })
}
