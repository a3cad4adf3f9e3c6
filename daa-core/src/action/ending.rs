//! How an attempt ended, before that is durable.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use serde_json::Value;

use super::authorized::{Authorized, Link};
use super::executor::{Effect, ExecuteError, Executor, Outcome, Reconciled};
use super::journal::{ActionEvent, ActionStatus};
use super::memory::{End, Ended};
use super::obligation::Obligation;
use super::request::{Action, ActionError, check_value};
use super::treasury::{Refusal, TreasuryChange};
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::failure_text::{error_text, panic_text};

/// What the treasury does when an action ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Settlement {
    Spend(Money),
    GiveBack,
    Keep,
}

/// How an attempt ended: to be made durable.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Where the action stood before.
    pub(super) status: Box<ActionStatus>,
    pub(super) event: Box<ActionEvent>,
    pub(super) settlement: Settlement,
}

/// Why a call brought nothing of use.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The executor failed.
    Execute(ExecuteError),
    /// The executor failed on the way, and then found out that nothing had taken effect.
    NoEffect(ExecuteError),
    /// It took effect, and its output is out of bounds.
    Output(ActionError),
}

impl Ending {
    /// Of what took effect. An output that is out of bounds is not kept.
    pub(super) fn completed(
        status: impl Into<Box<ActionStatus>>,
        outcome: Outcome,
    ) -> (Self, Result<Outcome, CallError>) {
        match check_value("output", &outcome.output) {
            Ok(()) => (Self::succeeded(status, outcome.clone()), Ok(outcome)),
            Err(error) => {
                let sources = outcome.sources().iter().cloned();
                let kept = Outcome::of(Value::Null, outcome.cost).with_sources(sources);
                (Self::succeeded(status, kept), Err(CallError::Output(error)))
            }
        }
    }

    fn succeeded(status: impl Into<Box<ActionStatus>>, outcome: Outcome) -> Self {
        let status = status.into();
        let reserved = status.reservation.as_ref().and(status.max_cost());
        let (settlement, overrun) = match (outcome.cost, reserved) {
            (None, _) => (Settlement::GiveBack, None),
            (Some(cost), None) => (Settlement::Keep, Some(cost)),
            (Some(cost), Some(reserved)) => match cost.checked_sub(reserved) {
                Ok(over) if !over.amount().is_zero() => (Settlement::Spend(reserved), Some(over)),
                Ok(_) => (Settlement::Spend(cost), None),
                Err(_) if cost.currency() == reserved.currency() => (Settlement::Spend(cost), None),
                Err(_) => (Settlement::Spend(reserved), Some(cost)),
            },
        };
        Self { status, event: Box::new(ActionEvent::Succeeded { outcome, overrun, salt: None }), settlement }
    }

    pub(super) fn failed(status: impl Into<Box<ActionStatus>>, error: String) -> Self {
        Self {
            status: status.into(),
            event: Box::new(ActionEvent::Failed { error, salt: None }),
            settlement: Settlement::GiveBack,
        }
    }

    /// An attempt whose performer is gone took no effect.
    pub(super) fn not_found(status: ActionStatus) -> Self {
        Self::failed(status, "no effect was found when the action was reconciled".to_owned())
    }

    pub(super) fn uncertain(status: impl Into<Box<ActionStatus>>, error: String) -> Self {
        Self {
            status: status.into(),
            event: Box::new(ActionEvent::Uncertain { error, salt: None }),
            settlement: Settlement::Keep,
        }
    }

    pub(super) fn expired(status: impl Into<Box<ActionStatus>>) -> Self {
        Self {
            status: status.into(),
            event: Box::new(ActionEvent::Expired),
            settlement: Settlement::GiveBack,
        }
    }

    /// Ends the reservation of the action, in a change that is appended with the event.
    pub(super) fn settle(&self, change: &mut dyn TreasuryChange, now: Timestamp) -> Result<(), Refusal> {
        let Some(reservation) = &self.status.reservation else { return Ok(()) };
        match self.settlement {
            Settlement::Spend(cost) => change.settle(reservation, cost, now),
            Settlement::GiveBack => change.release(reservation, now),
            Settlement::Keep => Ok(()),
        }
    }

    /// What the rules are told, where the action has ended: those too who did not count it when it was permitted, and may
    /// have found it since.
    pub(super) fn for_rules(&self, now: Timestamp) -> Option<Ended<'_>> {
        let status = &*self.status;
        let end = match &*self.event {
            ActionEvent::Succeeded { outcome, .. } => End::Effect(outcome.cost),
            ActionEvent::Failed { .. } => End::NoEffect,
            ActionEvent::Expired => End::Unused,
            // It is still counted as what it may become.
            _ => return None,
        };
        Some(Ended::new(&status.action, &status.counts, end, now))
    }

    /// The action that ended.
    pub(crate) const fn action(&self) -> &Action {
        &self.status.action
    }

    /// Whether there is money to be moved.
    pub(super) const fn touches_money(&self) -> bool {
        self.status.reservation.is_some() && !matches!(self.settlement, Settlement::Keep)
    }
}

/// Calls the executor; the attempt is durable. Neither an error nor a panic of it leaves this function.
pub(super) async fn call(
    status: Box<ActionStatus>,
    executor: &dyn Executor,
    link: Option<Link>,
) -> (Ending, Result<Outcome, CallError>) {
    let of_run = link.as_ref().and_then(|link| link.trace.clone());
    let authorized = Authorized {
        trace: of_run.or_else(|| status.context.trace().cloned()),
        action: status.action.clone(),
        digest: status.digest,
        ruleset: status.ruleset,
        attempt: status.attempts,
        obligations: status.obligations.clone(),
        link,
    };
    for obligation in &status.obligations {
        if let Obligation::Log(remark) = obligation {
            let (id, kind, actor) = (status.action.id(), status.action.kind(), status.action.actor());
            tracing::info!(action = %id, %kind, %actor, attempt = status.attempts, "{remark}");
        }
    }
    let caught = AssertUnwindSafe(executor.execute(&authorized)).catch_unwind().await;
    let result = caught.unwrap_or_else(|panic| Err(ExecuteError::Panicked { message: panic_text(&*panic) }));
    match result {
        Ok(outcome) => Ending::completed(status, outcome),
        Err(source) => {
            let text = error_text(&source);
            let ending = match source.effect() {
                Effect::None => Ending::failed(status, text),
                Effect::Unknown => Ending::uncertain(status, text),
            };
            (ending, Err(CallError::Execute(source)))
        }
    }
}

/// Reconciles; an executor that fails or panics at that does not know.
pub(super) async fn ask(executor: &dyn Executor, action: &Action) -> Reconciled {
    match AssertUnwindSafe(executor.reconcile(action)).catch_unwind().await {
        Ok(Ok(reconciled)) => reconciled,
        Ok(Err(error)) => {
            tracing::warn!(action = %action.id(), error = %error_text(&error), "cannot reconcile");
            Reconciled::Unknown
        }
        Err(panic) => {
            tracing::warn!(action = %action.id(), panic = %panic_text(&*panic), "cannot reconcile");
            Reconciled::Unknown
        }
    }
}
