//! The rulesets that governed, on record.

use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::event::{
    AppendError, DecodeError, EventStore, ExpectedVersion, NewEvent, Position, RecordedEvent,
};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{EventKind, IdError, StreamId};
use serde::{Deserialize, Serialize};

use crate::engine::RulesEngine;
use crate::ruleset::Ruleset;

/// The stream that [`RulesEngine::install`] writes to.
pub const RULES_STREAM: &str = "rules";

const INSTALLED: &str = "rules.installed.v1";

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
    },
}

impl RulesetEvent {
    /// Reads a recorded event; `None` when it is not about rules.
    ///
    /// # Errors
    /// [`DecodeError`] when it is, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if event.kind.as_str() == INSTALLED { event.json().map(Some) } else { Ok(None) }
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
    /// Puts a ruleset on record, and governs by it once that is durable. Returns where it stands in the log.
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
        let event = RulesetEvent::Installed {
            name: ruleset.name().to_owned(),
            version: ruleset.version(),
            digest: ruleset.digest(),
            rules: ruleset.rules().len() as u64,
        };
        let event = NewEvent::json(EventKind::new(INSTALLED)?, now, &event)?;
        let batch = daa_core::event::Batch::new();
        let batch = batch.with_event(StreamId::new(RULES_STREAM)?, ExpectedVersion::Any, event);
        let appended = store.append(batch).await?;
        self.replace(ruleset);
        Ok(appended.last)
    }
}
