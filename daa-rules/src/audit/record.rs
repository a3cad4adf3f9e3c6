//! Records: what the log says of one event. JSON in the canonical form of RFC 8785, so that there is one way to write
//! each.

mod read;

use daa_core::action::Endorsement;
use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::event::{Position, Version};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{AgentId, EventKind, RuleId, StreamId};
use daa_core::workflow::{SpanId, TraceId};
use serde::{Deserialize, Serialize};

use super::commitment::{Commitment, Disclosure, Part};
use super::tile::MAX_RECORD;

pub(super) use read::{Reading, Unsalted};

/// The largest whole number that JSON has everywhere: numbers in records are not larger.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// The format of records.
const FORMAT: u8 = 1;

/// What the log says of one event. Its number is its place in the log, and stands in no field.
///
/// The fields are in the order of their names, as the canonical form wants them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Record {
    /// Who wanted the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<AgentId>,
    /// Who approved of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// When the event was written, in milliseconds since the Unix epoch.
    pub at: Timestamp,
    /// Which attempt it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What is bound, part by part. Empty where `content` is [`Content::Unbound`] or [`Content::Erased`].
    #[serde(default, skip_serializing_if = "Commitments::is_empty")]
    pub commitments: Commitments,
    /// How the content of the event is bound.
    pub content: Content,
    /// What the rules said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decided>,
    /// The format of the record: 1.
    format: u8,
    /// The kind of the event, such as `action.permitted.v1`.
    pub kind: EventKind,
    /// Where it stands in its store.
    pub position: Position,
    /// The rules that matched: the first 64 of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleId>>,
    /// The content hash of the rules that decided, or that were installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruleset: Option<Digest>,
    /// The span that caused the decision, in the terms of W3C Trace Context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<SpanId>,
    /// Its stream: `action/ID` for the life of an action.
    pub stream: StreamId,
    /// The distributed trace that the action belongs to, in the terms of W3C Trace Context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
    /// Which event of its stream it is.
    pub version: Version,
}

/// How the content of an event is bound to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// By commitments that its salt blinds.
    Blinded,
    /// By its plain digest: it holds nothing personal.
    Public,
    /// By its plain digest, though it may hold something personal: the gate that wrote it
    /// [writes no salts](daa_core::action::GateBuilder::with_salts). Whoever guesses what it said can tell, also when it is
    /// erased.
    Unblinded,
    /// By the plain digest of its bytes, which are not what its kind promises: nothing of them could be read, not even
    /// whether they have a salt.
    Undecoded,
    /// Not at all: it has no salt, and the log was told to leave such events alone.
    Unbound,
    /// Not at all: it was erased before it was recorded.
    Erased,
}

/// What the rules said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decided {
    /// Nothing permits it, or something forbids it.
    Deny,
    /// Somebody else has to decide.
    Escalate,
    /// It may be done.
    Permit,
}

/// Somebody's approval of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Approval {
    /// When it was given.
    pub at: Timestamp,
    /// Who approved.
    pub by: AgentId,
    /// When it ends.
    pub expires: Timestamp,
}

impl From<Endorsement> for Approval {
    fn from(endorsement: Endorsement) -> Self {
        let Endorsement { at, by, expires, .. } = endorsement;
        Self { at: bounded(at), by, expires: bounded(expires) }
    }
}

/// A time that fits in a record: one at the end of time is a little earlier there.
fn bounded(time: Timestamp) -> Timestamp {
    time.min(Timestamp::from_millis(MAX_NUMBER))
}

macro_rules! commitments {
    ($($(#[$doc:meta])* $field:ident => $part:ident,)*) => {
        /// What a record binds to, part by part.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Commitments {$(
            $(#[$doc])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<Commitment>,
        )*}

        impl Commitments {
            fn is_empty(&self) -> bool {
                *self == Self::default()
            }

            /// The commitment to a part.
            #[must_use]
            pub const fn of(&self, part: Part) -> Option<Commitment> {
                match part {
                    $(Part::$part => self.$field,)*
                }
            }

            const fn slot(&mut self, part: Part) -> &mut Option<Commitment> {
                match part {
                    $(Part::$part => &mut self.$field,)*
                }
            }
        }
    };
}

commitments! {
    /// To the action.
    action => Action,
    /// To what the rules were told beside it.
    context => Context,
    /// To the digest of the action.
    digest => Digest,
    /// To why it failed.
    error => Error,
    /// To all of the event.
    event => Event,
    /// To what it brought about.
    outcome => Outcome,
    /// To why the rules said no.
    reason => Reason,
    /// To why the money was not reserved.
    refusal => Refusal,
}

/// Bytes that are no record, or a record that has no bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not the JSON of a record.
    #[error("the record does not decode")]
    Json(#[from] serde_json::Error),
    /// Written in another way than the one there is.
    #[error("the record is not in canonical form")]
    NotCanonical,
    /// A format that is not known here.
    #[error("records of format {actual} are not known here")]
    Format {
        /// The format.
        actual: u8,
    },
    /// A number that JSON does not have everywhere.
    #[error("{value} is larger than any number in a record")]
    Number {
        /// The number.
        value: u64,
    },
    /// More bytes than an entry of a log can have.
    #[error("a record of {actual} bytes, at most {MAX_RECORD} are allowed")]
    TooLarge {
        /// How many it has.
        actual: usize,
    },
}

impl Reaction for RecordError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// Something shown that a record does not mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// The record says nothing of this part.
    #[error("the record has no commitment to its {part}")]
    NoCommitment {
        /// The part.
        part: Part,
    },
    /// It is of something else.
    #[error("the {part} that is shown is not the one of the record")]
    OtherContent {
        /// The part.
        part: Part,
    },
}

impl Reaction for DisclosureError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Record {
    /// The bytes of the record: what is hashed.
    ///
    /// # Errors
    /// [`RecordError::TooLarge`], [`RecordError::Number`].
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let numbers = [self.at.as_millis(), self.position.get(), self.version.get()];
        let approval = self.approval.iter().flat_map(|it| [it.at.as_millis(), it.expires.as_millis()]);
        if let Some(value) = numbers.into_iter().chain(approval).find(|value| *value > MAX_NUMBER) {
            return Err(RecordError::Number { value });
        }
        let bytes = serde_json::to_vec(self)?;
        if bytes.len() > MAX_RECORD {
            return Err(RecordError::TooLarge { actual: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads a record, and accepts only the bytes that [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD {
            return Err(RecordError::TooLarge { actual: bytes.len() });
        }
        let record: Self = serde_json::from_slice(bytes)?;
        if record.format != FORMAT {
            return Err(RecordError::Format { actual: record.format });
        }
        if record.encode()? == bytes { Ok(record) } else { Err(RecordError::NotCanonical) }
    }

    /// Whether what is shown is what the record means.
    ///
    /// # Errors
    /// [`DisclosureError`].
    pub fn verify(&self, shown: &Disclosure) -> Result<(), DisclosureError> {
        let part = shown.part;
        let bound = self.commitments.of(part).filter(|_| self.content == Content::Blinded);
        let bound = bound.ok_or(DisclosureError::NoCommitment { part })?;
        if shown.commitment() == bound { Ok(()) } else { Err(DisclosureError::OtherContent { part }) }
    }

    /// The id of the action whose life it belongs to.
    #[must_use]
    pub fn action_id(&self) -> Option<&str> {
        self.stream.as_str().strip_prefix("action/")
    }
}
