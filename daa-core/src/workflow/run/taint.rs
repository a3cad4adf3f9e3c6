//! Where the data came from that a task depends on.

use std::collections::BTreeSet;

use super::event::Task;
use super::snapshot::StepState;
use super::state::Run;
use crate::id::SourceId;
use crate::workflow::definition::StepIndex;

impl Run {
    /// The untrusted sources of everything that a task may depend on: what the run was given, and the results of all
    /// steps that come before it, on whatever way, and of its own step's other doings.
    pub(in crate::workflow) fn sources_before(&self, task: &Task) -> BTreeSet<SourceId> {
        let mut sources = self.state.started.sources.clone();
        if !self.tainted {
            return sources;
        }
        let Some(target) = self.definition.index(task.step.as_str()) else { return sources };
        for (at, step) in self.state.steps.iter().enumerate() {
            let mut found = of(step).peekable();
            if found.peek().is_some() && (at == target.get() || self.leads_to(at, target)) {
                sources.extend(found.cloned());
            }
        }
        sources
    }

    /// The untrusted sources of everything that happened in the run.
    pub(in crate::workflow) fn all_sources(&self) -> BTreeSet<SourceId> {
        let mut sources = self.state.started.sources.clone();
        sources.extend(self.state.steps.iter().flat_map(of).cloned());
        sources
    }

    /// Whether a step waits for another one, however far behind it.
    fn leads_to(&self, from: usize, target: StepIndex) -> bool {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(at) = next.pop() {
            let then = self.definition.steps.get(at).map(|step| step.then.as_slice()).unwrap_or_default();
            for index in then {
                if *index == target {
                    return true;
                }
                if seen.insert(*index) {
                    next.push(index.get());
                }
            }
        }
        false
    }
}

fn of(step: &StepState) -> impl Iterator<Item = &SourceId> {
    step.lanes.iter().flat_map(|lane| &lane.sources)
}
