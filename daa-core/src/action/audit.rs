//! Checking the journal of all actions after the fact: was there an effect without a permit?

use std::collections::HashMap;

use super::journal::{ActionEvent, ActionState, ActionStatus};
use super::policy::Decision;
use super::request::STREAMS;
use crate::digest::Digest;
use crate::event::{EventStore, PageSize, Position, ReadError, RecordedEvent, Version};
use crate::id::StreamId;

/// The most findings that are kept; more are only counted.
const MAX_FINDINGS: usize = 100;

/// Reads a log from its start and checks that every action lived as the gate lets actions live:
///
/// - its first event is a decision, in the stream of its own id, and the recorded digest is that of the recorded
///   action;
/// - it was attempted only after it was permitted, and the attempts are numbered without a gap;
/// - it has an outcome only after an attempt, and nothing follows its end.
///
/// An action that ended without effect may be asked for again under its id, and then the same holds of its next go,
/// which is of the same action.
/// An action that somebody had to approve carries an approval of its own digest and of the rules that asked.
///
/// An event that was [erased](EventStore::erase) is no violation, but it proves nothing either: it is counted
/// ([`JournalSummary::erased`]), and what is left of an action whose beginning was erased is a violation, because
/// nobody can tell any more whether it was permitted. So do not erase the streams of actions that are to be audited.
///
/// Memory is bounded by the number of actions that are open or ended without effect. What this check cannot see is a
/// log that somebody rewrote
/// consistently from its start; that takes a signed checkpoint held elsewhere.
#[derive(Debug, Default)]
pub struct JournalAudit {
    read: Position,
    open: HashMap<StreamId, ActionStatus>,
    /// What ended without effect, and how often it was attempted: it may be asked for again.
    without_effect: HashMap<StreamId, (Digest, u32)>,
    summary: JournalSummary,
}

/// What a [`JournalAudit`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalSummary {
    /// Events about actions.
    pub entries: u64,
    /// Events of actions that were erased; what they said is not known.
    pub erased: u64,
    /// Actions that were asked for.
    pub actions: u64,
    /// Actions that took effect.
    pub succeeded: u64,
    /// Actions that rules or treasury did not let through.
    pub withheld: u64,
    /// Actions without a last word.
    pub open: u64,
    /// How many events are not as the gate writes them.
    pub violations: u64,
    /// The first hundred of them.
    pub findings: Vec<Finding>,
}

/// An event that is not as the gate writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where it stands.
    pub position: Position,
    /// In which stream.
    pub stream: StreamId,
    /// What is wrong with it.
    pub violation: Violation,
}

/// What can be wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Its payload is not that of its kind.
    #[error("the event does not decode")]
    Undecodable,
    /// An action's life does not begin with a decision.
    #[error("the action does not begin with a decision")]
    NoDecision,
    /// It stands in a stream that is not that of its action.
    #[error("the action is in another action's stream")]
    ForeignStream,
    /// The recorded digest is not that of the recorded action.
    #[error("the action is not the one that was decided on")]
    OtherDigest,
    /// What was asked for under the id of an action that had come to nothing is another action.
    #[error("another action was asked for under the id before")]
    OtherAction,
    /// Money was to be held and was not, or the reverse.
    #[error("what the action may cost and what is held for it do not agree")]
    Reservation,
    /// An attempt that is out of turn.
    #[error("the attempts are not numbered in turn")]
    AttemptOutOfTurn,
    /// An outcome without an attempt.
    #[error("an outcome without an attempt")]
    OutcomeWithoutAttempt,
    /// A second decision, or an expiry after an attempt.
    #[error("the event makes no sense where it stands")]
    OutOfPlace,
    /// The rules left it to somebody else, and nobody approved of it; or the rules denied it.
    #[error("the action was permitted without a right to it")]
    Unapproved,
    /// Something after the last word, or after a decision that was erased.
    #[error("the action had already ended, or its decision was erased")]
    AfterTheEnd,
}

impl JournalAudit {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on to the head of the store.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn catch_up(&mut self, store: &dyn EventStore) -> Result<(), ReadError> {
        loop {
            let page = store.read_all(self.read, PageSize::default()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            self.read = last.position;
            page.iter().for_each(|event| self.check(event));
        }
    }

    /// What was found so far.
    #[must_use]
    pub fn summary(&self) -> JournalSummary {
        JournalSummary { open: self.open.len() as u64, ..self.summary.clone() }
    }

    /// Takes the next event of the log.
    pub fn check(&mut self, recorded: &RecordedEvent) {
        let event = match ActionEvent::read(recorded) {
            Ok(None) => {
                let of_action = recorded.is_erased() && recorded.stream.as_str().starts_with(STREAMS);
                self.summary.erased += u64::from(of_action);
                return;
            }
            Ok(Some(event)) => event,
            Err(_) => return self.find(recorded, Violation::Undecodable),
        };
        self.summary.entries += 1;
        let before = self.open.remove(&recorded.stream);
        let earlier = self.without_effect.remove(&recorded.stream);
        if let Some(violation) =
            violation(before.as_ref(), earlier.map(|(digest, _)| digest), &event, recorded)
        {
            self.find(recorded, violation);
        }
        match &event {
            ActionEvent::Permitted { .. } => self.summary.actions += u64::from(earlier.is_none()),
            ActionEvent::Withheld { .. } | ActionEvent::Refused { .. } => {
                self.summary.actions += u64::from(earlier.is_none());
                self.summary.withheld += 1;
            }
            ActionEvent::Succeeded { .. } => self.summary.succeeded += 1,
            _ => {}
        }
        let Some(mut status) = ActionStatus::after(before, event, recorded.version) else { return };
        status.attempts = status.attempts.max(earlier.map_or(0, |(_, attempts)| attempts));
        if status.state.is_open() {
            self.open.insert(recorded.stream.clone(), status);
        } else if status.state.may_be_asked_again() {
            self.without_effect.insert(recorded.stream.clone(), (status.digest, status.attempts));
        }
    }

    fn find(&mut self, event: &RecordedEvent, violation: Violation) {
        self.summary.violations += 1;
        if self.summary.findings.len() < MAX_FINDINGS {
            let (position, stream) = (event.position, event.stream.clone());
            self.summary.findings.push(Finding { position, stream, violation });
        }
    }
}

fn violation(
    before: Option<&ActionStatus>,
    earlier: Option<Digest>,
    event: &ActionEvent,
    recorded: &RecordedEvent,
) -> Option<Violation> {
    let Some(before) = before else {
        let begins = recorded.version == Version::new(1) || (earlier.is_some() && event.is_decision());
        if !begins {
            return Some(Violation::AfterTheEnd);
        }
        let (action, digest, held) = match event {
            ActionEvent::Permitted { action, digest, reservation, .. } => {
                (action, digest, Some(reservation.is_some()))
            }
            ActionEvent::Withheld { action, digest, .. } | ActionEvent::Refused { action, digest, .. } => {
                (action, digest, None)
            }
            _ => return Some(Violation::NoDecision),
        };
        if let ActionEvent::Permitted { verdict, endorsement, .. } = event {
            let covered = endorsement.as_ref().is_some_and(|by| by.covers(*digest, verdict, recorded.at));
            if verdict.decision != Decision::Permit && !covered {
                return Some(Violation::Unapproved);
            }
        }
        if action.stream().ok().as_ref() != Some(&recorded.stream) {
            return Some(Violation::ForeignStream);
        }
        if action.digest() != *digest {
            return Some(Violation::OtherDigest);
        }
        if earlier.is_some_and(|earlier| earlier != *digest) {
            return Some(Violation::OtherAction);
        }
        let agrees = held.is_none_or(|held| held == action.max_cost().is_some());
        return (!agrees).then_some(Violation::Reservation);
    };
    match event {
        ActionEvent::Permitted { .. } | ActionEvent::Withheld { .. } | ActionEvent::Refused { .. } => {
            Some(Violation::OutOfPlace)
        }
        ActionEvent::Attempted { attempt } => {
            (*attempt != before.attempts + 1).then_some(Violation::AttemptOutOfTurn)
        }
        ActionEvent::Succeeded { .. } | ActionEvent::Failed { .. } | ActionEvent::Uncertain { .. } => {
            (before.state == ActionState::Permitted).then_some(Violation::OutcomeWithoutAttempt)
        }
        ActionEvent::Expired => (before.state != ActionState::Permitted).then_some(Violation::OutOfPlace),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::action::{Action, Context, Decision, Outcome, Verdict};
    use crate::clock::Timestamp;
    use crate::id::EventKind;

    fn action() -> Action {
        Action::new("a1".parse().unwrap(), "greet".parse().unwrap(), "alice".parse().unwrap()).unwrap()
    }

    fn permitted() -> ActionEvent {
        ActionEvent::Permitted {
            action: action(),
            digest: action().digest(),
            context: Context::new(),
            verdict: Verdict::new(Decision::Permit, Digest::of(b"rules"), Vec::new()),
            reservation: None,
            expires: Timestamp::EPOCH,
            endorsement: None,
            salt: None,
        }
    }

    fn succeeded() -> ActionEvent {
        ActionEvent::Succeeded { outcome: Outcome::new("hello"), overrun: None, salt: None }
    }

    fn log(events: &[ActionEvent]) -> Vec<RecordedEvent> {
        let record = |(index, event): (usize, &ActionEvent)| {
            let new = event.to_new(Timestamp::EPOCH).unwrap();
            let number = index as u64 + 1;
            let stream = "action/a1".parse().unwrap();
            let (position, version) = (Position::new(number), Version::new(number));
            RecordedEvent::new(position, stream, version, new.kind, new.at, new.payload)
        };
        events.iter().enumerate().map(record).collect()
    }

    fn violations(log: &[RecordedEvent]) -> Vec<Violation> {
        let mut audit = JournalAudit::new();
        log.iter().for_each(|event| audit.check(event));
        audit.summary().findings.into_iter().map(|finding| finding.violation).collect()
    }

    fn attempted(attempt: u32) -> ActionEvent {
        ActionEvent::Attempted { attempt }
    }

    #[test]
    fn a_whole_life_is_in_order() {
        let mut audit = JournalAudit::new();
        log(&[permitted(), attempted(1), attempted(2), succeeded()])
            .iter()
            .for_each(|event| audit.check(event));
        let summary = audit.summary();
        assert_eq!((summary.entries, summary.actions, summary.succeeded), (4, 1, 1));
        assert_eq!((summary.open, summary.violations), (0, 0));
    }

    #[test]
    fn an_effect_without_a_permit_is_found() {
        assert_eq!(violations(&log(&[succeeded()])), [Violation::NoDecision]);
        assert_eq!(violations(&log(&[permitted(), succeeded()])), [Violation::OutcomeWithoutAttempt]);
        assert_eq!(violations(&log(&[attempted(1), succeeded()]))[0], Violation::NoDecision);
    }

    #[test]
    fn what_is_out_of_turn_is_found() {
        assert_eq!(violations(&log(&[permitted(), attempted(2)])), [Violation::AttemptOutOfTurn]);
        assert_eq!(violations(&log(&[permitted(), permitted()])), [Violation::OutOfPlace]);
        assert_eq!(
            violations(&log(&[permitted(), attempted(1), succeeded(), succeeded()])),
            [Violation::AfterTheEnd]
        );
        assert_eq!(
            violations(&log(&[permitted(), attempted(1), ActionEvent::Expired])),
            [Violation::OutOfPlace]
        );
    }

    #[test]
    fn another_action_under_a_used_id_is_found() {
        let failed = ActionEvent::Failed { error: "not now".to_owned(), salt: None };
        let first = [permitted(), attempted(1), failed];
        let next = |action: Action| {
            let ActionEvent::Permitted { context, verdict, reservation, expires, endorsement, .. } =
                permitted()
            else {
                unreachable!()
            };
            let digest = action.digest();
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
        };
        let go = |action: Action| {
            let mut events = first.to_vec();
            events.extend([next(action), attempted(2), succeeded()]);
            violations(&log(&events))
        };
        assert_eq!(go(action()), []);
        let other = action().with_params(serde_json::json!({ "to": "mallory" })).unwrap();
        assert_eq!(go(other), [Violation::OtherAction]);
    }

    #[test]
    fn a_changed_action_is_found() {
        let mut log = log(&[permitted()]);
        let text = String::from_utf8(log[0].payload.to_vec()).unwrap();
        log[0].payload = Bytes::from(text.replace("\"actor\":\"alice\"", "\"actor\":\"mallory\""));
        assert_eq!(violations(&log), [Violation::OtherDigest]);
        log[0].payload = Bytes::from(text.replace("\"id\":\"a1\"", "\"id\":\"a2\""));
        assert_eq!(violations(&log), [Violation::ForeignStream]);
        let usd = "{\"amount\":\"1\",\"currency\":{\"code\":\"USD\",\"decimals\":2}}";
        let priced: Action = serde_json::from_str::<serde_json::Value>(&text)
            .map(|mut event| {
                event["permitted"]["action"]["max_cost"] = serde_json::from_str(usd).unwrap();
                serde_json::from_value(event["permitted"]["action"].clone()).unwrap()
            })
            .unwrap();
        let ActionEvent::Permitted { context, verdict, expires, .. } = permitted() else { unreachable!() };
        let digest = priced.digest();
        let event = ActionEvent::Permitted {
            action: priced,
            digest,
            context,
            verdict,
            reservation: None,
            expires,
            endorsement: None,
            salt: None,
        };
        assert_eq!(violations(&self::log(&[event])), [Violation::Reservation]);
    }

    #[test]
    fn erased_events_are_counted_and_what_is_left_of_their_action_is_found() {
        let whole = log(&[permitted(), attempted(1), succeeded()]);
        for erased in 0..=3 {
            let mut audit = JournalAudit::new();
            for (index, event) in whole.iter().enumerate() {
                let event = if index < erased { event.clone().into_erased() } else { event.clone() };
                audit.check(&event);
            }
            let summary = audit.summary();
            assert_eq!(summary.erased, erased as u64);
            assert_eq!((summary.entries, summary.open), (3 - erased as u64, 0));
            let left = if erased == 0 { 0 } else { 3 - erased };
            assert_eq!(summary.violations, left as u64);
            assert!(summary.findings.iter().all(|finding| finding.violation == Violation::AfterTheEnd));
        }
        let mut audit = JournalAudit::new();
        let mut elsewhere = whole[0].clone().into_erased();
        elsewhere.stream = "metrics".parse().unwrap();
        audit.check(&elsewhere);
        assert_eq!(audit.summary(), JournalSummary::default());
    }

    #[test]
    fn what_does_not_decode_is_found() {
        let mut log = log(&[permitted()]);
        log[0].payload = Bytes::from_static(b"{}");
        assert_eq!(violations(&log), [Violation::Undecodable]);
        log[0].kind = EventKind::new("other.v1").unwrap();
        assert_eq!(violations(&log), []);
    }
}
