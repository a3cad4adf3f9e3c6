//! Decisions on several actions, and their endings, in one append with writes of somebody else's.
//!
//! A workflow makes the end of one step, its own progress and the attempt of the next step durable at once: one
//! `fsync` a step, and no moment at which one of them is known without the others.

use super::authorized::Link;
use super::ending::{CallError, Ending, ask, call};
use super::error::GateError;
use super::executor::{Effect, ExecuteError, Executor, Outcome, Reconciled};
use super::gate::{Gate, MAX_CONFLICTS};
use super::in_flight::FlightGuard;
use super::journal::{ActionEvent, ActionState, ActionStatus};
use super::policy::{Decision, Endorsement, Request, Verdict};
use super::request::{Action, Context};
use super::treasury::{Refusal, TreasuryChange};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{AppendError, Batch, ExpectedVersion, StreamWrite, Version};
use crate::failure_text::error_text;

/// An append that is being put together.
#[derive(Debug)]
pub(crate) struct Transaction<'g> {
    gate: &'g Gate,
    writes: Vec<StreamWrite>,
    change: Option<Box<dyn TreasuryChange>>,
    /// Whether the change holds anything: one in which everything was refused is not appended.
    moved: bool,
    now: Timestamp,
}

/// An action whose attempt is durable once its transaction is: to be performed.
#[derive(Debug)]
pub(crate) struct Attempt {
    status: ActionStatus,
    flight: FlightGuard,
}

/// What the gate says to an action.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made, and never kept")]
pub(crate) enum Opening {
    /// It may be performed, once the transaction is durable.
    Ready(Attempt),
    /// It may not; that is recorded.
    Withheld(Verdict),
    /// Funds or budget do not cover it; that is recorded.
    Refused(Refusal),
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
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made, and never kept")]
pub(crate) enum Pursued {
    /// It ended; to be made durable.
    Ended { ending: Ending, result: Result<Outcome, CallError>, flight: FlightGuard },
    /// It had taken effect before, and that is recorded.
    Before(Outcome),
    /// It had failed before, without effect, and that is recorded.
    FailedBefore(String),
}

impl Attempt {
    /// What is to be done.
    pub(crate) const fn action(&self) -> &Action {
        &self.status.action
    }

    /// Calls the executor, and asks it what came of it where its failure does not tell. A dropped call leaves the attempt without an outcome, to be reconciled.
    pub(crate) async fn perform(self, executor: &dyn Executor, link: Link) -> Pursued {
        let (mut ending, mut result) = call(self.status, executor, Some(link)).await;
        let uncertain =
            matches!(&result, Err(CallError::Execute(error)) if error.effect() == Effect::Unknown);
        if uncertain {
            match ask(executor, &ending.status.action).await {
                Reconciled::Completed(outcome) => {
                    ending = Ending::succeeded(ending.status, outcome.clone());
                    result = Ok(outcome);
                }
                Reconciled::NotFound => {
                    if let Err(CallError::Execute(error)) = result {
                        ending = Ending::failed(ending.status, error_text(&error));
                        result = Err(CallError::NoEffect(error));
                    }
                }
                Reconciled::Unknown => {}
            }
        }
        Pursued::Ended { ending, result, flight: self.flight }
    }
}

impl Gate {
    /// Begins to put an append together.
    pub(crate) fn transaction(&self) -> Transaction<'_> {
        Transaction { gate: self, writes: Vec::new(), change: None, moved: false, now: self.clock.now() }
    }

    /// The content hash of the rules that are in force for actions of a kind.
    pub(crate) fn verdict(&self, action: &Action, context: &Context) -> Verdict {
        self.policy.decide(&Request::new(action, context, self.clock.now()))
    }

    /// Brings an action to an end from wherever it stands: asks for it, or asks for it again after it came to
    /// nothing; finds out what became of an attempt, and repeats it where it took no effect. What must be durable
    /// before the executor is called is appended here; the end is left to the caller.
    pub(crate) async fn pursue(
        &self,
        action: &Action,
        context: &Context,
        endorsement: Option<&Endorsement>,
        executor: &dyn Executor,
        pursuit: Pursuit,
        link: Link,
    ) -> Result<Pursued, GateError> {
        let settle = pursuit == Pursuit::Settle;
        let flight = self.in_flight.begin(action.id())?;
        for _ in 0..MAX_CONFLICTS {
            let before = self.status(action.id()).await?;
            if let Some(before) = &before
                && before.digest != action.digest()
            {
                return Err(GateError::IdUsed { id: action.id().clone() });
            }
            let status = match before {
                Some(status) => match &status.state {
                    ActionState::Succeeded(outcome) => return Ok(Pursued::Before(outcome.clone())),
                    ActionState::Attempted | ActionState::Uncertain(_) => {
                        match ask(executor, &status.action).await {
                            Reconciled::Completed(outcome) => {
                                let ending = Ending::succeeded(status, outcome.clone());
                                return Ok(Pursued::Ended { ending, result: Ok(outcome), flight });
                            }
                            Reconciled::Unknown => {
                                return Err(GateError::Unresolved { id: action.id().clone() });
                            }
                            Reconciled::NotFound if settle => {
                                let error = "no effect was found when the action was reconciled".to_owned();
                                let ending = Ending::failed(status, error);
                                let gone = ExecuteError::unavailable("the performer of the action is gone");
                                return Ok(Pursued::Ended {
                                    ending,
                                    result: Err(CallError::Execute(gone)),
                                    flight,
                                });
                            }
                            Reconciled::NotFound => Some(self.attempt_again(status).await?),
                        }
                    }
                    ActionState::Permitted if !settle && self.clock.now() <= status.expires => {
                        Some(self.attempt_again(status).await?)
                    }
                    ActionState::Permitted => {
                        let ending = Ending::expired(status);
                        let late = ExecuteError::unavailable("the permission was not used in time");
                        return Ok(Pursued::Ended { ending, result: Err(CallError::Execute(late)), flight });
                    }
                    ActionState::Failed(error) if pursuit != Pursuit::Again => {
                        return Ok(Pursued::FailedBefore(error.clone()));
                    }
                    ActionState::Expired if pursuit == Pursuit::Once => {
                        return Err(GateError::Expired { id: action.id().clone() });
                    }
                    // Withheld or refused.
                    _ if pursuit == Pursuit::Once => Some(granted(status)?),
                    state if settle => return Ok(Pursued::FailedBefore(format!("{state:?}"))),
                    _ => Some(self.ask_again(status, action, context, endorsement).await?),
                },
                None if settle => return Err(GateError::Unknown { id: action.id().clone() }),
                None => self.ask_first(action, context, endorsement).await?,
            };
            if let Some(status) = status {
                return Ok(Attempt { status, flight }.perform(executor, link).await);
            }
        }
        Err(GateError::Contended { tries: MAX_CONFLICTS })
    }

    /// Asks for an action that was never asked for; `None` when others were faster: at the books, or with the action.
    async fn ask_first(
        &self,
        action: &Action,
        context: &Context,
        endorsement: Option<&Endorsement>,
    ) -> Result<Option<ActionStatus>, GateError> {
        let mut transaction = self.transaction();
        let opened = transaction.decide(action, context, endorsement, None, true).await?;
        match transaction.commit(Vec::new()).await {
            Ok(()) => granted(opened).map(Some),
            Err(AppendError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn attempt_again(&self, status: ActionStatus) -> Result<ActionStatus, GateError> {
        let id = status.action.id().clone();
        let attempted = ActionEvent::Attempted { attempt: status.attempts.saturating_add(1) };
        let events = vec![attempted.to_new(self.clock.now())?];
        let expected = ExpectedVersion::Exact(status.version);
        let write = StreamWrite::new(status.action.stream()?, expected, events);
        match self.store.append(Batch::new().with(write)).await {
            Ok(_) => {}
            // Somebody else performs it.
            Err(AppendError::Conflict { .. }) => return Err(GateError::IdUsed { id }),
            Err(error) => return Err(error.into()),
        }
        let version = status.version.next();
        ActionStatus::after(Some(status), attempted, version).ok_or(GateError::Unknown { id })
    }

    async fn ask_again(
        &self,
        before: ActionStatus,
        action: &Action,
        context: &Context,
        endorsement: Option<&Endorsement>,
    ) -> Result<ActionStatus, GateError> {
        let mut transaction = self.transaction();
        let opened = transaction.decide(action, context, endorsement, Some(before), true).await?;
        match transaction.commit(Vec::new()).await {
            Ok(()) => granted(opened),
            Err(AppendError::Conflict { .. }) => Err(GateError::IdUsed { id: action.id().clone() }),
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) fn granted(status: ActionStatus) -> Result<ActionStatus, GateError> {
    match status.state {
        ActionState::Withheld(verdict) => Err(GateError::withheld(verdict)),
        ActionState::Refused(refusal) => Err(GateError::Refused(refusal)),
        _ => Ok(status),
    }
}

impl Transaction<'_> {
    /// Asks for an action that was never asked for before. The decision, and the attempt if it is permitted, become
    /// durable with the transaction.
    pub(crate) async fn request(&mut self, action: &Action, context: &Context) -> Result<Opening, GateError> {
        let flight = self.gate.in_flight.begin(action.id())?;
        let status = self.decide(action, context, None, None, true).await?;
        Ok(match status.state {
            ActionState::Withheld(verdict) => Opening::Withheld(verdict),
            ActionState::Refused(refusal) => Opening::Refused(refusal),
            _ => Opening::Ready(Attempt { status, flight }),
        })
    }

    /// Makes the end of an attempt part of the append.
    pub(crate) async fn conclude(&mut self, ending: &Ending) -> Result<(), GateError> {
        if ending.touches_money() {
            let now = self.now;
            ending.settle(self.change().await?, now)?;
            self.moved = true;
        }
        let expected = ExpectedVersion::Exact(ending.status.version);
        let events = vec![ending.event.to_new(self.now)?];
        self.writes.push(StreamWrite::new(ending.status.action.stream()?, expected, events));
        Ok(())
    }

    /// Appends everything, together with `own`. After an error nothing of it is durable.
    pub(crate) async fn commit(self, own: Vec<StreamWrite>) -> Result<(), AppendError> {
        let mut batch = Batch::new();
        batch.writes = own;
        batch.writes.extend(self.writes);
        let change = self.change.filter(|_| self.moved);
        if let Some(change) = &change {
            batch.writes.extend(change.writes());
        }
        if batch.writes.is_empty() {
            return Ok(());
        }
        self.gate.store.append(batch).await?;
        if let Some(change) = change {
            change.confirm();
        }
        Ok(())
    }

    async fn change(&mut self) -> Result<&mut dyn TreasuryChange, GateError> {
        if self.change.is_none() {
            self.change = Some(self.gate.treasury.begin().await?);
        }
        match &mut self.change {
            Some(change) => Ok(&mut **change),
            None => Err(GateError::Contended { tries: 0 }),
        }
    }

    /// Decides, reserves, and writes both down, with an attempt where it is permitted and wanted.
    pub(super) async fn decide(
        &mut self,
        action: &Action,
        context: &Context,
        endorsement: Option<&Endorsement>,
        before: Option<ActionStatus>,
        attempt: bool,
    ) -> Result<ActionStatus, GateError> {
        action.check()?;
        context.check()?;
        let digest = action.digest();
        let now = self.now;
        let verdict = self.gate.policy.decide(&Request::new(action, context, now));
        let event = self.decision(action, digest, context, endorsement, verdict).await?;
        let permitted = matches!(event, ActionEvent::Permitted { .. });
        let version = before.as_ref().map_or(Version::EMPTY, |status| status.version);
        let mut events = vec![event.to_new(now)?];
        let mut status = ActionStatus::after(before, event, version.next());
        if permitted
            && attempt
            && let Some(decided) = &status
        {
            let attempted = ActionEvent::Attempted { attempt: decided.attempts.saturating_add(1) };
            events.push(attempted.to_new(now)?);
            status = ActionStatus::after(status, attempted, version.next().next());
        }
        self.writes.push(StreamWrite::new(action.stream()?, ExpectedVersion::Exact(version), events));
        status.ok_or_else(|| GateError::Unknown { id: action.id().clone() })
    }

    async fn decision(
        &mut self,
        action: &Action,
        digest: Digest,
        context: &Context,
        endorsement: Option<&Endorsement>,
        verdict: Verdict,
    ) -> Result<ActionEvent, GateError> {
        let now = self.now;
        let endorsement =
            endorsement.filter(|endorsement| endorsement.covers(digest, &verdict, now)).cloned();
        let (action, context) = (action.clone(), context.clone());
        if verdict.decision != Decision::Permit && endorsement.is_none() {
            return Ok(ActionEvent::Withheld { action, digest, context, verdict });
        }
        let expires = now + self.gate.permit_ttl;
        let mut reservation = None;
        if action.max_cost().is_some() {
            match self.change().await?.reserve(&action, now) {
                Ok(reserved) => {
                    reservation = Some(reserved);
                    self.moved = true;
                }
                Err(refusal) => {
                    return Ok(ActionEvent::Refused { action, digest, context, verdict, refusal });
                }
            }
        }
        Ok(ActionEvent::Permitted { action, digest, context, verdict, reservation, expires, endorsement })
    }
}
