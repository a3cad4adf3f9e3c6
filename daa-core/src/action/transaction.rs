//! Decisions on several actions, and their endings, in one append with writes of somebody else's.
//!
//! A workflow makes the end of one step, its own progress and the attempt of the next step durable at once: one
//! `fsync` a step, and no moment at which one of them is known without the others.

use super::authorized::Link;
use super::context::Context;
use super::ending::{CallError, Ending, ask, call};
use super::error::GateError;
use super::executor::{Effect, Executor, Outcome, Reconciled};
use super::gate::Gate;
use super::in_flight::FlightGuard;
use super::journal::{ActionEvent, ActionState, ActionStatus};
use super::memory::{End, Ended, PolicyChange};
use super::obligation::lowered;
use super::policy::{Decision, Endorsement, Request, Verdict};
use super::pursuit::{Aim, Pursued, Pursuit};
use super::request::Action;
use super::treasury::{Refusal, TreasuryChange};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{AppendError, Batch, DecodeError, ExpectedVersion, NewEvent, StreamWrite, Version};
use crate::failure_text::error_text;

/// An append that is being put together.
#[derive(Debug)]
pub(crate) struct Transaction<'g> {
    gate: &'g Gate,
    writes: Vec<StreamWrite>,
    change: Option<Box<dyn TreasuryChange>>,
    /// Whether the change holds anything: one in which everything was refused is not appended.
    moved: bool,
    /// What the rules remember, where they remember anything.
    memory: Option<Box<dyn PolicyChange>>,
    /// Whether the rules have counted anything.
    counted: bool,
    now: Timestamp,
}

/// An action whose attempt is durable once its transaction is: to be performed.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(super) status: Box<ActionStatus>,
    pub(super) flight: FlightGuard,
    /// What its executor said of earlier attempts: whether there was an effect.
    pub(super) found: Vec<bool>,
}

/// What the gate says to an action.
#[derive(Debug)]
pub(crate) enum Opening {
    /// It may be performed, once the transaction is durable.
    Ready(Attempt),
    /// It may not; that is recorded.
    Withheld(GateError),
    /// Funds or budget do not cover it; that is recorded.
    Refused(Refusal),
    /// The rules cannot decide without waiting for what the rest of the append must not wait for: nothing is recorded
    /// of it, and it is to be asked for by itself.
    Later,
}

impl Attempt {
    pub(super) fn new(status: ActionStatus, flight: FlightGuard) -> Self {
        Self { status: Box::new(status), flight, found: Vec::new() }
    }

    /// The same action, to be settled.
    pub(crate) fn aim(&self) -> Aim {
        let ActionStatus { action, context, .. } = &*self.status;
        let (action, context) = (action.clone(), context.clone());
        Aim {
            id: action.id().clone(),
            action: Some(action),
            context,
            endorsement: None,
            pursuit: Pursuit::Again,
        }
    }

    /// Calls the executor, and asks it what came of it where its failure does not tell. A dropped call leaves the attempt without an outcome, to be reconciled.
    pub(crate) async fn perform(self, executor: &dyn Executor, link: Link) -> Pursued {
        let mut found = self.found;
        let (mut ending, mut result) = call(self.status, executor, Some(link)).await;
        let uncertain =
            matches!(&result, Err(CallError::Execute(error)) if error.effect() == Effect::Unknown);
        if uncertain {
            match ask(executor, &ending.status.action).await {
                Reconciled::Completed(outcome) => {
                    (ending, result) = Ending::completed(ending.status, outcome);
                    found.push(true);
                }
                Reconciled::NotFound => {
                    found.push(false);
                    if let Err(CallError::Execute(error)) = result {
                        ending = Ending::failed(ending.status, error_text(&error));
                        result = Err(CallError::NoEffect(error));
                    }
                }
                Reconciled::Unknown => {}
            }
        }
        Pursued::Ended { ending, result, found, flight: self.flight }
    }
}

impl Gate {
    /// Begins to put an append together.
    pub(crate) fn transaction(&self) -> Transaction<'_> {
        Transaction {
            gate: self,
            writes: Vec::new(),
            change: None,
            moved: false,
            memory: None,
            counted: false,
            now: self.clock.now(),
        }
    }

    /// An event as it becomes `version` of its action's stream: with a salt, where the gate writes them.
    pub(super) fn entry(
        &self,
        action: &Action,
        version: Version,
        event: &ActionEvent,
        at: Timestamp,
    ) -> Result<NewEvent, DecodeError> {
        match &self.salts {
            None => event.to_new(at),
            Some(key) => event.clone().with_salt(key.salt(action.id(), version)).to_new(at),
        }
    }

    /// The content hash of the rules that are in force.
    pub(crate) fn ruleset(&self, action: &Action, context: &Context) -> Digest {
        self.policy.decide(&Request::new(action, context, self.clock.now())).ruleset
    }
}

impl Transaction<'_> {
    /// The moment of everything in it.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Asks for an action that was never asked for before. The decision, and the attempt if it is permitted, become
    /// durable with the transaction.
    pub(crate) async fn request(&mut self, action: &Action, context: &Context) -> Result<Opening, GateError> {
        if self.memory.as_ref().is_some_and(|memory| !memory.decides()) {
            return Ok(Opening::Later);
        }
        let flight = self.gate.in_flight.begin(action.id())?;
        let status = self.decide(action, context, None, None, true).await?;
        Ok(match status.state {
            ActionState::Withheld(verdict) => Opening::Withheld(GateError::withheld(status.digest, verdict)),
            ActionState::Refused(refusal) => Opening::Refused(refusal),
            _ => Opening::Ready(Attempt::new(status, flight)),
        })
    }

    /// Makes the end of an attempt part of the append.
    pub(crate) async fn conclude(&mut self, ending: &Ending) -> Result<(), GateError> {
        if let Some(ended) = ending.for_rules(self.now)
            && let Some(memory) = self.memory_of_ends().await?
        {
            memory.ended(&ended).await?;
            self.counted = true;
        }
        if ending.touches_money() {
            let now = self.now;
            // Always before the books, so that no two wait for each other.
            self.memory_of_ends().await?;
            ending.settle(self.change().await?, now)?;
            self.moved = true;
        }
        let expected = ExpectedVersion::Exact(ending.status.version);
        let (status, event) = (&ending.status, &ending.event);
        let events = vec![self.gate.entry(&status.action, status.version.next(), event, self.now)?];
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
        // Held until all is durable, also where nothing was counted: what was decided rests on it.
        let memory = self.memory;
        if let Some(memory) = memory.as_ref().filter(|_| self.counted) {
            batch.writes.extend(memory.writes());
        }
        if batch.writes.is_empty() {
            return Ok(());
        }
        self.gate.store.append(batch).await?;
        // What is remembered is let go before anything else, for whoever waits.
        if let Some(memory) = memory.filter(|_| self.counted) {
            memory.confirm();
        }
        if let Some(change) = change {
            change.confirm();
        }
        Ok(())
    }

    /// What the rules remember, for the end of an action: without waiting for what decisions wait for.
    async fn memory_of_ends(&mut self) -> Result<Option<&mut (dyn PolicyChange + 'static)>, GateError> {
        if self.memory.is_none()
            && let Some(memory) = self.gate.policy.memory()
        {
            self.memory = Some(memory.begin_ending().await?);
        }
        Ok(self.memory.as_deref_mut())
    }

    /// What the rules remember; `None` where they remember nothing.
    async fn memory(&mut self) -> Result<Option<&mut (dyn PolicyChange + 'static)>, GateError> {
        if self.memory.is_none()
            && let Some(memory) = self.gate.policy.memory()
        {
            self.memory = Some(memory.begin().await?);
        }
        Ok(self.memory.as_deref_mut())
    }

    /// What the rules say.
    pub(crate) async fn verdict(&mut self, action: &Action, context: &Context) -> Result<Verdict, GateError> {
        let (gate, request) = (self.gate, Request::new(action, context, self.now));
        match self.memory().await? {
            Some(memory) => Ok(memory.decide(&request).await?),
            None => Ok(gate.policy.decide(&request)),
        }
    }

    /// Makes something part of the append that takes effect with it, such as somebody's answer, and that this
    /// transaction's rules have [permitted](Self::verdict): it counts, and is in the journal of actions, as one that
    /// was performed. It costs nothing.
    pub(crate) async fn enact(
        &mut self,
        action: &Action,
        context: &Context,
        verdict: Verdict,
    ) -> Result<(), GateError> {
        self.gate.check(action)?;
        context.check()?;
        let (now, stream, counts) = (self.now, action.stream()?, verdict.counts.clone());
        if !counts.is_empty()
            && let Some(memory) = self.memory().await?
        {
            memory.permitted(&Request::new(action, context, now), &verdict)?;
            memory.ended(&Ended::new(action, &counts, End::Effect(None), now)).await?;
            self.counted = true;
        }
        let permitted = ActionEvent::Permitted {
            action: action.clone(),
            digest: action.digest(),
            context: context.clone(),
            verdict,
            reservation: None,
            expires: now,
            endorsement: None,
            salt: None,
        };
        let succeeded = ActionEvent::Succeeded {
            outcome: Outcome::new(serde_json::Value::Null),
            overrun: None,
            salt: None,
        };
        let mut events = Vec::with_capacity(3);
        for event in [permitted, ActionEvent::Attempted { attempt: 1 }, succeeded] {
            let version = Version::new(events.len() as u64).next();
            events.push(self.gate.entry(action, version, &event, now)?);
        }
        self.writes.push(StreamWrite::new(stream, ExpectedVersion::NO_STREAM, events));
        Ok(())
    }

    async fn change(&mut self) -> Result<&mut dyn TreasuryChange, GateError> {
        // Always in this order, so that no two wait for each other.
        self.memory().await?;
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
        self.gate.check(action)?;
        context.check()?;
        let digest = action.digest();
        if before.as_ref().is_some_and(|before| before.digest != digest) {
            return Err(GateError::IdUsed { id: action.id().clone() });
        }
        let now = self.now;
        let verdict = self.verdict(action, context).await?;
        let event = self.decision(action, digest, context, endorsement, verdict).await?;
        let permitted = matches!(event, ActionEvent::Permitted { .. });
        let version = before.as_ref().map_or(Version::EMPTY, |status| status.version);
        let mut events = Vec::with_capacity(2);
        events.push(self.gate.entry(action, version.next(), &event, now)?);
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
        let request = Request::new(action, context, now);
        let endorsement =
            endorsement.filter(|endorsement| endorsement.covers(digest, &verdict, now)).cloned();
        let (action, context) = (action.clone(), context.clone());
        if verdict.decision != Decision::Permit && endorsement.is_none() {
            return Ok(ActionEvent::Withheld { action, digest, context, verdict, salt: None });
        }
        let expires = now + self.gate.permit_ttl;
        let mut reservation = None;
        if let Some(cost) = action.max_cost() {
            let Some(most) = lowered(cost, &verdict.obligations) else {
                let reason = format!("{} is bound to a limit in another currency than {cost}", action.id());
                let verdict = Verdict { decision: Decision::Deny { reason }, ..verdict };
                return Ok(ActionEvent::Withheld { action, digest, context, verdict, salt: None });
            };
            let bounded = if most == cost { action.clone() } else { action.clone().with_max_cost(most) };
            match self.change().await?.reserve(&bounded, now) {
                Ok(reserved) => {
                    reservation = Some(reserved);
                    self.moved = true;
                }
                Err(refusal) => {
                    let salt = None;
                    return Ok(ActionEvent::Refused { action, digest, context, verdict, refusal, salt });
                }
            }
        }
        if !verdict.counts.is_empty()
            && let Some(memory) = self.memory().await?
        {
            memory.permitted(&request, &verdict)?;
            self.counted = true;
        }
        Ok(ActionEvent::Permitted {
            action,
            digest,
            context,
            verdict,
            reservation,
            expires,
            endorsement,
            salt: None,
        })
    }
}
