//! What an executor is given, and what a caller holds before that.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::beats::Beats;
use super::executor::ExecuteError;
use super::journal::ActionStatus;
use super::obligation::{Obligation, lowered};
use super::request::{Action, check_value};
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{ActionId, ActionKind, AgentId};
use crate::workflow::TraceContext;

/// An action that may be performed, in the hands of the executor that performs it.
///
/// Only the [`Gate`](super::Gate) makes one, after the rules permitted the action, its cost was reserved, and the decision
/// and the attempt became durable. Whoever has one looks at it:
///
/// ```
/// # use daa_core::action::Authorized;
/// fn look(action: &Authorized) -> u32 {
///     action.attempt()
/// }
/// ```
///
/// It cannot be made,
///
/// ```compile_fail,E0451
/// # use daa_core::action::{Action, Authorized};
/// # use daa_core::digest::Digest;
/// fn forge(action: Action, digest: Digest) -> Authorized {
///     Authorized { action, digest, ruleset: digest, attempt: 1, obligations: Vec::new(), link: None, trace: None }
/// }
/// ```
///
/// made of nothing,
///
/// ```compile_fail,E0277
/// # use daa_core::action::Authorized;
/// fn made<T: Default>() {}
/// made::<Authorized>();
/// ```
///
/// read from bytes,
///
/// ```compile_fail,E0277
/// # use daa_core::action::Authorized;
/// fn read(bytes: &[u8]) -> Authorized {
///     serde_json::from_slice(bytes).unwrap()
/// }
/// ```
///
/// copied,
///
/// ```compile_fail,E0277
/// # use daa_core::action::Authorized;
/// fn copied<T: Clone>() {}
/// copied::<Authorized>();
/// ```
///
/// changed,
///
/// ```compile_fail,E0616
/// # use daa_core::action::{Action, Authorized};
/// fn change(mut authorized: Authorized, other: Action) {
///     authorized.action = other;
/// }
/// ```
///
/// or kept beyond the call of the executor:
///
/// ```compile_fail,E0521
/// # use daa_core::action::Authorized;
/// fn keep(action: &Authorized) {
///     std::thread::spawn(move || action.attempt());
/// }
/// ```
#[derive(Debug)]
pub struct Authorized {
    pub(super) action: Action,
    pub(super) digest: Digest,
    pub(super) ruleset: Digest,
    pub(super) attempt: u32,
    pub(super) obligations: Vec<Obligation>,
    pub(super) link: Option<Link>,
    pub(super) trace: Option<TraceContext>,
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

    /// What the permission is bound to.
    #[must_use]
    pub fn obligations(&self) -> &[Obligation] {
        &self.obligations
    }

    /// The most that the action may cost: what was reserved for it, which may be less than was asked for.
    #[must_use]
    pub fn max_cost(&self) -> Option<Money> {
        self.action.max_cost().and_then(|cost| lowered(cost, &self.obligations))
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

    /// The trace that the action belongs to: that of the run whose step it is, or else that of its
    /// [context](super::Context::with_trace).
    #[must_use]
    pub const fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }
}

/// Permission for one action, once, until it expires. Spent by [`Gate::perform`](super::Gate::perform): it cannot be used
/// twice,
///
/// ```compile_fail,E0382
/// # use daa_core::action::{Executor, Gate, Permit};
/// async fn twice(gate: &Gate, permit: Permit, executor: &dyn Executor) {
///     let _ = gate.perform(permit, executor).await;
///     let _ = gate.perform(permit, executor).await;
/// }
/// ```
///
/// copied,
///
/// ```compile_fail,E0277
/// # use daa_core::action::Permit;
/// fn copied<T: Clone>() {}
/// copied::<Permit>();
/// ```
///
/// or made:
///
/// ```compile_fail,E0451
/// # use daa_core::action::{ActionStatus, Permit};
/// fn forge(status: ActionStatus) -> Permit {
///     Permit { status }
/// }
/// ```
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
