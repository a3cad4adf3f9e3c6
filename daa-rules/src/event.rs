//! The rulesets that governed, on record.

use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::event::{
    AppendError, Batch, DecodeError, EventStore, ExpectedVersion, NewEvent, Position, RecordedEvent,
    StreamWrite,
};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{EventKind, IdError, StreamId};
use serde::{Deserialize, Serialize};

use crate::engine::RulesEngine;
use crate::ruleset::{Language, Ruleset};

/// The stream that [`RulesEngine::install`] writes to.
pub const RULES_STREAM: &str = "rules";

const INSTALLED: &str = "rules.installed.v1";
const SOURCE: &str = "rules.source.v1";

/// What happens to the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RulesetEvent {
    /// A ruleset begins to govern.
    Installed {
        /// What it is called.
        name: String,
        /// The number that its author gave it.
        version: u64,
        /// The hash of its content, as verdicts name it.
        digest: Digest,
        /// How many rules it has.
        rules: u64,
        /// How the events before it are to be read, which are its source; `None` where that is not on record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        written: Option<Written>,
    },
    /// A part of the source of the ruleset that is installed next.
    Source {
        /// The text.
        text: String,
    },
}

/// How the source of a ruleset is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Written {
    /// The version of the format. Whoever does not know it does not read the ruleset.
    pub format: u32,
    /// What it is written in.
    pub language: Language,
    /// How many parts it has.
    pub parts: usize,
}

/// The format of rulesets that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;
/// Bytes of source in one event; in JSON each may take six.
const PART: usize = 128 << 10;

impl RulesetEvent {
    /// Reads a recorded event; `None` when it is not about rules.
    ///
    /// # Errors
    /// [`DecodeError`] when it is, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if matches!(event.kind.as_str(), INSTALLED | SOURCE) { event.json().map(Some) } else { Ok(None) }
    }
}

/// A ruleset that could not be put on record, and so does not govern.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The store did not take the event.
    #[error("the event store did not accept the ruleset")]
    Append(#[from] AppendError),
    /// The event does not encode.
    #[error("the event cannot be written")]
    Encode(#[from] DecodeError),
    /// A constant of this library is not an id.
    #[error("the stream or the event has no valid name")]
    Name(#[from] IdError),
}

impl Reaction for InstallError {
    fn fault(&self) -> Fault {
        match self {
            Self::Append(error) => error.fault(),
            Self::Encode(error) => error.fault(),
            Self::Name(_) => Fault::Bug,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Append(error) => error.retry(),
            Self::Encode(_) | Self::Name(_) => Retry::Never,
        }
    }
}

impl RulesEngine {
    /// Puts a ruleset on record, with its source, and governs by it once that is durable. Other processes that
    /// [follow](crate::RulesFollower) the store switch to it. Returns where it stands in the log.
    ///
    /// # Errors
    /// [`InstallError`]; the old ruleset keeps governing then.
    ///
    /// # Cancel safety
    /// A dropped call may leave the ruleset on record and not governing; call it again.
    pub async fn install(
        &self,
        store: &dyn EventStore,
        ruleset: Ruleset,
        now: Timestamp,
    ) -> Result<Position, InstallError> {
        let mut events = Vec::new();
        for text in parts(ruleset.source()) {
            let part = RulesetEvent::Source { text: text.to_owned() };
            events.push(NewEvent::json(EventKind::new(SOURCE)?, now, &part)?);
        }
        let written = Written { format: FORMAT, language: ruleset.language(), parts: events.len() };
        let event = RulesetEvent::Installed {
            name: ruleset.name().to_owned(),
            version: ruleset.version(),
            digest: ruleset.digest(),
            rules: ruleset.rules().len() as u64,
            written: Some(written),
        };
        events.push(NewEvent::json(EventKind::new(INSTALLED)?, now, &event)?);
        let write = StreamWrite::new(StreamId::new(RULES_STREAM)?, ExpectedVersion::Any, events);
        let appended = store.append(Batch::new().with(write)).await?;
        self.replace(ruleset);
        Ok(appended.last)
    }
}

/// A text in parts, none of which is too large for an event.
pub(crate) fn parts(source: &str) -> Vec<&str> {
    let mut rest = source;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let mut end = rest.len().min(PART);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind;
    }
    parts
}
