//! An action that may have been asked for before, brought to an end from wherever it stands.

use super::authorized::Link;
use super::context::Context;
use super::ending::{CallError, Ending, ask};
use super::error::GateError;
use super::executor::{ExecuteError, Executor, Outcome, Reconciled};
use super::gate::Gate;
use super::in_flight::FlightGuard;
use super::journal::{ActionEvent, ActionState, ActionStatus};
use super::memory::{Hold, Standing};
use super::patience::Patience;
use super::policy::{Decision, Endorsement, Request, Verdict};
use super::request::Action;
use super::transaction::Attempt;
use crate::event::{AppendError, Batch, ExpectedVersion, StreamWrite};
use crate::id::ActionId;

/// An action that is to be brought to an end.
///
/// What was asked for under an id once stays what it is: `action` is asked for only where nothing was.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    pub(crate) id: ActionId,
    pub(crate) action: Option<Action>,
    /// What the rules are told beside it. It also tells who asked, should `action` be another one by now.
    pub(crate) context: Context,
    pub(crate) endorsement: Option<Endorsement>,
    pub(crate) pursuit: Pursuit,
}

/// How far an action is to be brought that may have been asked for before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pursuit {
    /// To its effect: what came to nothing is asked for again.
    Again,
    /// To its effect, unless it came to nothing before.
    Once,
    /// Nothing is attempted: it is only found out what became of it.
    Settle,
}

/// What became of an attempt that was performed, or found out about.
#[derive(Debug)]
pub(crate) enum Pursued {
    /// It ended; to be made durable.
    Ended {
        ending: Ending,
        result: Result<Outcome, CallError>,
        /// What its executor said, each time it was asked what became of an attempt: whether there was an effect.
        found: Vec<bool>,
        flight: FlightGuard,
    },
    /// It had taken effect before, and that is recorded.
    Before(Outcome),
    /// It had failed before, without effect, and that is recorded.
    FailedBefore(String),
}

/// What is to be done with an action next.
enum Next {
    /// Its attempt is durable.
    Perform(ActionStatus),
    /// The same, after an earlier attempt was found to have had no effect.
    PerformAgain(ActionStatus),
    /// It ended; and whether there was an effect, where its executor was asked.
    Ended(Ending, Result<Outcome, CallError>, Option<bool>),
    Over(Pursued),
    /// Others were faster: look again.
    Look,
}

/// What becomes of a permission that was given earlier.
pub(super) enum Again {
    /// It was used: the attempt is durable.
    Attempted(ActionStatus),
    /// The policy does not stand by it any more, and says why. Nothing is recorded.
    Withdrawn(ActionStatus, Box<Verdict>),
}

impl Aim {
    /// Whether it was this asker who asked for what is recorded under the id.
    fn is_of(&self, recorded: &ActionStatus) -> bool {
        if self.action.as_ref().is_some_and(|action| action.digest() == recorded.digest) {
            return true;
        }
        let same = |action: &Action| {
            action.kind() == recorded.action.kind() && action.actor() == recorded.action.actor()
        };
        // Whoever asks once never asks for something else.
        self.pursuit != Pursuit::Once
            && self.context.same_facts(&recorded.context)
            && self.action.as_ref().is_none_or(same)
    }
}

impl Gate {
    /// Brings an action to an end from wherever it stands: asks for it, or asks for it again after it came to
    /// nothing; finds out what became of an attempt, and repeats it where it took no effect. What must be durable
    /// before the executor is called is appended here; the end is left to the caller.
    pub(crate) async fn pursue(
        &self,
        aim: &Aim,
        executor: &dyn Executor,
        link: Link,
    ) -> Result<Pursued, GateError> {
        self.check_id(&aim.id)?;
        let flight = self.in_flight.begin(&aim.id)?;
        let mut patience = Patience::of(aim.id.as_str());
        loop {
            let next = match self.status(&aim.id).await? {
                Some(status) if !aim.is_of(&status) => {
                    return Err(GateError::IdUsed { id: aim.id.clone() });
                }
                Some(status) => self.go_on(status, aim, executor).await?,
                None => self.ask_first(aim).await?,
            };
            match next {
                Next::Perform(status) => {
                    return Ok(Attempt::new(status, flight).perform(executor, link).await);
                }
                Next::PerformAgain(status) => {
                    let attempt = Attempt { found: vec![false], ..Attempt::new(status, flight) };
                    return Ok(attempt.perform(executor, link).await);
                }
                Next::Ended(ending, result, found) => {
                    let found = found.into_iter().collect();
                    return Ok(Pursued::Ended { ending, result, found, flight });
                }
                Next::Over(pursued) => return Ok(pursued),
                Next::Look => {}
            }
            if !patience.again(&*self.clock).await {
                return Err(GateError::Contended { tries: patience.lost() });
            }
        }
    }

    async fn go_on(
        &self,
        status: ActionStatus,
        aim: &Aim,
        executor: &dyn Executor,
    ) -> Result<Next, GateError> {
        let (id, pursuit) = (&aim.id, aim.pursuit);
        let settle = pursuit == Pursuit::Settle;
        let nothing = |ending, why: &'static str, found| {
            Next::Ended(ending, Err(CallError::Execute(ExecuteError::unavailable(why))), found)
        };
        match &status.state {
            ActionState::Succeeded(outcome) => Ok(Next::Over(Pursued::Before(outcome.clone()))),
            ActionState::Attempted | ActionState::Uncertain(_) => match ask(executor, &status.action).await {
                Reconciled::Completed(outcome) => {
                    let (ending, result) = Ending::completed(status, outcome);
                    Ok(Next::Ended(ending, result, Some(true)))
                }
                Reconciled::Unknown => Err(GateError::Unresolved { id: id.clone() }),
                Reconciled::NotFound if settle => {
                    Ok(nothing(Ending::not_found(status), "the performer of the action is gone", Some(false)))
                }
                Reconciled::NotFound => {
                    let endorsement = aim.endorsement.as_ref();
                    self.attempt_after(status, &aim.context, endorsement).await.map(Next::PerformAgain)
                }
            },
            ActionState::Permitted if !settle && self.clock.now() <= status.expires => {
                match self.attempt_again(status).await? {
                    Again::Attempted(status) => Ok(Next::Perform(status)),
                    Again::Withdrawn(status, verdict) => {
                        let digest = status.digest;
                        self.close(Ending::expired(status)).await?;
                        match pursuit {
                            Pursuit::Once => Err(GateError::withheld(digest, *verdict)),
                            // It is asked for again, and that is on record.
                            _ => Ok(Next::Look),
                        }
                    }
                }
            }
            ActionState::Permitted => {
                Ok(nothing(Ending::expired(status), "the permission was not used in time", None))
            }
            ActionState::Failed(error) if pursuit != Pursuit::Again => {
                Ok(Next::Over(Pursued::FailedBefore(error.clone())))
            }
            ActionState::Expired if pursuit == Pursuit::Once => Err(GateError::Expired { id: id.clone() }),
            // Withheld or refused.
            _ if pursuit == Pursuit::Once => granted(status).map(Next::Perform),
            ActionState::Withheld(verdict) if settle => {
                let why = match &verdict.decision {
                    Decision::Deny { reason } => format!("denied: {reason}"),
                    Decision::Escalate { reason } => format!("not approved: {reason}"),
                    Decision::Permit => "not permitted".to_owned(),
                };
                Ok(Next::Over(Pursued::FailedBefore(why)))
            }
            ActionState::Refused(refusal) if settle => {
                Ok(Next::Over(Pursued::FailedBefore(format!("refused: {refusal}"))))
            }
            ActionState::Expired if settle => {
                Ok(Next::Over(Pursued::FailedBefore("the permission was not used in time".to_owned())))
            }
            _ => {
                let asked = self.ask_again(status, &aim.context, aim.endorsement.as_ref()).await?;
                Ok(asked.map_or(Next::Look, Next::Perform))
            }
        }
    }

    /// Asks for an action that was never asked for.
    async fn ask_first(&self, aim: &Aim) -> Result<Next, GateError> {
        let action = aim.action.as_ref().filter(|_| aim.pursuit != Pursuit::Settle);
        let action = action.ok_or_else(|| GateError::Unknown { id: aim.id.clone() })?;
        let mut transaction = self.transaction();
        let opened = transaction.decide(action, &aim.context, aim.endorsement.as_ref(), None, true).await?;
        match transaction.commit(Vec::new()).await {
            Ok(()) => granted(opened).map(Next::Perform),
            // Others were faster: at the books, or with the action.
            Err(AppendError::Conflict { .. }) => Ok(Next::Look),
            Err(error) => Err(error.into()),
        }
    }

    /// Attempts an action again whose last attempt took no effect, though that is not recorded. Where the time of its
    /// permission has passed, or the permission was withdrawn, it has to be permitted again.
    pub(super) async fn attempt_after(
        &self,
        status: ActionStatus,
        context: &Context,
        endorsement: Option<&Endorsement>,
    ) -> Result<ActionStatus, GateError> {
        let id = status.action.id().clone();
        let unused = if self.clock.now() > status.expires {
            status
        } else {
            match self.attempt_again(status).await? {
                Again::Attempted(status) => return Ok(status),
                Again::Withdrawn(status, _) => status,
            }
        };
        self.close(Ending::not_found(unused)).await?;
        let mut patience = Patience::of(id.as_str());
        loop {
            let ended = self.status(&id).await?.filter(|status| status.state.may_be_asked_again());
            // Somebody else performs it.
            let ended = ended.ok_or_else(|| GateError::InProgress { id: id.clone() })?;
            if let Some(status) = self.ask_again(ended, context, endorsement).await? {
                return Ok(status);
            }
            if !patience.again(&*self.clock).await {
                return Err(GateError::Contended { tries: patience.lost() });
            }
        }
    }

    /// Makes an attempt durable that rests on a permission given earlier, if that still stands.
    pub(super) async fn attempt_again(&self, status: ActionStatus) -> Result<Again, GateError> {
        let id = status.action.id().clone();
        // Held until the attempt is durable: whoever withdraws the permission waits for that.
        let _hold = match self.policy.memory() {
            None => Hold::default(),
            Some(memory) => {
                let asked = Request::new(&status.action, &status.context, self.clock.now());
                match memory.uphold(&asked).await? {
                    Standing::Stands(hold) => hold,
                    Standing::Withdrawn(verdict) => return Ok(Again::Withdrawn(status, verdict)),
                }
            }
        };
        let attempted = ActionEvent::Attempted { attempt: status.attempts.saturating_add(1) };
        let events = vec![attempted.to_new(self.clock.now())?];
        let expected = ExpectedVersion::Exact(status.version);
        let write = StreamWrite::new(status.action.stream()?, expected, events);
        match self.store.append(Batch::new().with(write)).await {
            Ok(_) => {}
            // Somebody else performs it.
            Err(AppendError::Conflict { .. }) => return Err(GateError::InProgress { id }),
            Err(error) => return Err(error.into()),
        }
        let version = status.version.next();
        let attempted = ActionStatus::after(Some(status), attempted, version);
        attempted.map(Again::Attempted).ok_or(GateError::Unknown { id })
    }

    /// Asks again for what came to nothing; `None` when the books moved meanwhile.
    async fn ask_again(
        &self,
        before: ActionStatus,
        context: &Context,
        endorsement: Option<&Endorsement>,
    ) -> Result<Option<ActionStatus>, GateError> {
        let (action, stream) = (before.action.clone(), before.action.stream()?);
        // What it came from does not change because it is asked for again.
        let context = context.clone().with_sources(before.context.sources().cloned());
        let mut transaction = self.transaction();
        let opened = transaction.decide(&action, &context, endorsement, Some(before), true).await?;
        match transaction.commit(Vec::new()).await {
            Ok(()) => granted(opened).map(Some),
            // Somebody else performs it.
            Err(AppendError::Conflict { stream: at, .. }) if at == stream => {
                Err(GateError::InProgress { id: action.id().clone() })
            }
            Err(AppendError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) fn granted(status: ActionStatus) -> Result<ActionStatus, GateError> {
    match status.state {
        ActionState::Withheld(verdict) => Err(GateError::withheld(status.digest, verdict)),
        ActionState::Refused(refusal) => Err(GateError::Refused(refusal)),
        _ => Ok(status),
    }
}
