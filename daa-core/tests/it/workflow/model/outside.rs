//! The outside world of the model: it decides by seed how each call ends, and notes what took place.
//!
//! It keeps to the contract of executors as a real system would that knows late calls: when it has said that an action
//! took no effect, no attempt that had begun by then may take effect any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{Action, Authorized, ExecuteError, Executor, Outcome, Reconciled};
use daa_core::artifact::{Artifacts, MemoryArtifacts};
use daa_core::clock::Clock;
use daa_core::seed::Seed;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::stores::thawed;

#[derive(Clone, Debug)]
pub(crate) struct Effect {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) params: Value,
    pub(crate) output: Value,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) effects: Vec<Effect>,
    /// How often an action was called, and how often a call ended without effect.
    pub(crate) calls: BTreeMap<String, u32>,
    pub(crate) failures: BTreeMap<String, u32>,
    pub(crate) rejected: BTreeSet<String>,
    pub(crate) late: u32,
    pub(crate) violations: Vec<String>,
    /// The highest attempt that has begun, and the highest that may not take effect any more.
    begun: BTreeMap<String, u32>,
    sealed: BTreeMap<String, u32>,
    silent: BTreeMap<String, u32>,
    /// The calls that go on, by the key of their limit.
    limits: BTreeMap<String, BTreeMap<String, u64>>,
    tokens: u64,
}

/// Shared by all machines.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    seed: Seed,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    /// How much goes wrong, in percent.
    trouble: u32,
    /// Where histories are moved to.
    pub(crate) artifacts: Arc<dyn Artifacts>,
}

/// The way to the outside from one machine, which may be frozen.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) outside: Outside,
    pub(crate) ice: watch::Receiver<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Succeed,
    Fail,
    Reject,
    LoseAnswer,
    LoseRequest,
    Forget,
    Hang,
}

/// A call that goes on.
struct Going<'a> {
    outside: &'a Outside,
    limit: Option<String>,
    id: String,
    token: u64,
    /// Set when it comes to its end; otherwise nobody waits for it any more.
    ended: bool,
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        let mut state = self.outside.state();
        if !self.ended {
            *state.failures.entry(self.id.clone()).or_default() += 1;
        }
        if let Some(all) = self.limit.as_ref().and_then(|limit| state.limits.get_mut(limit))
            && all.get(&self.id) == Some(&self.token)
        {
            all.remove(&self.id);
        }
    }
}

impl Outside {
    pub(crate) fn new(seed: Seed, clock: Arc<dyn Clock>, trouble: u32) -> Self {
        Self { seed, clock, state: Arc::default(), trouble, artifacts: Arc::new(MemoryArtifacts::new()) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn ending(&self, id: &str, call: u32, params: &Value) -> (Ending, Duration) {
        let mut rng = self.seed.child(id).nth(call.into()).rng();
        let latency = match rng.random_range(0..10) {
            0..4 => 0,
            4..8 => rng.random_range(1..100),
            _ => rng.random_range(100..1_500),
        };
        let undo = id.ends_with("/undo");
        let trouble = rng.random_range(0..100) < self.trouble && call < 6;
        let ending = match rng.random_range(0..12) {
            _ if !trouble => Ending::Succeed,
            0..4 => Ending::Fail,
            4 if !undo => Ending::Reject,
            5 | 6 => Ending::LoseAnswer,
            7 | 8 => Ending::LoseRequest,
            9 => Ending::Forget,
            10 | 11 if params["timeout"] == true => Ending::Hang,
            _ => Ending::Fail,
        };
        (ending, Duration::from_millis(latency))
    }

    fn begin(&self, action: &Authorized) -> Going<'_> {
        let mut state = self.state();
        let id = action.id().to_string();
        state.tokens += 1;
        let token = state.tokens;
        let limit = action.params()["limit"].as_str().map(str::to_owned);
        if let Some(limit) = &limit {
            let all = state.limits.entry(limit.clone()).or_default();
            all.insert(id.clone(), token);
            let at_once = action.params()["at_once"].as_u64().unwrap();
            if all.len() as u64 > at_once {
                let text = format!("{} of {limit} at once, at most {at_once}: {all:?}", all.len());
                state.violations.push(text);
            }
        }
        Going { outside: self, limit, id, token, ended: false }
    }

    /// The effect, unless the attempt is a late one.
    fn take_effect(&self, action: &Authorized) -> Result<Value, ExecuteError> {
        let mut state = self.state();
        let id = action.id().to_string();
        if action.attempt() <= state.sealed.get(&id).copied().unwrap_or_default() {
            state.late += 1;
            *state.failures.entry(id).or_default() += 1;
            return Err(ExecuteError::unavailable("the attempt comes too late"));
        }
        let n = self.seed.child("n").child(&id).rng().random_range(0..6_u64);
        let output = json!({ "n": n, "of": id });
        let (kind, params) = (action.kind().to_string(), action.params().clone());
        state.effects.push(Effect { id, kind, params, output: output.clone() });
        Ok(output)
    }

    fn failed(&self, id: &str) {
        *self.state().failures.entry(id.to_owned()).or_default() += 1;
    }
}

#[async_trait]
impl Executor for Way {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let outside = &self.outside;
        let id = action.id().as_str();
        let call = {
            let mut state = outside.state();
            let begun = state.begun.entry(id.to_owned()).or_default();
            *begun = action.attempt().max(*begun);
            let calls = state.calls.entry(id.to_owned()).or_default();
            *calls += 1;
            *calls - 1
        };
        let (ending, latency) = outside.ending(id, call, action.params());
        let mut going = outside.begin(action);
        thawed(&self.ice).await;
        if !latency.is_zero() {
            outside.clock.sleep(latency).await;
            thawed(&self.ice).await;
        }
        going.ended = ending != Ending::Hang;
        match ending {
            Ending::Succeed => outside.take_effect(action).map(Outcome::new),
            Ending::Fail => {
                outside.failed(id);
                Err(ExecuteError::unavailable("not now"))
            }
            Ending::Reject => {
                outside.state().rejected.insert(id.to_owned());
                Err(ExecuteError::rejected("never"))
            }
            Ending::LoseAnswer => {
                outside.take_effect(action)?;
                Err(ExecuteError::interrupted("the answer was lost"))
            }
            Ending::Forget => {
                outside.take_effect(action)?;
                outside.state().silent.insert(id.to_owned(), 1 + call % 3);
                Err(ExecuteError::interrupted("the answer was lost"))
            }
            Ending::LoseRequest => {
                outside.failed(id);
                Err(ExecuteError::interrupted("the request was lost"))
            }
            Ending::Hang => std::future::pending().await,
        }
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        thawed(&self.ice).await;
        let mut state = self.outside.state();
        let id = action.id().as_str();
        if let Some(silent) = state.silent.get_mut(id)
            && *silent > 0
        {
            *silent -= 1;
            return Ok(Reconciled::Unknown);
        }
        if let Some(effect) = state.effects.iter().find(|effect| effect.id == id) {
            return Ok(Reconciled::Completed(Outcome::new(effect.output.clone())));
        }
        let begun = state.begun.get(id).copied().unwrap_or_default();
        state.sealed.insert(id.to_owned(), begun);
        // What is still on its way can do nothing any more.
        for all in state.limits.values_mut() {
            all.remove(id);
        }
        Ok(Reconciled::NotFound)
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        if action.kind().as_str() != "d" {
            return None;
        }
        let id = format!("{}/undo", action.id()).parse().unwrap();
        let recall = Action::new(id, "recall".parse().unwrap(), action.actor().clone()).unwrap();
        recall.with_params(json!({ "of": outcome.output })).ok()
    }
}
