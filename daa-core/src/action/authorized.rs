//! What an executor is given, and what a caller holds before that.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::beats::Beats;
use super::executor::ExecuteError;
use super::journal::ActionStatus;
use super::request::{Action, check_value};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{ActionId, ActionKind, AgentId};
use crate::workflow::TraceContext;

/// An action that may be performed, in the hands of the executor that performs it.
///
/// Only the [`Gate`](super::Gate) makes one, after the rules permitted the action, its cost was reserved, and the decision
/// and the attempt became durable. It cannot be cloned, stored or made by other code:
///
/// ```compile_fail
/// let forged = daa_core::action::Authorized { };
/// ```
#[derive(Debug)]
pub struct Authorized {
    pub(super) action: Action,
    pub(super) digest: Digest,
    pub(super) ruleset: Digest,
    pub(super) attempt: u32,
    pub(super) link: Option<Link>,
}

/// The way from an executor back to whoever watches over it.
#[derive(Clone, Default)]
pub(crate) struct Link {
    pub(crate) beats: Beats,
    pub(crate) progress: Option<Value>,
    pub(crate) trace: Option<TraceContext>,
}

impl Link {
    pub(crate) fn new(progress: Option<Value>, trace: Option<TraceContext>) -> Self {
        Self { beats: Beats::default(), progress, trace }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("progress", &self.progress).field("trace", &self.trace).finish()
    }
}

impl Authorized {
    /// The action.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// The idempotency key of the effect.
    #[must_use]
    pub fn id(&self) -> &ActionId {
        self.action.id()
    }

    /// What kind of action it is.
    #[must_use]
    pub fn kind(&self) -> &ActionKind {
        self.action.kind()
    }

    /// Who wants it.
    #[must_use]
    pub fn actor(&self) -> &AgentId {
        self.action.actor()
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &Value {
        self.action.params()
    }

    /// The parameters as a type of the executor's own.
    ///
    /// # Errors
    /// [`ExecuteError::Rejected`] when they are not of this type.
    pub fn params_as<T: DeserializeOwned>(&self) -> Result<T, ExecuteError> {
        T::deserialize(self.action.params()).map_err(ExecuteError::rejected)
    }

    /// The digest of the action that was permitted.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The content hash of the rules that permitted it.
    #[must_use]
    pub const fn ruleset(&self) -> Digest {
        self.ruleset
    }

    /// Which attempt this is, from 1. Beyond the first, an earlier attempt took no effect as far as
    /// [`reconcile`](super::Executor::reconcile) could tell.
    ///
    /// It is a fencing token: a performer that lost its lease and comes back late has a lower one than its
    /// successor. A system that remembers the highest it has seen for an id can refuse the latecomer.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Says that the work goes on, and how far it is. A step with a `heartbeat` is taken for dead when it is silent
    /// for longer than that. What is reported is kept, at most once a second and when the attempt ends, and given to
    /// the next attempt as [`Self::progress`]. Outside a workflow it has no effect.
    ///
    /// # Errors
    /// [`ExecuteError::Rejected`] for details beyond [`MAX_PARAMS`](super::MAX_PARAMS) bytes of JSON.
    pub fn heartbeat(&self, details: impl Into<Value>) -> Result<(), ExecuteError> {
        let details = details.into();
        check_value("details", &details).map_err(ExecuteError::rejected)?;
        if let Some(link) = &self.link {
            link.beats.beat(details);
        }
        Ok(())
    }

    /// What an earlier attempt reported last.
    #[must_use]
    pub fn progress(&self) -> Option<&Value> {
        self.link.as_ref()?.progress.as_ref()
    }

    /// The trace that the action belongs to.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.link.as_ref()?.trace.as_ref()
    }
}

/// Permission for one action, once, until it expires. Spent by [`Gate::perform`](super::Gate::perform).
#[derive(Debug)]
#[must_use = "what was reserved for it stays reserved until the permit is performed or recovered"]
pub struct Permit {
    pub(super) status: ActionStatus,
}

impl Permit {
    /// The action that is permitted.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.status.action
    }

    /// When the permission ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.status.expires
    }
}
