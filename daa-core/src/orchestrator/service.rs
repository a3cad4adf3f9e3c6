//! The contract of a service.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;

use crate::fault::{Fault, Reaction, Retry};
use crate::shutdown::Shutdown;

/// Names a service, for people; unique in its orchestrator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Cow<'static, str>);

impl ServiceName {
    /// A name that is known beforehand.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ServiceName {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that runs until it is done or told to end: an agent, a relay, a server.
///
/// # Contract
///
/// An implementation must come to an end soon after `shutdown` asks for it, and bring an action that is under way
/// to its outcome first if that does not take long. It must bear being dropped at any `await`: that is what
/// happens when the grace period is over. It must not block its thread, because then it cannot be dropped.
#[async_trait]
pub trait Service: Send {
    /// Its name.
    fn name(&self) -> ServiceName;

    /// Runs to the end.
    ///
    /// # Errors
    /// [`ServiceError`], which says whether a restart can help.
    async fn run(self: Box<Self>, shutdown: Shutdown) -> Result<(), ServiceError>;
}

/// Why a service ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Starting again would end in the same way.
    #[error("the service cannot go on")]
    Fatal {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Starting again may help.
    #[error("the service failed")]
    Transient {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl ServiceError {
    /// Starting again would end in the same way.
    pub fn fatal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Fatal { source: source.into() }
    }

    /// Starting again may help.
    pub fn transient(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Transient { source: source.into() }
    }
}

impl Reaction for ServiceError {
    fn fault(&self) -> Fault {
        match self {
            Self::Fatal { .. } => Fault::Caller,
            Self::Transient { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Fatal { .. } => Retry::Never,
            Self::Transient { .. } => Retry::Later,
        }
    }
}
