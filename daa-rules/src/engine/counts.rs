//! Which counts a decision rests on, and which it adds to. Pure.

use std::collections::BTreeSet;

use daa_core::action::{Decision, Request, Verdict};
use daa_core::id::ActionKind;

use crate::condition::{Budget, Condition, Indeterminate};
use crate::memory::{Counter, Place};
use crate::provider::ProvidedFact;
use crate::ruleset::Ruleset;
use crate::trigger::{Parameter, Trigger, TriggeredRule};

impl Ruleset {
    /// What counts actions of this kind, and what the rules about it, and that, ask for.
    pub(crate) fn gathered_about(&self, kind: &ActionKind) -> (Vec<&Counter>, Vec<&ProvidedFact>) {
        let (counters, provided) = (self.counters(), self.provided());
        if counters.is_empty() && provided.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let rules = self.index().about(kind).filter_map(|at| self.rules().get(at));
        let conditions = rules.filter_map(|rule| rule.condition.as_ref());
        let mut asked: BTreeSet<&str> = conditions.flat_map(Condition::given).collect();
        asked.extend(self.asked_after(kind));
        // What is counted later may depend on what was seen, and so what that asks for comes last.
        for counter in counters.iter().rev() {
            if counter.matches(kind) || asked.contains(counter.path.as_str()) {
                asked.insert(&counter.path);
                asked.extend(counter.needs());
            }
        }
        let counters = counters.iter().filter(|counter| asked.contains(counter.path.as_str())).collect();
        (counters, provided.iter().filter(|fact| asked.contains(fact.path.as_str())).collect())
    }

    /// What the rules about actions of this kind, and what counts them, ask for among the parameters.
    pub(crate) fn parameters_about(&self, kind: &ActionKind) -> Vec<&Parameter> {
        if self.parameters().is_empty() {
            return Vec::new();
        }
        let rules = self.index().about(kind).filter_map(|at| self.rules().get(at));
        let conditions = rules.filter_map(|rule| rule.condition.as_ref());
        let mut asked: BTreeSet<&str> = conditions.flat_map(Condition::given).collect();
        asked.extend(self.asked_after(kind));
        asked.extend(self.counters().iter().flat_map(Counter::needs));
        let names: BTreeSet<&str> =
            asked.into_iter().filter_map(|path| path.strip_prefix("parameter.")).collect();
        self.parameters().iter().filter(|parameter| names.contains(parameter.name.as_str())).collect()
    }

    /// What rules ask for that do something once a decision on such an action is on record: it is gathered with the
    /// decision, so that they see what that saw.
    fn asked_after(&self, kind: &ActionKind) -> impl Iterator<Item = &str> {
        let about =
            |rule: &&TriggeredRule| matches!(&rule.trigger, Trigger::Decision(on) if on.matches(kind));
        self.triggered().iter().filter(about).flat_map(TriggeredRule::needs)
    }

    /// Where an action counts, if it is permitted.
    pub(crate) fn places<'r>(
        &'r self,
        request: &Request<'_>,
        budget: &mut Budget,
    ) -> Result<Vec<(&'r Counter, Place)>, (&'r Counter, Indeterminate)> {
        let mut places = Vec::new();
        for counter in self.counters().iter().filter(|counter| counter.matches(request.action.kind())) {
            let place = match counter.applies(request, budget) {
                Ok(false) => continue,
                Ok(true) => counter.place(request, budget),
                Err(why) => Err(why),
            };
            let place = place.and_then(|place| counter.has_room(request).map(|()| place));
            places.push((counter, place.map_err(|why| (counter, why))?));
        }
        Ok(places)
    }

    /// The verdict, with the streams that count the action. What would have to be counted and cannot be is denied: it
    /// would pass by the limit.
    pub(super) fn counted(&self, verdict: Verdict, request: &Request<'_>, budget: &mut Budget) -> Verdict {
        if matches!(verdict.decision, Decision::Deny { .. }) {
            return verdict;
        }
        let mut verdict = verdict;
        match self.places(request, budget) {
            Ok(places) => verdict.counts = places.into_iter().map(|(_, place)| place.stream).collect(),
            Err((counter, why)) => {
                let reason = format!("{} cannot count the action: {why}", counter.path);
                verdict.decision = Decision::Deny { reason };
            }
        }
        verdict
    }
}
