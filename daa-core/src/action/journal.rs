//! The life of an action as events, and the state they add up to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::executor::Outcome;
use super::obligation::{Obligation, lowered};
use super::policy::{Endorsement, Verdict};
use super::request::Action;
use super::salt::Salt;
use super::treasury::{Refusal, ReservationId};
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{
    DecodeError, EventStore, NewEvent, PageSize, Position, ReadError, RecordedEvent, Version,
};
use crate::id::{ActionId, EventKind, StreamId};

/// What happens to an action. All events of one action stand in its own stream, `action/ID`.
///
/// That stream may be [erased](EventStore::erase) when the action has ended and nobody is to audit it any more; its id
/// stays used. Never before: an open action without its decision is one that nobody reconciles, and the money that is
/// held for it stays held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ActionEvent {
    /// The rules permit it, and what it may cost is reserved.
    Permitted {
        /// What was asked for.
        action: Action,
        /// The digest of the action.
        digest: Digest,
        /// What the rules were told beside it.
        context: Context,
        /// What the rules said.
        verdict: Verdict,
        /// The money that is held for it.
        reservation: Option<ReservationId>,
        /// When the permission ends.
        expires: Timestamp,
        /// Who approved of it, where the rules wanted somebody to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endorsement: Option<Endorsement>,
        /// Blinds what is published of it; only where the gate [writes salts](super::GateBuilder::with_salts).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        salt: Option<Salt>,
    },
    /// The rules do not permit it by themselves: they deny it, or want somebody else to decide.
    Withheld {
        /// What was asked for.
        action: Action,
        /// The digest of the action.
        digest: Digest,
        /// What the rules were told beside it.
        context: Context,
        /// What the rules said.
        verdict: Verdict,
        /// Blinds what is published of it; only where the gate [writes salts](super::GateBuilder::with_salts).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        salt: Option<Salt>,
    },
    /// The rules permit it, but funds or budget do not cover it.
    Refused {
        /// What was asked for.
        action: Action,
        /// The digest of the action.
        digest: Digest,
        /// What the rules were told beside it.
        context: Context,
        /// What the rules said.
        verdict: Verdict,
        /// Why the money was not reserved.
        refusal: Refusal,
        /// Blinds what is published of it; only where the gate [writes salts](super::GateBuilder::with_salts).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        salt: Option<Salt>,
    },
    /// An executor is about to be called.
    Attempted {
        /// How many attempts there were, this one included.
        attempt: u32,
    },
    /// It took effect.
    Succeeded {
        /// What it brought about.
        outcome: Outcome,
        /// What it cost beyond what was reserved; nobody has paid that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overrun: Option<Money>,
        /// Blinds what is published of it; only where the gate [writes salts](super::GateBuilder::with_salts).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        salt: Option<Salt>,
    },
    /// It took no effect, and what was reserved is given back.
    Failed {
        /// Why, for people.
        error: String,
        /// Blinds what is published of it; only where the gate [writes salts](super::GateBuilder::with_salts).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        salt: Option<Salt>,
    },
    /// It may or may not have taken effect; what was reserved stays reserved until that is known.
    Uncertain {
        /// Why, for people.
        error: String,
        /// Blinds what is published of it; only where the gate [writes salts](super::GateBuilder::with_salts).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        salt: Option<Salt>,
    },
    /// The permission ended before it was used, and what was reserved is given back.
    Expired,
}

impl ActionEvent {
    /// Reads a recorded event; `None` when it is not about an action, or was erased.
    ///
    /// # Errors
    /// [`DecodeError`] when it is, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if event.kind.as_str().starts_with("action.") { event.json().map(Some) } else { Ok(None) }
    }

    /// Whether it is what the gate decided, and with that the beginning of an action, or of another go at it.
    pub(super) const fn is_decision(&self) -> bool {
        matches!(self, Self::Permitted { .. } | Self::Withheld { .. } | Self::Refused { .. })
    }

    /// The same event with a salt beside its content; one without content, of which everything may be known, as it is.
    #[must_use]
    pub fn with_salt(mut self, blind: Salt) -> Self {
        match &mut self {
            Self::Permitted { salt, .. }
            | Self::Withheld { salt, .. }
            | Self::Refused { salt, .. }
            | Self::Succeeded { salt, .. }
            | Self::Failed { salt, .. }
            | Self::Uncertain { salt, .. } => *salt = Some(blind),
            Self::Attempted { .. } | Self::Expired => {}
        }
        self
    }

    pub(super) fn to_new(&self, at: Timestamp) -> Result<NewEvent, DecodeError> {
        NewEvent::json(self.event_kind(), at, self)
    }
}

macro_rules! kinds {
    ($($variant:ident => $kind:literal,)*) => {
        impl ActionEvent {
            /// The name that events of this kind are stored under.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $kind,)*
                }
            }

            const fn event_kind(&self) -> EventKind {
                match self {
                    $(Self::$variant { .. } => const { EventKind::constant($kind) },)*
                }
            }
        }
    };
}

kinds! {
    Permitted => "action.permitted.v1",
    Withheld => "action.withheld.v1",
    Refused => "action.refused.v1",
    Attempted => "action.attempted.v1",
    Succeeded => "action.succeeded.v1",
    Failed => "action.failed.v1",
    Uncertain => "action.uncertain.v1",
    Expired => "action.expired.v1",
}

/// Where an action stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ActionState {
    /// Permitted, not attempted.
    Permitted,
    /// Denied by the rules, or escalated.
    Withheld(Verdict),
    /// Permitted by the rules, but not covered by funds or budget.
    Refused(Refusal),
    /// Attempted; no outcome yet.
    Attempted,
    /// Took effect.
    Succeeded(Outcome),
    /// Took no effect, for this reason.
    Failed(String),
    /// May or may not have taken effect, for this reason.
    Uncertain(String),
    /// Was not used in time.
    Expired,
}

impl ActionState {
    /// Whether the last word is still to come: the action is permitted, attempted or uncertain.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Permitted | Self::Attempted | Self::Uncertain(_))
    }

    /// Whether it came to an end without effect, so that it may be asked for again under its id.
    pub(super) const fn may_be_asked_again(&self) -> bool {
        matches!(self, Self::Withheld(_) | Self::Refused(_) | Self::Failed(_) | Self::Expired)
    }
}

/// One action and where it stands: the sum of the events of its stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActionStatus {
    /// What was asked for.
    pub action: Action,
    /// The digest of what was asked for.
    pub digest: Digest,
    /// What the rules were told beside it.
    pub context: Context,
    /// The content hash of the rules that decided.
    pub ruleset: Digest,
    /// The money that is or was held for it.
    pub reservation: Option<ReservationId>,
    /// Where the rules counted it when they permitted it.
    pub counts: Vec<StreamId>,
    /// What its permission is bound to.
    pub obligations: Vec<Obligation>,
    /// When the permission ends or ended; [`Timestamp::EPOCH`] when there was none.
    pub expires: Timestamp,
    /// How often it was attempted.
    pub attempts: u32,
    /// Where it stands.
    pub state: ActionState,
    /// The version of its stream.
    pub version: Version,
}

impl ActionStatus {
    /// The most that it may cost, which was reserved for it.
    #[must_use]
    pub fn max_cost(&self) -> Option<Money> {
        self.action.max_cost().and_then(|cost| lowered(cost, &self.obligations))
    }

    /// The state after one more event; `before` is `None` for the first one.
    ///
    /// An event that makes no sense where it stands is ignored, so that a log that somebody else wrote to cannot
    /// make a reader fail.
    pub(super) fn after(before: Option<Self>, event: ActionEvent, version: Version) -> Option<Self> {
        let first = |action, digest, context, verdict: &Verdict, state| Self {
            action,
            digest,
            context,
            ruleset: verdict.ruleset,
            reservation: None,
            counts: Vec::new(),
            obligations: Vec::new(),
            expires: Timestamp::EPOCH,
            attempts: 0,
            state,
            version,
        };
        match (before, event) {
            (None, ActionEvent::Permitted { action, digest, context, verdict, reservation, expires, .. }) => {
                let status = first(action, digest, context, &verdict, ActionState::Permitted);
                let Verdict { counts, obligations, .. } = verdict;
                Some(Self { reservation, expires, counts, obligations, ..status })
            }
            (None, ActionEvent::Withheld { action, digest, context, verdict, .. }) => {
                let status = first(action, digest, context, &verdict, ActionState::Expired);
                Some(Self { state: ActionState::Withheld(verdict), ..status })
            }
            (None, ActionEvent::Refused { action, digest, context, verdict, refusal, .. }) => {
                Some(first(action, digest, context, &verdict, ActionState::Refused(refusal)))
            }
            (None, _) => None,
            (Some(status), event) if status.state.is_open() => {
                let (state, attempts) = match event {
                    ActionEvent::Attempted { attempt } => (ActionState::Attempted, attempt),
                    ActionEvent::Succeeded { outcome, .. } => {
                        (ActionState::Succeeded(outcome), status.attempts)
                    }
                    ActionEvent::Failed { error, .. } => (ActionState::Failed(error), status.attempts),
                    ActionEvent::Uncertain { error, .. } => (ActionState::Uncertain(error), status.attempts),
                    ActionEvent::Expired => (ActionState::Expired, status.attempts),
                    _ => (status.state, status.attempts),
                };
                Some(Self { state, attempts, version, ..status })
            }
            // What took no effect may be asked for again under its id.
            (Some(status), event) if status.state.may_be_asked_again() && event.is_decision() => {
                Self::after(None, event, version).map(|fresh| Self { attempts: status.attempts, ..fresh })
            }
            (Some(status), _) => Some(Self { version, ..status }),
        }
    }
}

/// The actions of a store that are still open, found by reading its log. Erased events are passed over, and so is
/// what is left of an action whose decision was erased.
#[derive(Clone, Debug, Default)]
pub struct OpenActions {
    read: Position,
    open: BTreeMap<ActionId, ActionStatus>,
    by_stream: BTreeMap<StreamId, ActionId>,
}

impl OpenActions {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on from where the last call ended to the head of the store.
    ///
    /// Memory is bounded by the number of actions that are open, not by the length of the log.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read. An event that does not decode is passed over.
    pub async fn catch_up(&mut self, store: &dyn EventStore) -> Result<(), ReadError> {
        loop {
            let page = store.read_all(self.read, PageSize::default()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            self.read = last.position;
            for event in &page {
                self.apply(event);
            }
        }
    }

    fn apply(&mut self, recorded: &RecordedEvent) {
        let Ok(Some(event)) = ActionEvent::read(recorded) else { return };
        let known = self.by_stream.get(&recorded.stream).cloned();
        let before = known.as_ref().and_then(|id| self.open.remove(id));
        // One that begins later was asked for again after it had come to nothing.
        if before.is_none() && !event.is_decision() {
            return;
        }
        self.by_stream.remove(&recorded.stream);
        if let Some(status) = ActionStatus::after(before, event, recorded.version)
            && status.state.is_open()
        {
            let id = status.action.id().clone();
            self.by_stream.insert(recorded.stream.clone(), id.clone());
            self.open.insert(id, status);
        }
    }

    /// The open actions, by id.
    pub fn iter(&self) -> impl Iterator<Item = &ActionStatus> {
        self.open.values()
    }
}
