//! What rules ask for that no event brings: parameters, windows, what others know.

use std::collections::BTreeSet;
use std::sync::Arc;

use daa_core::action::{Context, Policy as _};
use daa_core::clock::Timestamp;

use super::{RunnerError, TriggerRunner};
use crate::condition::Budget;
use crate::parameters::Values;
use crate::ruleset::Ruleset;
use crate::trigger::{State, Stimulus, Trigger, TriggeredRule};

impl TriggerRunner {
    /// The values of parameters, where there are any.
    pub(super) async fn values(&self, rules: &Ruleset) -> Result<Arc<Values>, RunnerError> {
        if rules.parameters().is_empty() {
            return Ok(Arc::default());
        }
        Ok(self.parameters.read(&*self.store).await?)
    }

    /// What these rules ask for.
    pub(super) async fn gather<'r>(
        &self,
        rules: &Ruleset,
        asking: impl Iterator<Item = &'r TriggeredRule>,
        about: &Stimulus,
        values: &Values,
        now: Timestamp,
    ) -> Result<Context, RunnerError> {
        let asked: BTreeSet<&str> = asking.flat_map(TriggeredRule::needs).collect();
        let given = self.facts(rules, &asked, about, values).await;
        self.windows(rules, &asked, None, given, now).await
    }

    /// What others know, and parameters.
    async fn facts(
        &self,
        rules: &Ruleset,
        asked: &BTreeSet<&str>,
        about: &Stimulus,
        values: &Values,
    ) -> Context {
        let facts: Vec<_> = rules.provided().iter().filter(|fact| asked.contains(&*fact.path)).collect();
        let given = match self.engine.providers() {
            Some(providers) => providers.ask(&facts, &about.request()).await,
            None => facts.into_iter().fold(Context::new(), |given, fact| {
                given.with(format!("{}.problem", fact.path), "the rules have no providers here")
            }),
        };
        let is_asked = |name: &str| asked.contains(&*format!("parameter.{name}"));
        values.give(rules.parameters().iter().filter(|parameter| is_asked(&parameter.name)), given)
    }

    /// Windows without keys; those of money in the currency of this code.
    async fn windows(
        &self,
        rules: &Ruleset,
        asked: &BTreeSet<&str>,
        code: Option<&str>,
        given: Context,
        now: Timestamp,
    ) -> Result<Context, RunnerError> {
        let mut given = given;
        let is_any = rules.counters().iter().any(|counter| asked.contains(&*counter.path));
        // A window that is new has to be counted from the journal first, as it is before a decision.
        if is_any && let Some(memory) = self.engine.memory() {
            drop(memory.begin().await?);
        }
        for counter in rules.counters().iter().filter(|counter| asked.contains(&*counter.path)) {
            let seen = match self.engine.remembers() {
                Some(memory) => {
                    let code = code.filter(|_| counter.is_money());
                    memory.window(counter, code, now).await?
                }
                None => Err("the rules have no memory here".to_owned()),
            };
            given = match seen {
                Ok(value) => given.with(counter.path.clone(), value),
                Err(why) => given.with(format!("{}.problem", counter.path), why),
            };
        }
        Ok(given)
    }

    /// The thresholds whose value reaches the bound now.
    pub(super) async fn crossings<'r>(
        &self,
        rules: &'r Ruleset,
        state: &mut State,
        values: &Values,
        now: Timestamp,
    ) -> Result<Vec<(&'r TriggeredRule, Stimulus)>, RunnerError> {
        let thresholds = || {
            rules.triggered().iter().filter_map(|rule| match rule.trigger() {
                Trigger::Threshold(threshold) => Some((rule, threshold)),
                _ => None,
            })
        };
        let asked: BTreeSet<&str> = thresholds().flat_map(|(rule, _)| rule.needs()).collect();
        let mut crossings = Vec::new();
        if asked.is_empty() {
            return Ok(crossings);
        }
        let nothing = Stimulus::threshold(serde_json::Value::Null, 0, &self.name, now)?;
        let facts = self.facts(rules, &asked, &nothing, values).await;
        for (rule, threshold) in thresholds() {
            let own: BTreeSet<&str> = rule.needs().collect();
            let code = threshold.code();
            let given = self.windows(rules, &own, code.as_deref(), facts.clone(), now).await?;
            let about = nothing.clone().with_given(&given);
            // What is not known changes nothing.
            let Ok(value) = threshold.value().json(&about.request(), &mut Budget::new()) else { continue };
            if let Some(times) = state.crossed(rule, threshold, &value) {
                let stimulus = Stimulus::threshold(value, times, &self.name, now)?;
                crossings.push((rule, stimulus.with_given(&given)));
            }
        }
        Ok(crossings)
    }
}
