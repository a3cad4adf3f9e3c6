//! Whether a run that began under one version of a definition may go on under another.

use std::mem::discriminant;

use super::compiled::dependencies;
use super::fit::Fit;
use super::infer::output;
use super::{Step, StepKind, Type, Workflow};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{StepName, WorkflowName};

/// Why a run cannot go on under another version of its definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incompatible {
    /// It is another workflow.
    #[error("a run of workflow {old} cannot go on under {new}")]
    Workflow {
        /// What the run is of.
        old: WorkflowName,
        /// The other.
        new: WorkflowName,
    },
    /// What the run was given may not be an input of the new version.
    #[error("the input was {old}, which {new} does not take")]
    Input {
        /// What inputs were.
        old: Type,
        /// What they are now.
        new: Type,
    },
    /// A variable is gone.
    #[error("variable {name:?} is gone")]
    VariableGone {
        /// Its name.
        name: String,
    },
    /// A variable has another type.
    #[error("variable {name:?} was {old}, and is {new}")]
    VariableType {
        /// Its name.
        name: String,
        /// What it was.
        old: Type,
        /// What it is now.
        new: Type,
    },
    /// A step that has begun is gone.
    #[error("step {step} has begun, and is gone")]
    StepGone {
        /// The step.
        step: StepName,
    },
    /// A step that has begun does something else.
    #[error("step {step} has begun, and its {what} is another")]
    StepChanged {
        /// The step.
        step: StepName,
        /// What differs.
        what: &'static str,
    },
    /// What a step that has begun yields may not be what others now expect of it.
    #[error("step {step} has begun, and its output was {old}, which {new} does not take")]
    Output {
        /// The step.
        step: StepName,
        /// What its output was.
        old: Type,
        /// What it is now.
        new: Type,
    },
    /// A step that has begun would have had to wait for one that has not.
    #[error("step {step} has begun, and now waits for {on}, which has not")]
    Dependency {
        /// The step.
        step: StepName,
        /// What it waits for.
        on: StepName,
    },
}

impl Reaction for Incompatible {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workflow) enum Reached {
    Nothing,
    Begun,
    Settled,
    /// What it did is being undone.
    Undoing,
}

impl Workflow {
    /// Whether a run that is pinned to this version may go on under `newer`, given how far its steps are.
    ///
    /// Steps that have not begun may be added, changed and removed. What a step has asked for, it may ask for again:
    /// that cannot change. A field that the old input does not name counts as missing, so that a field that may be
    /// missing can be added to the input.
    pub(in crate::workflow) fn compatible_with(
        &self,
        newer: &Self,
        reached: &dyn Fn(&StepName) -> Reached,
    ) -> Result<(), Incompatible> {
        let begun = |name: &StepName| reached(name) != Reached::Nothing;
        if self.name != newer.name {
            return Err(Incompatible::Workflow { old: self.name.clone(), new: newer.name.clone() });
        }
        if !newer.input.takes(&self.input, Fit::Always) {
            return Err(Incompatible::Input { old: self.input.clone(), new: newer.input.clone() });
        }
        for (name, old) in &self.vars {
            let Some(new) = newer.vars.get(name) else {
                return Err(Incompatible::VariableGone { name: name.clone() });
            };
            if old.of != new.of {
                let (old, new) = (old.of.clone(), new.of.clone());
                return Err(Incompatible::VariableType { name: name.clone(), old, new });
            }
        }
        self.steps.iter().filter(|step| begun(&step.name)).try_for_each(|old| {
            let new = newer.step(&old.name);
            let new = new.ok_or_else(|| Incompatible::StepGone { step: old.name.clone() })?;
            goes_on(old, new, reached(&old.name))?;
            let before = dependencies(old);
            let gained = dependencies(new).into_iter().filter(|name| !before.contains(name));
            let gained = gained.filter_map(|name| newer.steps.iter().find(|step| step.name.as_str() == name));
            match gained.map(|step| &step.name).find(|name| !begun(name)) {
                None => Ok(()),
                Some(on) => Err(Incompatible::Dependency { step: old.name.clone(), on: on.clone() }),
            }
        })
    }
}

fn goes_on(old: &Step, new: &Step, reached: Reached) -> Result<(), Incompatible> {
    let open = reached == Reached::Begun;
    let what = match (&old.kind, &new.kind) {
        (StepKind::Action(old), StepKind::Action(new)) if old.kind != new.kind => Some("kind of action"),
        (StepKind::Signal(old), StepKind::Signal(new)) if old.name != new.name => Some("signal"),
        (StepKind::Workflow(old), StepKind::Workflow(new)) if old.name != new.name => Some("workflow"),
        (StepKind::Action(old), StepKind::Action(new)) if open && old.with != new.with => Some("parameters"),
        (StepKind::Action(old), StepKind::Action(new)) if open && old.max_cost != new.max_cost => {
            Some("cost")
        }
        (StepKind::Workflow(old), StepKind::Workflow(new)) if open && old.with != new.with => Some("input"),
        (old, new) if discriminant(old) != discriminant(new) => Some("kind"),
        _ if reached == Reached::Undoing && !old.undo.asks_as(&new.undo) => Some("undo"),
        _ if old.each.is_some() != new.each.is_some() => Some("each"),
        _ if old.repeat.is_some() != new.repeat.is_some() => Some("repeat"),
        _ => None,
    };
    if let Some(what) = what {
        return Err(Incompatible::StepChanged { step: old.name.clone(), what });
    }
    let (before, now) = (output(old), output(new));
    if now.takes(&before, Fit::Always) {
        return Ok(());
    }
    Err(Incompatible::Output { step: old.name.clone(), old: before, new: now })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn old() -> Value {
        json!({
            "workflow": "w",
            "input": { "a": "string" },
            "vars": { "v": { "type": "integer", "value": 1 } },
            "steps": [
                { "step": "one", "action": { "kind": "k" }, "gives": { "x": "string" } },
                { "step": "two", "after": ["one"], "signal": { "name": "go" } },
                { "step": "three", "after": ["two"], "workflow": { "name": "other" }, "each": { "of": [1] } },
            ],
        })
    }

    /// What stands in the way when `edit` is made while steps one and two, and three if asked, have begun.
    fn after(all: bool, edit: impl FnOnce(&mut Value)) -> Option<String> {
        let mut new = old();
        edit(&mut new);
        let (old, new): (Workflow, Workflow) =
            (serde_json::from_value(old()).unwrap(), serde_json::from_value(new).unwrap());
        let begun = |name: &StepName| all || matches!(name.as_str(), "one" | "two");
        let reached = |name: &StepName| if begun(name) { Reached::Settled } else { Reached::Nothing };
        old.compatible_with(&new, &reached).err().map(|error| error.to_string())
    }

    /// What stands in the way when `edit` is made while step one is this far.
    fn while_one_is(reached: Reached, edit: impl FnOnce(&mut Value)) -> Option<String> {
        let mut json = old();
        json["steps"][0]["undo"] = json!({ "action": { "kind": "u" } });
        let old: Workflow = serde_json::from_value(json.clone()).unwrap();
        edit(&mut json["steps"][0]);
        let new: Workflow = serde_json::from_value(json).unwrap();
        let one = |name: &StepName| if name.as_str() == "one" { reached } else { Reached::Nothing };
        old.compatible_with(&new, &one).err().map(|error| error.to_string())
    }

    #[test]
    fn what_was_asked_for_stays_as_it_is_while_it_may_be_asked_for_again() {
        type Edit = fn(&mut Value);
        let edits: [(Edit, &str, Option<Reached>); 6] = [
            (|one| one["action"]["with"] = json!({ "x": 1 }), "parameters", Some(Reached::Begun)),
            (|one| one["action"]["max_cost"] = json!("${vars.v}"), "cost", Some(Reached::Begun)),
            (|one| one["undo"]["action"]["kind"] = json!("v"), "undo", Some(Reached::Undoing)),
            (|one| one["undo"]["action"]["with"] = json!({ "x": 1 }), "undo", Some(Reached::Undoing)),
            (|one| one["undo"] = json!("nothing"), "undo", Some(Reached::Undoing)),
            (|one| one["undo"]["action"]["retry"] = json!({ "tries": 3 }), "nothing", None),
        ];
        for (edit, what, fixed) in edits {
            for reached in [Reached::Nothing, Reached::Begun, Reached::Settled, Reached::Undoing] {
                let refused = format!("step one has begun, and its {what} is another");
                let expected = (fixed == Some(reached)).then_some(refused);
                assert_eq!(while_one_is(reached, edit), expected, "{reached:?}");
            }
        }
    }

    #[test]
    fn what_has_not_begun_may_change() {
        assert_eq!(after(true, |_| ()), None);
        assert_eq!(after(false, |new| drop(new["steps"].as_array_mut().unwrap().pop())), None);
        assert_eq!(after(false, |new| new["steps"][2] = json!({ "step": "three", "sleep": "1s" })), None);
        assert_eq!(after(false, |new| new["input"]["b?"] = json!("string")), None);
        assert_eq!(after(false, |new| new["steps"][0]["gives"] = json!("any")), None);
        assert_eq!(after(false, |new| new["steps"][1]["after"] = json!([])), None);
        assert_eq!(after(false, |new| new["vars"]["w"] = json!({ "type": "any", "value": 1 })), None);
        let add = |new: &mut Value| {
            new["steps"].as_array_mut().unwrap().push(json!({ "step": "x", "sleep": "1s" }))
        };
        assert_eq!(after(true, add), None);
    }

    #[test]
    fn what_has_begun_must_go_on() {
        type Edit = fn(&mut Value);
        let cases: [(Edit, &str); 15] = [
            (|new| new["workflow"] = json!("x"), "a run of workflow w cannot go on under x"),
            (
                |new| new["input"]["b"] = json!("string"),
                "the input was {\"a\":\"string\"}, which {\"a\":\"string\",\"b\":\"string\"} does not take",
            ),
            (|new| new["vars"] = json!({}), "variable \"v\" is gone"),
            (|new| new["vars"]["v"]["type"] = json!("number"), "variable \"v\" was integer, and is number"),
            (|new| drop(new["steps"].as_array_mut().unwrap().pop()), "step three has begun, and is gone"),
            (
                |new| new["steps"][0]["action"]["kind"] = json!("l"),
                "step one has begun, and its kind of action is another",
            ),
            (
                |new| new["steps"][1] = json!({ "step": "two", "sleep": "1s" }),
                "step two has begun, and its kind is another",
            ),
            (
                |new| new["steps"][1]["signal"]["name"] = json!("stop"),
                "step two has begun, and its signal is another",
            ),
            (
                |new| new["steps"][2]["workflow"]["name"] = json!("x"),
                "step three has begun, and its workflow is another",
            ),
            (|new| new["steps"][2]["each"] = json!(null), "step three has begun, and its each is another"),
            (
                |new| new["steps"][1]["repeat"] = json!({ "until": { "true": true }, "at_most": 1 }),
                "step two has begun, and its repeat is another",
            ),
            (
                |new| new["steps"][0]["gives"]["y"] = json!("string"),
                "step one has begun, and its output was {\"x\":\"string\"}, which {\"x\":\"string\",\"y\":\"string\"} \
                 does not take",
            ),
            (
                |new| new["steps"][1]["gives"] = json!("string"),
                "step two has begun, and its output was any, which string does not take",
            ),
            (
                |new| new["input"] = json!("string"),
                "the input was {\"a\":\"string\"}, which string does not take",
            ),
            (
                |new| new["steps"][1]["signal"] = json!({ "name": "stop" }),
                "step two has begun, and its signal is another",
            ),
        ];
        for (edit, expected) in cases {
            assert_eq!(after(true, edit).as_deref(), Some(expected));
        }
        let wait = |new: &mut Value| {
            new["steps"][1]["after"] = json!(["one", "new"]);
            new["steps"].as_array_mut().unwrap().push(json!({ "step": "new", "sleep": "1s" }));
        };
        let expected = "step two has begun, and now waits for new, which has not";
        assert_eq!(after(false, wait).as_deref(), Some(expected));
        // What it waited for before, such as a step that was skipped, may be as it was.
        let old: Workflow = serde_json::from_value(old()).unwrap();
        let two = |name: &StepName| if name.as_str() == "two" { Reached::Settled } else { Reached::Nothing };
        assert_eq!(old.compatible_with(&old, &two), Ok(()));
    }
}
