//! A case, played through: what the rules do about it, by the same steps as a runner.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use daa_core::action::{ActionEvent, Context, Decision};
use daa_core::clock::Timestamp;
use daa_core::event::{Position, RecordedEvent, Version};
use daa_core::id::{AgentId, EventKind};

use super::case::{Happened, TriggerCase, TriggerExplanation, explained};
use super::{Cause, Given, State, Stimulus, Trigger, TriggeredRule, Turn};
use crate::case::{Case, with_parameters};
use crate::condition::Budget;
use crate::coverage::Coverage;
use crate::limits::Limits;
use crate::parameters::Values;
use crate::ruleset::Ruleset;

/// What happens in a case, and what the rules do about it.
pub(super) struct Trial<'t> {
    rules: &'t Ruleset,
    state: State,
    values: Values,
    given: Context,
    told: TriggerExplanation,
    coverage: &'t mut Coverage,
    /// What this case may still look at.
    own: usize,
    /// What all cases together may.
    left: &'t mut usize,
}

impl<'t> Trial<'t> {
    pub(super) fn new(
        rules: &'t Ruleset,
        case: &TriggerCase,
        coverage: &'t mut Coverage,
        left: &'t mut usize,
    ) -> Self {
        let given = with_parameters(rules, case.given.clone());
        Self {
            rules,
            state: State::at(Position::START),
            values: Values::of(&given),
            given,
            told: TriggerExplanation { rules: Vec::new(), fired: Vec::new(), cut: false },
            coverage,
            own: Limits::OCCURRENCES,
            left,
        }
    }

    pub(super) fn told(mut self, case: &TriggerCase) -> TriggerExplanation {
        self.happened(case);
        self.told
    }

    /// Whether one thing more may be looked at.
    fn may_look(&mut self) -> bool {
        let may = self.own > 0 && *self.left > 0;
        self.own = self.own.saturating_sub(1);
        *self.left = self.left.saturating_sub(1);
        self.told.cut |= !may;
        may
    }

    /// Lets time pass, from occurrence to occurrence.
    fn wait(&mut self, from: Timestamp, to: Timestamp) {
        let rules = self.rules;
        let mut due = BinaryHeap::new();
        for (at, rule) in rules.triggered().iter().enumerate() {
            let Trigger::Schedule(cron) = rule.trigger() else { continue };
            if *self.left == 0 {
                self.told.cut = true;
                return;
            }
            *self.left -= 1;
            due.extend(cron.next_after(from).filter(|next| *next <= to).map(|next| Reverse((next, at))));
        }
        while let Some(Reverse((now, at))) = due.pop() {
            if !self.may_look() {
                return;
            }
            let Some(rule) = rules.triggered().get(at) else { continue };
            if let Ok(stimulus) = Stimulus::schedule(now, now) {
                self.react(&[rule], stimulus);
            }
            let Trigger::Schedule(cron) = rule.trigger() else { continue };
            due.extend(cron.next_after(now).filter(|next| *next <= to).map(|next| Reverse((next, at))));
        }
    }

    fn happened(&mut self, case: &TriggerCase) {
        let rules = self.rules;
        match &case.happened {
            Happened::Event { kind, stream, data } => {
                let payload = serde_json::to_vec(data).unwrap_or_default();
                let (position, version) = (Position::new(1), Version::new(1));
                let (stream, kind) = (stream.clone(), kind.clone());
                let recorded = RecordedEvent::new(position, stream, version, kind, case.now, payload.into());
                let kind = recorded.kind.as_str();
                let source = rules.schema().source_of(kind).cloned();
                let stimulus = Stimulus::event(&recorded, source, rules.triggered_by_event(kind), case.now);
                let Ok(stimulus) = stimulus else { return };
                self.react(&rules.triggered_by_event(kind).collect::<Vec<_>>(), stimulus);
            }
            Happened::Time { from, to } => self.wait(*from, *to),
            Happened::Values { rule, values } => {
                for rule in rules.triggered().iter().filter(|known| known.id() == rule) {
                    let Trigger::Threshold(threshold) = rule.trigger() else { continue };
                    for value in values {
                        if !self.may_look() {
                            return;
                        }
                        let Some(times) = self.state.crossed(rule, threshold, value) else { continue };
                        if let Ok(stimulus) = Stimulus::threshold(value.clone(), times, "case", case.now) {
                            self.react(&[rule], stimulus);
                        }
                    }
                }
            }
            Happened::Decision(case) => {
                let case = Case::clone(case).under(rules);
                let request = case.request();
                let mut verdict = rules.decide(&request);
                verdict.given = request.given.cloned().unwrap_or_default();
                let (action, context, digest) =
                    (request.action.clone(), request.context.clone(), request.action.digest());
                let event = if verdict.decision == Decision::Permit {
                    let (reservation, expires, endorsement) = (None, request.now, None);
                    ActionEvent::Permitted {
                        action,
                        digest,
                        context,
                        verdict,
                        reservation,
                        expires,
                        endorsement,
                        salt: None,
                    }
                } else {
                    ActionEvent::Withheld { action, digest, context, verdict, salt: None }
                };
                let kind = EventKind::new(event.kind()).ok();
                let stream = request.action.stream().ok();
                let (Some(kind), Some(stream)) = (kind, stream) else { return };
                let (position, version) = (Position::new(1), Version::new(1));
                let nothing = bytes::Bytes::new();
                let recorded = RecordedEvent::new(position, stream, version, kind, request.now, nothing);
                let Some(stimulus) = Stimulus::decision(&event, &recorded, request.now) else { return };
                let about = rules.triggered_by_decision(request.action);
                self.react(&about.collect::<Vec<_>>(), stimulus);
            }
        }
    }

    fn react(&mut self, rules: &[&TriggeredRule], stimulus: Stimulus) {
        let given = match stimulus.cause {
            // What it was given is on record.
            Cause::Decision { .. } => Context::NONE,
            _ => self.values.give(self.rules.parameters().iter(), self.given.clone()),
        };
        let stimulus = stimulus.with_given(&given);
        let mut budget = Budget::new();
        let seen: Vec<_> = rules.iter().map(|rule| explained(rule, &stimulus, &mut budget)).collect();
        let turns: Vec<_> = rules.iter().map(|rule| Turn { rule, stimulus: &stimulus }).collect();
        #[expect(clippy::expect_used, reason = "a constant of the id alphabet")]
        let actor = AgentId::new("agent").expect("a constant name is an id");
        let now = stimulus.now;
        let mut fired = Vec::new();
        let mut turns = turns.as_slice();
        // In as many steps as it takes.
        while !turns.is_empty() {
            let parameters = &self.values.clone();
            let about = Given { rules: self.rules, parameters, actor: &actor, fired: Version::EMPTY, now };
            let step = self.state.clone().step(turns, &about);
            if let Some(set) = step.set {
                self.values = Values::after(self.values.version.next(), set);
            }
            self.state = step.state;
            self.state.pending.clear();
            fired.extend(step.fired);
            turns = turns.get(step.taken.max(1)..).unwrap_or_default();
        }
        for told in &seen {
            let did = fired.iter().any(|fired| fired.rule == told.id && fired.problem.is_none());
            self.coverage.note(&told.id, &told.outcome, did);
        }
        self.told.rules.extend(seen);
        self.told.fired.extend(fired);
    }
}

impl Values {
    /// The parameters among what is given.
    fn of(given: &Context) -> Self {
        let values = given.facts().filter_map(|(name, value)| {
            let name = name.strip_prefix("parameter.").filter(|name| *name != "version")?;
            Some((name.to_owned(), value.clone()))
        });
        Self { values: values.collect(), ..Self::default() }
    }
}
