//! From the stream to policies and entities.

use std::collections::BTreeSet;
use std::sync::Arc;

use daa_core::digest::Digest;
use daa_core::event::{DecodeError, EventStore, PageSize, RecordedEvent, Version};
use daa_core::fault::{Fault, Reaction, Retry};

use super::entities::Draft;
use super::error::{AuthorisationError, EntityError, PoliciesError};
use super::event::{AuthorisationEvent, FORMAT, stream};
use super::limits::AuthorisationLimits;
use super::policies::Policies;
use super::snapshot::Authorisation;

/// Policies that were put on record, and that this process cannot take. Those before them keep governing here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedPolicies {
    /// They are wrong: to this version, or under its shipped schema.
    #[error("the new policies are not accepted")]
    Policies(#[from] PoliciesError),
    /// The entities do not fit their schema.
    #[error("the entities do not fit the new schema")]
    Entities(#[from] EntityError),
    /// They are written in a format that this version does not know.
    #[error("the new policies are written in format {format}, this version reads up to {FORMAT}")]
    TooNew {
        /// The format.
        format: u32,
    },
    /// They are not on record, or not all of them.
    #[error("the policies {digest} are not on record")]
    NoSource {
        /// Their hash.
        digest: Digest,
    },
    /// Those on record are others, or were written beside another shipped schema.
    #[error("the policies on record are {found}, not {digest}")]
    Others {
        /// The hash that was recorded.
        digest: Digest,
        /// The hash of what was found.
        found: Digest,
    },
}

impl Reaction for RefusedPolicies {
    fn fault(&self) -> Fault {
        match self {
            Self::Policies(error) => error.fault(),
            Self::Entities(error) => error.fault(),
            Self::TooNew { .. } | Self::NoSource { .. } | Self::Others { .. } => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Policies(error) => error.retry(),
            Self::Entities(error) => error.retry(),
            Self::TooNew { .. } | Self::NoSource { .. } | Self::Others { .. } => Retry::Never,
        }
    }
}

/// What was read of the stream so far. What it comes to is put together once, when there is nothing more to be read: so
/// reading costs as much as there were changes, and not as much as all entities for each of them.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    pub(super) authorisation: Authorisation,
    /// Why the policies that were installed last do not govern here.
    pub(super) refused: Option<Arc<RefusedPolicies>>,
    /// The texts that no policies have claimed yet.
    parts: Vec<String>,
    /// How far it was read.
    version: Version,
    policies: Policies,
    entities: Draft,
    /// Why what is so is not known: the first event that cannot be read, which is what has to be cleared up.
    unreadable: Option<Arc<str>>,
}

impl Fold {
    pub(super) fn new() -> Result<Self, PoliciesError> {
        let policies = Policies::none()?;
        Ok(Self {
            authorisation: Authorisation::new(policies.clone()),
            refused: None,
            parts: Vec::new(),
            version: Version::EMPTY,
            policies,
            entities: Draft::default(),
            unreadable: None,
        })
    }

    /// Reads on, to the end or to a version.
    pub(super) async fn read(
        &mut self,
        store: &dyn EventStore,
        up_to: Option<Version>,
    ) -> Result<(), AuthorisationError> {
        let stream = stream()?;
        loop {
            let page = store.read_stream(&stream, self.version, PageSize::default()).await?;
            for event in &page {
                if up_to.is_some_and(|last| event.version > last) {
                    self.settle();
                    return Ok(());
                }
                self.apply(event);
            }
            if page.is_empty() {
                self.settle();
                return Ok(());
            }
        }
    }

    /// Puts together what was read. That depends on the events alone, and not on how many were read at a time.
    fn settle(&mut self) {
        if self.version == self.authorisation.version() {
            return;
        }
        let built = self.entities.built(&self.policies.inner().declared, &BTreeSet::new());
        let (entities, together) = match built {
            Ok(entities) => (entities, None),
            Err(error) => {
                let why = format!("the entities of version {} cannot be together: {error}", self.version);
                (self.authorisation.entities().clone(), Some(why.into()))
            }
        };
        let unreadable = self.unreadable.clone().or(together);
        self.authorisation =
            self.authorisation.then(self.version, self.policies.clone(), entities, unreadable);
    }

    fn apply(&mut self, recorded: &RecordedEvent) {
        self.version = recorded.version;
        if let Err(why) = self.event(recorded) {
            let why = || format!("the change at version {} cannot be read: {why}", recorded.version).into();
            self.unreadable.get_or_insert_with(why);
        }
    }

    /// `Err` where it cannot be told what it says.
    fn event(&mut self, recorded: &RecordedEvent) -> Result<(), String> {
        let known = |error: DecodeError| error.to_string();
        let Some(event) = AuthorisationEvent::read(recorded).map_err(known)? else {
            // Erased, or written by a version that knows more.
            return Err(format!("it is {}", recorded.kind));
        };
        match event {
            AuthorisationEvent::Source { text } => {
                let most = AuthorisationLimits::SOURCE + AuthorisationLimits::SCHEMA;
                if self.parts.iter().map(String::len).sum::<usize>() + text.len() <= most {
                    self.parts.push(text);
                }
            }
            AuthorisationEvent::Changed { changes, .. } => {
                let declared = &self.policies.inner().declared;
                self.entities.change(&changes, declared).map_err(|error| error.to_string())?;
            }
            AuthorisationEvent::Installed { digest, format, schema, policies, .. } => {
                let parts = std::mem::take(&mut self.parts);
                self.refused = self.install(digest, format, (schema, policies), &parts).err().map(Arc::new);
            }
        }
        Ok(())
    }

    /// Lets policies govern, if they can be read and the entities fit them.
    fn install(
        &mut self,
        digest: Digest,
        format: u32,
        counts: (usize, usize),
        parts: &[String],
    ) -> Result<(), RefusedPolicies> {
        let policies = installed(&self.policies, digest, format, counts, parts)?;
        // Under the same schema they are what they were.
        if policies.schema() != self.policies.schema() {
            let declared = &policies.inner().declared;
            let entities = self.entities.under(declared)?;
            entities.built(declared, &BTreeSet::new())?;
            self.entities = entities;
        }
        self.policies = policies;
        Ok(())
    }
}

/// The policies of a digest: those that govern, or those that the last parts are.
fn installed(
    now: &Policies,
    digest: Digest,
    format: u32,
    (schema, policies): (usize, usize),
    parts: &[String],
) -> Result<Policies, RefusedPolicies> {
    if format > FORMAT {
        return Err(RefusedPolicies::TooNew { format });
    }
    if now.digest() == digest {
        return Ok(now.clone());
    }
    let none = || RefusedPolicies::NoSource { digest };
    let skipped = parts.len().checked_sub(schema.saturating_add(policies)).ok_or_else(none)?;
    let own = parts.get(skipped..).ok_or_else(none)?;
    let (schema, source) = own.split_at_checked(schema).ok_or_else(none)?;
    let policies = Policies::read(&schema.concat(), &source.concat())?;
    let found = policies.digest();
    if found != digest { Err(RefusedPolicies::Others { digest, found }) } else { Ok(policies) }
}

impl Authorisation {
    /// Reads what governed at a version of the stream; at its end, without one. With the version that a verdict says it
    /// [rests on](Self::recorded_version), a decision can be made and explained again.
    ///
    /// # Errors
    /// [`AuthorisationError`] when the store cannot be read.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn read(store: &dyn EventStore, at: Option<Version>) -> Result<Self, AuthorisationError> {
        let mut fold = Fold::new()?;
        fold.read(store, at).await?;
        Ok(fold.authorisation)
    }
}

#[cfg(test)]
mod tests;
