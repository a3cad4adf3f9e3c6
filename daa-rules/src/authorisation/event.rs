//! Policies and entities on record: one stream, so that there is one order of everything that may change a decision.

use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::event::{DecodeError, NewEvent, RecordedEvent};
use daa_core::id::{AgentId, EventKind, IdError};
use serde::{Deserialize, Serialize};

use super::entity::EntityChange;
use super::error::{AuthorisationError, EntityError};
use super::policies::Policies;

/// The stream of policies and entities.
pub const AUTHORISATION_STREAM: &str = "authorisation";

const CHANGED: &str = "authorisation.changed.v1";
const INSTALLED: &str = "authorisation.installed.v1";
const SOURCE: &str = "authorisation.source.v1";

/// The format of policies that this version writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// Bytes of JSON of the changes in one event (512 KiB): what is larger is made in several.
const CHANGES: usize = 512 << 10;

/// What happens to policies and entities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthorisationEvent {
    /// Entities change, all of them together.
    Changed {
        /// How.
        changes: Vec<EntityChange>,
        /// Who wanted it.
        by: AgentId,
    },
    /// A part of the schema or of the policies that are installed next.
    Source {
        /// The text.
        text: String,
    },
    /// Policies begin to govern.
    Installed {
        /// The hash of their content, as verdicts name it.
        digest: Digest,
        /// The version of the format. Whoever does not know it does not read them.
        format: u32,
        /// How many of the parts before it are the schema.
        schema: usize,
        /// How many parts behind those are the policies.
        policies: usize,
        /// Who wanted it.
        by: AgentId,
    },
}

impl AuthorisationEvent {
    /// Reads a recorded event; `None` when it is not about authorisation.
    ///
    /// # Errors
    /// [`DecodeError`] when it is, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        let ours = matches!(event.kind.as_str(), CHANGED | INSTALLED | SOURCE);
        if ours { event.json().map(Some) } else { Ok(None) }
    }

    pub(super) fn to_new(&self, at: Timestamp) -> Result<NewEvent, AuthorisationError> {
        let kind = match self {
            Self::Changed { .. } => CHANGED,
            Self::Source { .. } => SOURCE,
            Self::Installed { .. } => INSTALLED,
        };
        let event = NewEvent::json(EventKind::new(kind)?, at, self)?;
        if matches!(self, Self::Changed { .. }) && event.payload.len() > CHANGES {
            let (what, limit) = ("bytes of changes that are made together", CHANGES);
            return Err(EntityError::Limit { what, limit }.into());
        }
        Ok(event)
    }

    /// What puts policies on record.
    pub(super) fn installing(
        policies: &Policies,
        by: &AgentId,
        at: Timestamp,
    ) -> Result<Vec<NewEvent>, AuthorisationError> {
        let parts = |text| crate::event::parts(text).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let (schema, source) = (parts(policies.schema()), parts(policies.source()));
        let installed = Self::Installed {
            digest: policies.digest(),
            format: FORMAT,
            schema: schema.len(),
            policies: source.len(),
            by: by.clone(),
        };
        let sources = schema.into_iter().chain(source).map(|text| Self::Source { text });
        sources.chain([installed]).map(|event| event.to_new(at)).collect()
    }
}

/// The stream's id.
pub(super) fn stream() -> Result<daa_core::id::StreamId, IdError> {
    daa_core::id::StreamId::new(AUTHORISATION_STREAM)
}
