//! Finds everything in a definition that cannot work, before anything runs.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use super::compiled::{ENDINGS, RESERVED};
use super::fit::Fit;
use super::graph::Graph;
use super::infer::{Around, Known, Visible};
use super::template_check::Templates;
use super::{
    Cause, DefinitionErrors, Limit, Place, Problems, Rate, Retry, Step, StepKind, Type, Undo, Workflow,
};

/// The most steps of a workflow.
pub(super) const MAX_STEPS: usize = 1_000;
/// How often a step is done at most: the most items of a list, and the most times of a loop.
pub(in crate::workflow) const MAX_LANES: u32 = 1_000;
/// The longest JSON of a definition, in bytes.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// How deep values in a definition may be nested.
pub(super) const MAX_DEPTH: usize = 32;
/// The longest name of a step or a variable, in bytes.
const MAX_NAME: usize = 60;
/// The longest span of time.
const TEN_YEARS: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Finds what is wrong with a definition.
pub(super) fn check(workflow: &Workflow) -> Result<(), DefinitionErrors> {
    let mut problems = Problems::default();
    bounds(workflow, &mut problems);
    if !problems.is_empty() {
        // Whatever is out of bounds is not looked into.
        return problems.finish();
    }
    let places = places(workflow);
    let graph = Graph::new(&workflow.steps);
    let known = Known::new(workflow);
    let mut check = Check { workflow, known: &known, problems };
    check.whole();
    check.names(&places);
    let has_cycle = graph.report_cycles(&workflow.steps, &places, &mut check.problems);
    let ancestors = graph.ancestors();
    for ((step, place), ancestors) in workflow.steps.iter().zip(&places).zip(&ancestors) {
        check.step(step, place);
        // In a cycle nothing is before anything: that is the mistake to mend first.
        let visible = if has_cycle { Visible::All } else { Visible::Before { own: step, ancestors } };
        check.undo(step, place, visible);
    }
    check.problems.finish()
}

fn bounds(workflow: &Workflow, problems: &mut Problems) {
    let root = Place::root();
    let (found, max) = (workflow.steps.len(), MAX_STEPS);
    if found == 0 {
        problems.add(&root, Cause::NoSteps);
    } else if found > max {
        problems.add(&root, Cause::TooManySteps { found, max });
        return;
    }
    let json = serde_json::to_value(workflow).unwrap_or_default();
    if depth(&json) > MAX_DEPTH {
        problems.add(&root, Cause::TooDeep { max: MAX_DEPTH });
    }
    let (found, max) = (json.to_string().len(), MAX_BYTES);
    if found > max {
        problems.add(&root, Cause::TooLarge { found, max });
    }
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        _ => return 0,
    };
    inner.unwrap_or_default() + 1
}

/// Where each step is: by its name, or by its number where the name does not say it.
fn places(workflow: &Workflow) -> Vec<Place> {
    let mut seen = HashSet::new();
    let place = |(at, step): (usize, &Step)| {
        let name = step.name.as_str();
        let clear = is_name(name) && seen.insert(name.to_owned());
        Place::of(["steps".to_owned(), if clear { name.to_owned() } else { at.to_string() }])
    };
    workflow.steps.iter().enumerate().map(place).collect()
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= MAX_NAME
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

struct Check<'w> {
    workflow: &'w Workflow,
    known: &'w Known<'w>,
    problems: Problems,
}

impl Check<'_> {
    fn templates<'a>(&'a mut self, around: &'a Around<'a>) -> Templates<'a> {
        Templates { around, problems: &mut self.problems }
    }

    /// What belongs to no step.
    fn whole(&mut self) {
        let workflow = self.workflow;
        let root = Place::root();
        self.fields(&workflow.input, &root.then("input"));
        self.fields(&workflow.gives, &root.then("gives"));
        for (name, var) in &workflow.vars {
            let place = root.then("vars").then(name);
            if !is_name(name) {
                self.problems.add(&place, Cause::Name { name: name.clone(), max: MAX_NAME });
            }
            self.fields(&var.of, &place.then("type"));
            self.problems.value(&var.of, &var.value, &place.then("value"));
        }
        let around = self.known.around(Visible::All);
        self.templates(&around).node(workflow.output.node(), &workflow.gives, &root.then("output"));
        self.span(workflow.deadline, &root.then("deadline"));
        self.span(workflow.escalation, &root.then("escalation"));
        if let Some(limit) = &workflow.limit {
            let around = self.known.around(Visible::None);
            self.limit(limit, &around, &root.then("limit"));
        }
    }

    fn names(&mut self, places: &[Place]) {
        let mut seen = HashSet::new();
        for (step, place) in self.workflow.steps.iter().zip(places) {
            let name = step.name.as_str();
            let place = place.then("step");
            if !is_name(name) {
                self.problems.add(&place, Cause::Name { name: name.to_owned(), max: MAX_NAME });
            } else if RESERVED.contains(&name) || ENDINGS.contains(&name) {
                self.problems.add(&place, Cause::ReservedName { name: name.to_owned() });
            } else if !seen.insert(name) {
                self.problems.add(&place, Cause::DuplicateStep { name: step.name.clone() });
            }
        }
    }

    fn step(&mut self, step: &Step, place: &Place) {
        self.after(step, place);
        self.fields(&step.gives, &place.then("gives"));
        let around = self.known.around(Visible::All);
        if let Some(when) = &step.when {
            self.templates(&around).condition(when, &place.then("when"));
        }
        let mut inside = around.clone();
        if let Some(each) = &step.each {
            let list = Type::list(Type::Any);
            self.templates(&around).node(each.of.node(), &list, &place.then("each").then("of"));
            inside.index = true;
            inside.item = Some(match around.infer(each.of.node()) {
                Type::List(of) => *of,
                _ => Type::Any,
            });
        }
        if let Some(repeat) = &step.repeat {
            let (found, max) = (repeat.at_most.get(), MAX_LANES);
            if found > max {
                let place = place.then("repeat").then("at_most");
                self.problems.add(&place, Cause::TooManyTimes { found, max });
            }
            inside.index = true;
            inside.last = Some(step.gives.clone());
            self.templates(&inside).condition(&repeat.until, &place.then("repeat").then("until"));
            // Before the first time there was none.
            inside.last = Some(step.gives.clone().or_null());
        }
        if step.each.is_some() && step.repeat.is_some() {
            self.problems.add(&place.then("repeat"), Cause::TwoLoops);
        }
        self.kind(step, &inside, place);
        if let Some(limit) = &step.limit {
            self.limit(limit, &inside, &place.then("limit"));
        }
        self.times(step, place);
        self.meaning(step, place);
    }

    fn after(&mut self, step: &Step, place: &Place) {
        for (at, name) in step.after.iter().enumerate() {
            let place = place.then("after").then(at);
            if *name == step.name {
                self.problems.add(&place, Cause::DependsOnItself);
            } else if !self.known.has_step(name.as_str()) {
                self.problems.add(&place, self.known.no_step(name.as_str(), &[]));
            }
        }
        let mut itself = false;
        super::compiled::references(step, &mut |path| itself |= path.root == step.name.as_str());
        // A reserved name is another mistake.
        if itself && !RESERVED.contains(&step.name.as_str()) {
            self.problems.add(place, Cause::DependsOnItself);
        }
    }

    fn kind(&mut self, step: &Step, inside: &Around<'_>, place: &Place) {
        match &step.kind {
            StepKind::Action(action) => {
                self.fields(&action.takes, &place.then("takes"));
                let mut templates = self.templates(inside);
                templates.node(action.with.node(), &action.takes, &place.then("with"));
                if let Some(cost) = &action.max_cost {
                    templates.node(cost.node(), &money(), &place.then("max_cost"));
                }
            }
            StepKind::Sleep(span) => self.at_most(*span, &place.then("sleep")),
            StepKind::Until(moment) => {
                self.templates(inside).node(moment.node(), &Type::Integer, &place.then("until"));
            }
            StepKind::Signal(_) => {}
            StepKind::Approval(approval) => {
                self.templates(inside).node(approval.of.node(), &Type::Any, &place.then("of"));
                self.span(Some(approval.within), &place.then("within"));
                let answer =
                    Type::object([("by", Type::String), ("at", Type::Integer), ("comment", Type::String)]);
                if !step.gives.takes(&answer, Fit::Checked) {
                    let (found, expected) = (answer.to_string(), step.gives.clone());
                    self.problems.add(&place.then("gives"), Cause::Mismatch { found, expected });
                }
            }
            StepKind::Workflow(child) => {
                self.templates(inside).node(child.with.node(), &Type::Any, &place.then("with"));
            }
        }
    }

    fn times(&mut self, step: &Step, place: &Place) {
        self.span(step.deadline, &place.then("deadline"));
        self.span(step.try_timeout, &place.then("try_timeout"));
        self.span(step.heartbeat, &place.then("heartbeat"));
        self.retry(&step.retry, &place.then("retry"));
    }

    /// What is said of a step and means nothing for its kind.
    fn meaning(&mut self, step: &Step, place: &Place) {
        use StepKind::{Action, Approval, Signal, Sleep, Until, Workflow};
        let action = matches!(step.kind, Action(_));
        let only_actions = [
            ("retry", step.retry != Retry::default()),
            ("try_timeout", step.try_timeout.is_some()),
            ("heartbeat", step.heartbeat.is_some()),
        ];
        for (what, _) in only_actions.into_iter().filter(|(_, said)| *said && !action) {
            self.problems.add(&place.then(what), Cause::OnlyActions { what });
        }
        let (kind, without): (_, &[_]) = match step.kind {
            Sleep(_) => ("sleep", &["gives", "deadline", "limit"]),
            Until(_) => ("until", &["gives", "deadline", "limit"]),
            Signal(_) => ("signal", &["limit"]),
            Action(_) | Approval(_) | Workflow(_) => return,
        };
        let said = [
            ("gives", step.gives != Type::Any),
            ("deadline", step.deadline.is_some()),
            ("limit", step.limit.is_some()),
        ];
        for (what, _) in said.into_iter().filter(|(what, said)| *said && without.contains(what)) {
            self.problems.add(&place.then(what), Cause::NotOfThisKind { what, kind });
        }
    }

    fn undo(&mut self, step: &Step, place: &Place, visible: Visible<'_>) {
        let place = place.then("undo");
        let action = matches!(step.kind, StepKind::Action(_));
        match &step.undo {
            Undo::Unsaid if action && self.workflow.undo_required => {
                self.problems.add(&place, Cause::UndoUnsaid { step: step.name.clone() });
            }
            Undo::Unsaid => {}
            _ if !action => self.problems.add(&place, Cause::UndoOfNoAction),
            Undo::Nothing => {}
            Undo::Action { with, max_cost, retry, .. } => {
                let mut around = self.known.around(visible);
                around.index = step.each.is_some() || step.repeat.is_some();
                let items = step.each.as_ref();
                around.item = items.map(|each| match self.known.around(Visible::All).infer(each.of.node()) {
                    Type::List(of) => *of,
                    _ => Type::Any,
                });
                let mut templates = self.templates(&around);
                templates.node(with.node(), &Type::Any, &place.then("with"));
                if let Some(cost) = max_cost {
                    templates.node(cost.node(), &money(), &place.then("max_cost"));
                }
                self.retry(retry, &place.then("retry"));
            }
        }
    }

    fn retry(&mut self, retry: &Retry, place: &Place) {
        if !(retry.factor.is_finite() && retry.factor >= 1.0) {
            self.problems.add(&place.then("factor"), Cause::RetryFactor { found: retry.factor });
        }
        if !(0.0..=1.0).contains(&retry.jitter) {
            self.problems.add(&place.then("jitter"), Cause::RetryJitter { found: retry.jitter });
        }
        self.at_most(retry.first, &place.then("first"));
        self.at_most(retry.longest, &place.then("longest"));
        if retry.longest < retry.first {
            self.problems.add(&place.then("longest"), Cause::RetryWaits);
        }
        if retry.tries.is_none() && retry.first.is_zero() {
            self.problems.add(&place.then("first"), Cause::RetryWithoutWait);
        }
    }

    fn limit(&mut self, limit: &Limit, around: &Around<'_>, place: &Place) {
        self.templates(around).node(limit.key.node(), &Type::String, &place.then("key"));
        if limit.at_once.is_none() && limit.rate.is_none() {
            self.problems.add(place, Cause::NoLimit);
        }
        let Some(rate) = limit.rate else { return };
        let place = place.then("rate");
        self.span(Some(rate.per), &place.then("per"));
        let (found, max) = (rate.count.get(), Rate::MAX);
        if found > max {
            self.problems.add(&place.then("count"), Cause::RateTooLarge { found, max });
        }
    }

    /// A span of time in which something must be able to happen.
    fn span(&mut self, span: Option<Duration>, place: &Place) {
        let Some(span) = span else { return };
        if span.is_zero() {
            self.problems.add(place, Cause::NoTime);
        }
        self.at_most(span, place);
    }

    fn at_most(&mut self, span: Duration, place: &Place) {
        if span > TEN_YEARS {
            self.problems.add(place, Cause::TooLong);
        }
    }

    /// The names of the fields of a type.
    fn fields(&mut self, of: &Type, place: &Place) {
        match of {
            Type::List(of) => self.fields(of, &place.then(0)),
            Type::Optional(of) => self.fields(of, place),
            Type::Object(fields) => {
                for (name, field) in fields {
                    let place = place.then(name);
                    if name.is_empty() || name.ends_with('?') {
                        self.problems.add(&place, Cause::FieldName { name: name.clone() });
                    }
                    self.fields(&field.of, &place);
                }
            }
            Type::Any | Type::Bool | Type::Integer | Type::Number | Type::String => {}
        }
    }
}

/// The form of [`Money`](crate::amount::Money).
fn money() -> Type {
    let currency = Type::object([("code", Type::String), ("decimals", Type::Integer)]);
    Type::object([("amount", Type::String), ("currency", currency)])
}
