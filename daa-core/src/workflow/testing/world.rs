//! An outside world in which actions take effect, by script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::action::{Action, Authorized, ExecuteError, Executor, Outcome, Reconciled};
use crate::clock::{Clock, Timestamp};
use crate::id::{ActionId, ActionKind};

/// How one call of an executor ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    latency: Duration,
    ending: Ending,
}

/// How a call ends.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Ending {
    /// It takes effect, and yields this.
    Succeed(Value),
    /// It takes no effect; a later try may.
    Fail,
    /// It takes no effect, and never will.
    Reject,
    /// It takes effect, and the answer is lost; the world knows what became of it.
    LoseAnswer(Value),
    /// It takes no effect, and the answer is lost; the world knows what became of it.
    LoseRequest,
    /// It takes effect, the answer is lost, and the world cannot say what became of it this many times.
    Forget(Value, u32),
    /// It never ends.
    Hang,
    /// It panics, without effect.
    Panic,
}

impl Script {
    const fn of(ending: Ending) -> Self {
        Self { latency: Duration::ZERO, ending }
    }

    /// A call that ends in this way.
    #[must_use]
    pub const fn ending(ending: Ending) -> Self {
        Self::of(ending)
    }

    /// Takes effect, and yields `output`.
    #[must_use]
    pub fn succeed(output: impl Into<Value>) -> Self {
        Self::of(Ending::Succeed(output.into()))
    }

    /// Takes no effect; a later try may.
    #[must_use]
    pub const fn fail() -> Self {
        Self::of(Ending::Fail)
    }

    /// Takes no effect, and never will.
    #[must_use]
    pub const fn reject() -> Self {
        Self::of(Ending::Reject)
    }

    /// Takes effect; the answer is lost.
    #[must_use]
    pub fn lose_answer(output: impl Into<Value>) -> Self {
        Self::of(Ending::LoseAnswer(output.into()))
    }

    /// Never ends.
    #[must_use]
    pub const fn hang() -> Self {
        Self::of(Ending::Hang)
    }

    /// Sets how long the call takes.
    #[must_use]
    pub const fn after(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }
}

/// An effect that took place.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Effect {
    /// The idempotency key.
    pub id: ActionId,
    /// What kind of action.
    pub kind: ActionKind,
    /// Its parameters.
    pub params: Value,
    /// Which attempt it was.
    pub attempt: u32,
    /// When it took place.
    pub at: Timestamp,
}

/// Decides how a call ends.
type Rule = Arc<dyn Fn(&Authorized) -> Script + Send + Sync>;

/// An outside world: it survives every crash of the process, keeps each effect in order, and answers what became of
/// each action. It does not look at idempotency keys by itself, so that an effect that takes place twice is seen.
///
/// It is an [`Executor`] for any kind of action. A call without a script takes effect at once, and yields null.
#[derive(Clone, Default)]
pub struct World {
    state: Arc<Mutex<State>>,
    clock: Option<Arc<dyn Clock>>,
    rule: Option<Rule>,
}

#[derive(Default)]
struct State {
    scripts: BTreeMap<String, VecDeque<Script>>,
    effects: Vec<Effect>,
    outcomes: BTreeMap<ActionId, Outcome>,
    silent: BTreeMap<ActionId, u32>,
    calls: BTreeMap<ActionId, u32>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("effects", &self.effects().len()).finish_non_exhaustive()
    }
}

impl World {
    /// A world in which nothing has happened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets calls take time by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Decides how each call ends, where no script does.
    #[must_use]
    pub fn with_rule(mut self, rule: impl Fn(&Authorized) -> Script + Send + Sync + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// Sets how the next calls for a kind of action, or for one action by its id, end, in order.
    pub fn script(&self, of: &str, scripts: impl IntoIterator<Item = Script>) {
        self.state().scripts.entry(of.to_owned()).or_default().extend(scripts);
    }

    /// The effects that took place, in order.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.state().effects.clone()
    }

    /// The ids of the effects, in order.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.state().effects.iter().map(|effect| effect.id.to_string()).collect()
    }

    /// How often the executor was called for an action.
    #[must_use]
    pub fn calls(&self, id: &str) -> u32 {
        self.state().calls.get(id).copied().unwrap_or_default()
    }

    /// The ids of actions that took effect more than once.
    #[must_use]
    pub fn repeated(&self) -> Vec<ActionId> {
        let mut counts = BTreeMap::new();
        for effect in &self.state().effects {
            *counts.entry(effect.id.clone()).or_insert(0_u32) += 1;
        }
        counts.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script_of(&self, action: &Authorized) -> Script {
        {
            let mut state = self.state();
            *state.calls.entry(action.id().clone()).or_default() += 1;
            for key in [action.id().as_str(), action.kind().as_str()] {
                if let Some(script) = state.scripts.get_mut(key).and_then(VecDeque::pop_front) {
                    return script;
                }
            }
        }
        self.rule.as_ref().map_or_else(|| Script::succeed(Value::Null), |rule| rule(action))
    }

    fn take_effect(&self, action: &Authorized, output: Value) -> Outcome {
        let outcome = Outcome::new(output);
        let mut state = self.state();
        state.effects.push(Effect {
            id: action.id().clone(),
            kind: action.kind().clone(),
            params: action.params().clone(),
            attempt: action.attempt(),
            at: self.clock.as_ref().map_or(Timestamp::EPOCH, |clock| clock.now()),
        });
        state.outcomes.insert(action.id().clone(), outcome.clone());
        outcome
    }
}

#[async_trait]
impl Executor for World {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let Script { latency, ending } = self.script_of(action);
        if let Some(clock) = self.clock.as_ref().filter(|_| !latency.is_zero()) {
            clock.sleep(latency).await;
        }
        match ending {
            Ending::Succeed(output) => Ok(self.take_effect(action, output)),
            Ending::Fail => Err(ExecuteError::unavailable("not now")),
            Ending::Reject => Err(ExecuteError::rejected("never")),
            Ending::LoseAnswer(output) => {
                self.take_effect(action, output);
                Err(ExecuteError::interrupted("the answer was lost"))
            }
            Ending::LoseRequest => Err(ExecuteError::interrupted("the request was lost")),
            Ending::Forget(output, times) => {
                self.take_effect(action, output);
                self.state().silent.insert(action.id().clone(), times);
                Err(ExecuteError::interrupted("the answer was lost"))
            }
            Ending::Hang => std::future::pending().await,
            #[expect(clippy::panic, reason = "that is what the script says")]
            Ending::Panic => panic!("as the script says"),
        }
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let mut state = self.state();
        if let Some(times) = state.silent.get_mut(action.id())
            && *times > 0
        {
            *times -= 1;
            return Ok(Reconciled::Unknown);
        }
        Ok(match state.outcomes.get(action.id()) {
            Some(outcome) => Reconciled::Completed(outcome.clone()),
            None => Reconciled::NotFound,
        })
    }
}
