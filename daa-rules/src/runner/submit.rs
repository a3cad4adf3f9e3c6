//! What rules emitted, on its way to the gate.

use daa_core::action::{Action, Context, GateError};
use daa_core::event::{PageSize, Version};
use daa_core::fault::{Reaction as _, Retry};

use super::{Fired, Pass, RunnerError, TriggerRunner};
use crate::trigger::{Pending, Step};

impl TriggerRunner {
    /// Submits what waits, in the order in which it was emitted, and notes what the gate has seen to.
    ///
    /// An action is submitted again after a crash, under its id; the gate knows what became of it.
    pub(super) async fn submit(&mut self, pass: &mut Pass) -> Result<(), RunnerError> {
        let waiting = self.loaded()?.state.pending.clone();
        if waiting.is_empty() {
            return Ok(());
        }
        let (mut left, mut problem, mut lost) = (Vec::new(), None, 0);
        for pending in waiting {
            let Some((action, context)) = self.emitted(&pending).await? else {
                lost += 1;
                pass.lost.push(pending.action);
                continue;
            };
            match self.gate.submit(action, context, &*self.executor.0).await {
                Ok(_) => {}
                Err(error) if is_settled(&error) => pass.unperformed.push((pending.action, error)),
                Err(error) => {
                    problem.get_or_insert(error);
                    left.push(pending);
                }
            }
        }
        let mut state = self.loaded()?.state.clone();
        let done = state.pending.len() - left.len();
        state.pending = left;
        state.left_out.lost += lost;
        if done > 0 {
            pass.submitted += done as u64 - lost;
            self.append(Step::of(state), Version::EMPTY, pass).await?;
        }
        let loaded = self.loaded()?;
        loaded.at_hand.retain(|id, _| loaded.state.pending.iter().any(|pending| pending.action == *id));
        pass.problem = problem;
        Ok(())
    }

    /// An action that waits; `None` where the event is gone that has it.
    async fn emitted(&mut self, pending: &Pending) -> Result<Option<(Action, Context)>, RunnerError> {
        if let Some(known) = self.loaded()?.at_hand.get(&pending.action) {
            return Ok(Some(known.clone()));
        }
        let before = Version::new(pending.fired.get().saturating_sub(1));
        let page = self.store.read_stream(&self.streams.fired, before, PageSize::new(1)).await?;
        let Some(event) = page.first() else { return Ok(None) };
        let Some(fired) = Fired::read(event)? else { return Ok(None) };
        let action = fired.emitted.filter(|action| *action.id() == pending.action);
        Ok(action.map(|action| (action, fired.context)))
    }
}

/// Whether the gate has the action on record and nothing is to be done about it here, or will never take it. Where the
/// store or the books are not there for a while, it waits.
fn is_settled(error: &GateError) -> bool {
    // Of these, others find out what became of it.
    let is_open = matches!(error, GateError::Uncertain(_) | GateError::Unresolved { .. });
    is_open || error.retry() == Retry::Never
}
