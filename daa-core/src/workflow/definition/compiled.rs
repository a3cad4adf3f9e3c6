//! A definition, ready to run: checked, and with its dependencies as indexes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::{Node, Path, Step, StepKind, Workflow};
use crate::action::Context;
use crate::digest::Digest;
use crate::id::{ActionId, StepName};

/// What references begin with when they lead to no step.
pub(super) const RESERVED: [&str; 6] = ["input", "vars", "run", "item", "index", "last"];
/// What ids of actions end with that are no step: the undo of a step, and the answer to a request.
pub(super) const ENDINGS: [&str; 2] = ["undo", "approval"];

/// The place of a step in its definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::workflow) struct StepIndex(pub(in crate::workflow) u16);

impl StepIndex {
    pub(in crate::workflow) const fn get(self) -> usize {
        self.0 as usize
    }
}

/// A definition that was checked.
#[derive(Clone, Debug)]
pub(in crate::workflow) struct Compiled {
    pub(in crate::workflow) workflow: Workflow,
    pub(in crate::workflow) digest: Digest,
    pub(in crate::workflow) steps: Vec<CompiledStep>,
    pub(super) by_name: ByName,
    /// Set for a plan: what it gives beside its steps.
    pub(in crate::workflow) given: Option<Given>,
}

/// The places of steps by their names.
pub(super) type ByName = HashMap<StepName, StepIndex, BuildHasherDefault<Fnv>>;

/// FNV-1a. Every event of a run looks up its step, and the names of one definition are few and short: whoever writes one
/// whose names collide slows down nobody else.
#[derive(Clone, Debug)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        self.0 =
            bytes.iter().fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a plan gives that another definition leaves to its runs.
#[derive(Clone, Debug)]
pub(in crate::workflow) struct Given {
    /// The names of the actions, by the order of the steps.
    pub(in crate::workflow) actions: Vec<GivenId>,
    /// What the rules are told beside each action.
    pub(in crate::workflow) context: Context,
}

/// The name of an action that is not made of run and step.
#[derive(Clone, Debug)]
pub(in crate::workflow) struct GivenId {
    pub(in crate::workflow) id: ActionId,
    /// Others may ask for the action too: what they did is not undone.
    pub(in crate::workflow) shared: bool,
}

/// A step and its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::workflow) struct CompiledStep {
    /// How many steps must be settled before it; each counts once.
    pub(in crate::workflow) waits_for: u16,
    /// The steps that wait for it.
    pub(in crate::workflow) then: Vec<StepIndex>,
}

impl Compiled {
    pub(in crate::workflow) fn index(&self, name: &str) -> Option<StepIndex> {
        self.by_name.get(name).copied()
    }

    pub(in crate::workflow) fn step(&self, index: StepIndex) -> Option<&Step> {
        self.workflow.steps.get(index.get())
    }

    /// The name of the action of a step, where a plan gives one.
    pub(in crate::workflow) fn given_id(&self, step: &str) -> Option<&GivenId> {
        self.given.as_ref()?.actions.get(self.index(step)?.get())
    }

    /// Finds the dependencies. Sensible only where what they lead to has been checked, now or when it was registered.
    pub(in crate::workflow) fn link(workflow: Workflow) -> Arc<Self> {
        let number = |at: usize| StepIndex(u16::try_from(at).unwrap_or(u16::MAX));
        let names = workflow.steps.iter().enumerate().map(|(at, step)| (step.name.clone(), number(at)));
        let by_name: HashMap<_, _, BuildHasherDefault<Fnv>> = names.collect();
        let mut steps = vec![CompiledStep { waits_for: 0, then: Vec::new() }; workflow.steps.len()];
        for (at, step) in workflow.steps.iter().enumerate() {
            let mut needs: Vec<StepIndex> =
                dependencies(step).iter().filter_map(|name| by_name.get(name.as_str()).copied()).collect();
            needs.sort_unstable();
            needs.dedup();
            for needed in &needs {
                if let Some(needed) = steps.get_mut(needed.get()) {
                    needed.then.push(number(at));
                }
            }
            if let Some(own) = steps.get_mut(at) {
                own.waits_for = u16::try_from(needs.len()).unwrap_or(u16::MAX);
            }
        }
        let digest = workflow.digest();
        Arc::new(Self { workflow, digest, steps, by_name, given: None })
    }
}

/// The names that a step depends on: those in `after`, and the roots of its references that are not its own.
pub(in crate::workflow) fn dependencies(step: &Step) -> Vec<String> {
    let mut names: Vec<String> = step.after.iter().map(ToString::to_string).collect();
    references(step, &mut |path| {
        if !RESERVED.contains(&path.root.as_str()) {
            names.push(path.root.clone());
        }
    });
    names
}

/// All references of a step, but for those of its undo, which may refer to the step itself.
pub(super) fn references(step: &Step, visit: &mut dyn FnMut(&Path)) {
    let mut node = |node: &Node| node.references(visit);
    match &step.kind {
        StepKind::Action(action) => {
            node(action.with.node());
            action.max_cost.iter().for_each(|cost| node(cost.node()));
        }
        StepKind::Sleep(_) | StepKind::Signal(_) => {}
        StepKind::Until(moment) => node(moment.node()),
        StepKind::Approval(approval) => node(approval.of.node()),
        StepKind::Workflow(child) => node(child.with.node()),
    }
    step.each.iter().for_each(|each| node(each.of.node()));
    step.when.iter().for_each(|when| when.nodes(&mut node));
    step.repeat.iter().for_each(|repeat| repeat.until.nodes(&mut node));
    step.limit.iter().for_each(|limit| node(limit.key.node()));
}
