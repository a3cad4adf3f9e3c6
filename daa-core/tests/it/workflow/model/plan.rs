//! Workflows at random: a plan that the test understands by itself, and the definition it stands for.

use std::num::NonZeroU32;
use std::time::Duration;

use daa_core::seed::Rng;
use daa_core::workflow::{Condition, Limit, Retry, Step, Template, Type, Variable, Workflow};
use rand::RngExt as _;
use serde_json::{Map, Value, json};

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Doing {
    /// An action of this kind; its executor undoes those of kind `d` by itself.
    Action(&'static str),
    Sleep(u64),
    Signal,
    Approval,
    /// Another plan, by its number.
    Child(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reversal {
    Unsaid,
    Nothing,
    Refund,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    InputBelow(u64),
    /// The `n` of the output of an earlier step.
    AtLeast(usize, u64),
    /// The variable, when the step would begin.
    VarBelow(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct PlanStep {
    pub(crate) needs: Vec<usize>,
    pub(crate) doing: Doing,
    pub(crate) when: Option<When>,
    /// For each item of the input, so many at a time; 0 for all at once.
    pub(crate) each: Option<u32>,
    /// Until `n` is at least 3.
    pub(crate) repeat: Option<u32>,
    pub(crate) reversal: Reversal,
    pub(crate) may_fail: bool,
    pub(crate) tries: u32,
    pub(crate) timeout: bool,
    pub(crate) deadline: Option<u64>,
    /// The key of a limit, and how many at once.
    pub(crate) limit: Option<(String, u32)>,
    /// Whether it is given the variable.
    pub(crate) reads: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) number: usize,
    pub(crate) steps: Vec<PlanStep>,
    pub(crate) deadline: Option<u64>,
    pub(crate) at_once: Option<u32>,
}

pub(crate) const ENOUGH: u64 = 3;
/// The variable of a run is below this.
pub(crate) const VALUES: u64 = 10;

fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.random_range(0..100) < percent
}

/// A plan that may run those of higher numbers, up to `plans`.
pub(crate) fn plan(rng: &mut Rng, number: usize, plans: usize) -> Plan {
    let count = rng.random_range(1..=if number == 0 { 8 } else { 3 });
    let mut steps: Vec<PlanStep> = Vec::new();
    for _ in 0..count {
        let next = step(rng, &steps, number, plans);
        steps.push(next);
    }
    let deadline = chance(rng, 4).then(|| rng.random_range(5_000..60_000));
    let at_once = (number == 0 && chance(rng, 15)).then(|| rng.random_range(1..3));
    Plan { number, steps, deadline, at_once }
}

fn step(rng: &mut Rng, before: &[PlanStep], number: usize, plans: usize) -> PlanStep {
    let needs: Vec<usize> = (0..before.len()).filter(|_| chance(rng, 35)).collect();
    // A list has no fields.
    let single: Vec<usize> = needs.iter().copied().filter(|&need| before[need].each.is_none()).collect();
    let doing = match rng.random_range(0..100) {
        0..68 => Doing::Action(["a", "b", "c", "d"][rng.random_range(0..4)]),
        68..75 => Doing::Sleep(rng.random_range(1..20_000)),
        75..83 => Doing::Signal,
        83..88 => Doing::Approval,
        _ if number + 1 < plans => Doing::Child(rng.random_range(number + 1..plans)),
        _ => Doing::Action("a"),
    };
    let action = matches!(doing, Doing::Action(_));
    let when = match rng.random_range(0..20) {
        4 | 5 => Some(When::VarBelow(rng.random_range(1..VALUES))),
        0 | 1 => Some(When::InputBelow(rng.random_range(0..10))),
        2 | 3 if !single.is_empty() => {
            Some(When::AtLeast(single[rng.random_range(0..single.len())], rng.random_range(0..6)))
        }
        _ => None,
    };
    let each =
        ((action || matches!(doing, Doing::Child(_))) && chance(rng, 18)).then(|| rng.random_range(0..3));
    let repeat = (action && each.is_none() && chance(rng, 15)).then(|| rng.random_range(1..6));
    let reversal = match rng.random_range(0..10) {
        _ if !action => Reversal::Unsaid,
        0..5 => Reversal::Refund,
        5..7 => Reversal::Nothing,
        _ => Reversal::Unsaid,
    };
    let limit = (action && chance(rng, 15)).then(|| (format!("key-{}", rng.random_range(0..2)), 0));
    PlanStep {
        needs,
        doing,
        when,
        each,
        repeat,
        reversal,
        may_fail: chance(rng, 25),
        tries: rng.random_range(1..5),
        timeout: action && chance(rng, 50),
        deadline: (action && chance(rng, 6)).then(|| rng.random_range(3_000..20_000)),
        // The number at once is a function of the key: it is one limit.
        limit: limit.map(|(key, _): (String, u32)| (key.clone(), if key == "key-0" { 1 } else { 2 })),
        reads: chance(rng, 40),
    }
}

pub(crate) fn name(at: usize) -> String {
    format!("s{at}")
}

impl Plan {
    pub(crate) fn name(&self) -> String {
        format!("w{}", self.number)
    }

    /// A version with more steps at its end.
    pub(crate) fn newer(&self, rng: &mut Rng, plans: usize) -> Self {
        let mut newer = self.clone();
        for _ in 0..rng.random_range(1..3) {
            let next = step(rng, &newer.steps, self.number, plans);
            newer.steps.push(next);
        }
        newer
    }

    /// The definition.
    pub(crate) fn workflow(&self) -> Workflow {
        let mut workflow =
            Workflow::new(self.name().parse().unwrap()).with_var("v", Variable::new(Type::Integer, 0));
        for (at, step) in self.steps.iter().enumerate() {
            workflow = workflow.with_step(step.definition(at));
        }
        if let Some(millis) = self.deadline {
            workflow = workflow.with_deadline(Duration::from_millis(millis));
        }
        if let Some(at_once) = self.at_once {
            workflow = workflow.with_limit(Limit::at_once("runs", NonZeroU32::new(at_once).unwrap()));
        }
        let output: Map<String, Value> =
            (0..self.steps.len()).map(|at| (name(at), json!(format!("${{{}}}", name(at))))).collect();
        workflow.with_output(Value::Object(output))
    }
}

impl PlanStep {
    fn definition(&self, at: usize) -> Step {
        let own = name(at);
        let id = own.parse().unwrap();
        let seen: Vec<String> = self.needs.iter().map(|&need| format!("${{{}}}", name(need))).collect();
        let mut step = match &self.doing {
            Doing::Action(kind) => Step::action(id, kind.parse().unwrap(), self.params(json!(seen))),
            Doing::Sleep(millis) => Step::sleep(id, Duration::from_millis(*millis)),
            Doing::Signal => Step::signal(id, own.parse().unwrap()),
            Doing::Approval => {
                let of = if self.reads { json!([seen, "${vars.v}"]) } else { json!(seen) };
                Step::approval(id, of, Duration::from_secs(3600))
            }
            Doing::Child(number) => {
                let input = json!({ "x": "${input.x}", "items": "${input.items}" });
                Step::workflow(id, format!("w{number}").parse().unwrap(), input)
            }
        };
        for &need in &self.needs {
            step = step.with_after(name(need).parse().unwrap());
        }
        step = match self.when {
            Some(When::InputBelow(bound)) => {
                step.with_when(Condition::Lt(Template::new("${input.x}"), Template::new(bound)))
            }
            Some(When::AtLeast(need, bound)) => {
                let n = format!("${{{}.n}}", name(need));
                step.with_when(Condition::Ge(Template::new(n), Template::new(bound)))
            }
            Some(When::VarBelow(bound)) => {
                step.with_when(Condition::Lt(Template::new("${vars.v}"), Template::new(bound)))
            }
            None => step,
        };
        if let Some(at_once) = self.each {
            step = step.with_each("${input.items}", NonZeroU32::new(at_once));
        }
        if let Some(at_most) = self.repeat {
            let enough = Condition::Ge(Template::new("${last.n}"), Template::new(ENOUGH));
            step = step.with_repeat(enough, NonZeroU32::new(at_most).unwrap());
        }
        step = match self.reversal {
            Reversal::Unsaid => step,
            Reversal::Nothing => step.with_nothing_to_undo(),
            Reversal::Refund => {
                let mut params = json!({ "of": format!("${{{own}}}") });
                params["timeout"] = json!(self.timeout);
                if self.reads {
                    params["v"] = json!("${vars.v}");
                }
                step.with_undo("refund".parse().unwrap(), params)
            }
        };
        if self.may_fail {
            step = step.with_failure_allowed();
        }
        if self.timeout {
            step = step.with_try_timeout(Duration::from_secs(2));
        }
        if let Some(millis) = self.deadline {
            step = step.with_deadline(Duration::from_millis(millis));
        }
        if let Some((key, at_once)) = &self.limit {
            step = step.with_limit(Limit::at_once(key.as_str(), NonZeroU32::new(*at_once).unwrap()));
        }
        if !matches!(self.doing, Doing::Action(_)) {
            return step;
        }
        let waits = (Duration::from_millis(100), Duration::from_secs(5));
        step.with_retry(Retry::times(self.tries).with_waits(waits.0, waits.1))
    }

    /// The parameters of the action, around what it sees of those before it.
    fn params(&self, seen: Value) -> Value {
        let mut params = json!({ "seen": seen, "timeout": self.timeout });
        if self.reads {
            params["v"] = json!("${vars.v}");
        }
        if self.each.is_some() {
            params["item"] = json!("${item}");
        }
        if self.repeat.is_some() {
            params["last"] = json!("${last}");
        }
        if let Some((key, at_once)) = &self.limit {
            params["limit"] = json!(key);
            params["at_once"] = json!(at_once);
        }
        params
    }

    /// The parameters that one doing of it must have.
    pub(crate) fn expected(&self, seen: Vec<Value>, item: &Value, last: &Value, v: u64) -> Value {
        let mut params = self.params(json!(seen));
        if self.reads {
            params["v"] = json!(v);
        }
        if self.each.is_some() {
            params["item"] = item.clone();
        }
        if self.repeat.is_some() {
            params["last"] = last.clone();
        }
        params
    }
}
