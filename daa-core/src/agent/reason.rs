//! Reason: from a situation to a plan.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;

use super::plan::{Plan, PlannedAction};
use super::situation::{Candidate, Situation};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{IdError, StrategyName};

/// A way to act that applies in some situations.
///
/// # Contract
/// A pure function of the situation: it must not block and must not have effects.
pub trait Strategy: Send + Sync {
    /// Its name, unique in its agent.
    fn name(&self) -> &StrategyName;

    /// Whether it has something to say; by default always.
    fn applies(&self, situation: &Situation) -> bool {
        let _ = situation;
        true
    }

    /// What it would do. No steps at all means that it does not apply after all.
    fn plan(&self, situation: &Situation) -> Vec<PlannedAction>;
}

/// A [`Strategy`] made of a closure; see [`strategy_fn`].
pub struct FnStrategy<F> {
    name: StrategyName,
    plan: F,
}

/// Makes a strategy of a closure. It applies whenever the closure returns at least one step.
///
/// ```
/// use daa_core::agent::{PlannedAction, strategy_fn};
/// use daa_core::id::ActionKind;
///
/// let start_fan: ActionKind = "fan.start".try_into()?;
/// let cool = strategy_fn("cool", move |situation| match situation.metric("temperature") {
///     Some(degrees) if degrees > 25.0 => vec![PlannedAction::new(start_fan.clone())],
///     _ => vec![],
/// })?;
/// # Ok::<(), daa_core::id::IdError>(())
/// ```
///
/// # Errors
/// [`IdError`] when `name` cannot be a name.
pub fn strategy_fn<F>(name: &str, plan: F) -> Result<FnStrategy<F>, IdError>
where
    F: Fn(&Situation) -> Vec<PlannedAction> + Send + Sync,
{
    Ok(FnStrategy { name: StrategyName::new(name)?, plan })
}

impl<F> fmt::Debug for FnStrategy<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnStrategy").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<F> Strategy for FnStrategy<F>
where
    F: Fn(&Situation) -> Vec<PlannedAction> + Send + Sync,
{
    fn name(&self) -> &StrategyName {
        &self.name
    }

    fn plan(&self, situation: &Situation) -> Vec<PlannedAction> {
        (self.plan)(situation)
    }
}

/// Decides what to do: picks one of the situation's candidates, or makes a plan of its own.
///
/// # Contract
/// It must not block the thread, and must not have effects beyond asking for advice (a model, a knowledge base).
#[async_trait]
pub trait Reasoner: Send + Sync {
    /// Decides.
    ///
    /// # Errors
    /// [`ReasonError`]: the cycle then does nothing, and its report says so.
    ///
    /// # Cancel safety
    /// The future is dropped when the time limit has passed.
    async fn reason(&self, situation: &Situation) -> Result<Plan, ReasonError>;
}

/// No decision could be made.
#[derive(Debug, thiserror::Error)]
#[error("no decision could be made")]
#[non_exhaustive]
pub struct ReasonError {
    /// Why.
    #[source]
    pub source: Box<dyn StdError + Send + Sync>,
}

impl ReasonError {
    /// Wraps what went wrong.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

impl Reaction for ReasonError {
    fn fault(&self) -> Fault {
        Fault::Environment
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }
}

/// The default reasoner, local and deterministic: follows the candidate with the highest weight times record; of
/// equals the one whose name comes first.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedReasoner;

#[async_trait]
impl Reasoner for WeightedReasoner {
    async fn reason(&self, situation: &Situation) -> Result<Plan, ReasonError> {
        let merit = |candidate: &Candidate| candidate.weight * candidate.record;
        let best = situation
            .candidates
            .iter()
            .max_by(|a, b| merit(a).total_cmp(&merit(b)).then_with(|| b.strategy.cmp(&a.strategy)));
        Ok(best.map_or_else(Plan::idle, |best| Plan::new(best.strategy.clone(), best.steps.clone())))
    }
}
