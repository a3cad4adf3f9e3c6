//! A plan as a definition: actions one after the other, whose names and context are given.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::compiled::{Compiled, CompiledStep, Given, GivenId, StepIndex};
use super::{Step, Template, Workflow};
use crate::action::Context;
use crate::action::request::hash_value;
use crate::amount::Money;
use crate::digest::Digest;
use crate::id::{ActionId, ActionKind, StepName, WorkflowName};

/// Actions to be done one after the other, and undone in reverse when one fails.
#[derive(Clone, Debug)]
pub(crate) struct ActionPlan {
    /// The name that all plans of this sort share.
    pub(crate) name: WorkflowName,
    /// What the rules are told beside each action.
    pub(crate) context: Context,
    /// How long each action, and each undo, may take; only who performs it knows.
    pub(crate) limit: Option<Duration>,
    /// In order.
    pub(crate) actions: Vec<ActionOfPlan>,
}

/// One action of a plan.
#[derive(Clone, Debug)]
pub(crate) struct ActionOfPlan {
    pub(crate) id: ActionId,
    /// Whether others may ask for an action of this id too: what they did is kept when the plan is rolled back.
    pub(crate) shared: bool,
    pub(crate) kind: ActionKind,
    pub(crate) params: Value,
    pub(crate) max_cost: Option<Money>,
}

impl Compiled {
    /// The definition of a plan. It is not checked: whoever made the plan has kept it within bounds, and it has no
    /// references.
    pub(in crate::workflow) fn plan(plan: ActionPlan) -> Arc<Self> {
        let digest = digest(&plan);
        let ActionPlan { name, context, limit, actions } = plan;
        let count = actions.len();
        let mut given = Given { actions: Vec::with_capacity(count), context };
        let mut workflow = Workflow::new(name);
        let mut before: Option<StepName> = None;
        for (at, action) in actions.into_iter().enumerate() {
            let ActionOfPlan { id, shared, kind, params, max_cost } = action;
            let name = step_name(at);
            let mut step = Step::action(name.clone(), kind, Template::literal(params));
            step.try_timeout = limit;
            if let Some(cost) = max_cost {
                // Money always has a JSON form.
                let cost = serde_json::to_value(cost).unwrap_or_default();
                step = step.with_max_cost(Template::literal(cost));
            }
            step.after.extend(before.replace(name));
            workflow.steps.push(step);
            given.actions.push(GivenId { id, shared });
        }
        let number = |at: usize| StepIndex(u16::try_from(at).unwrap_or(u16::MAX));
        let neighbours = |at: usize| CompiledStep {
            waits_for: u16::from(at > 0),
            then: Vec::from_iter((at + 1 < count).then(|| number(at + 1))),
        };
        let by_name = workflow.steps.iter().enumerate();
        let by_name = by_name.map(|(at, step)| (step.name.clone(), number(at))).collect();
        let steps = (0..count).map(neighbours).collect();
        Arc::new(Self { workflow, digest, steps, by_name, given: Some(given) })
    }
}

/// Of what the plan does, in whose view and under which names: everything but how long it may take.
fn digest(plan: &ActionPlan) -> Digest {
    let mut builder = Digest::builder("daa workflow plan v1").field(plan.name.as_str().as_bytes());
    for action in &plan.actions {
        builder.add(action.id.as_str().as_bytes());
        builder.add(&[action.shared.into()]);
        builder.add(action.kind.as_str().as_bytes());
        hash_value(&mut builder, &action.params);
        let cost = action.max_cost.map(|cost| serde_json::to_value(cost).unwrap_or_default());
        hash_value(&mut builder, &cost.unwrap_or_default());
    }
    builder.finish()
}

/// `s0`, `s1`, and so on.
#[expect(clippy::expect_used, reason = "a letter and digits")]
fn step_name(at: usize) -> StepName {
    StepName::new(format!("s{at}")).expect("a letter and digits are an id")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::workflow::definition::Node;

    fn plan(params: Vec<Value>) -> ActionPlan {
        let action = |(at, params): (usize, Value)| ActionOfPlan {
            id: ActionId::new(format!("a/1/{at}")).unwrap(),
            shared: false,
            kind: "work".try_into().unwrap(),
            params,
            max_cost: None,
        };
        let (context, limit) = (Context::new(), Some(Duration::from_secs(1)));
        let actions = params.into_iter().enumerate().map(action).collect();
        ActionPlan { name: "plan".try_into().unwrap(), context, limit, actions }
    }

    #[test]
    fn steps_depend_on_each_other_as_their_definition_says() {
        for count in [1, 2, 3, 64] {
            let compiled = Compiled::plan(plan(vec![Value::Null; count]));
            let linked = Compiled::link(compiled.workflow.clone());
            assert_eq!((&compiled.steps, &compiled.by_name), (&linked.steps, &linked.by_name));
            compiled.workflow.check().unwrap();
        }
    }

    #[test]
    fn everything_that_is_done_changes_the_digest() {
        let of = |change: &dyn Fn(&mut ActionPlan)| {
            let mut plan = plan(vec![Value::Null, Value::Null]);
            change(&mut plan);
            Compiled::plan(plan).digest
        };
        let usd = crate::amount::Currency::new("USD", 2).unwrap();
        let digests = [
            of(&|_| {}),
            of(&|plan| plan.name = "other".try_into().unwrap()),
            of(&|plan| drop(plan.actions.pop())),
            of(&|plan| plan.actions[1].id = "b".try_into().unwrap()),
            of(&|plan| plan.actions[1].shared = true),
            of(&|plan| plan.actions[1].kind = "play".try_into().unwrap()),
            of(&|plan| plan.actions[1].params = 1.into()),
            of(&|plan| plan.actions[1].max_cost = Some(usd.units(1))),
            of(&|plan| plan.actions[1].max_cost = Some(usd.units(2))),
        ];
        assert_eq!(std::collections::BTreeSet::from(digests).len(), digests.len());
        assert_eq!(
            of(&|plan| plan.limit = Some(Duration::from_secs(2))),
            digests[0],
            "a limit may change on the way"
        );
    }

    fn json() -> impl Strategy<Value = Value> {
        let text = "[${}a.]{0,12}".prop_map(Value::from);
        text.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[${}a]{0,3}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn parameters_are_literal_however_they_look_and_wherever_the_definition_is_read(value in json()) {
            let template = Template::literal(value.clone());
            prop_assert_eq!(template.node(), &Node::Literal(value));
            let written = serde_json::to_string(&template).unwrap();
            prop_assert_eq!(serde_json::from_str::<Template>(&written).unwrap(), template);
        }
    }
}
