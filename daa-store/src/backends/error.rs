//! Why backends could not be configured or opened.

use std::io;
use std::path::PathBuf;

use daa_core::bus::BusError;
use daa_core::fault::{Fault, Reaction, Retry};

use crate::open::OpenError;

/// Why a configuration was refused. No value of it is repeated: it may be a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no configuration.
    #[error("{} has {len} bytes, a configuration has at most {limit}", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        len: u64,
        /// The most.
        limit: u64,
    },
    /// The text is not TOML.
    #[error("line {line}: {reason}")]
    Toml {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A key does not exist, or its value is of another type.
    #[error("{reason}")]
    Value {
        /// Which, and what is wrong with it.
        reason: String,
    },
    /// Something has to be said that is not.
    #[error("{key} is missing, {expected}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What it would be.
        expected: &'static str,
    },
    /// Only one of two keys can be there.
    #[error("{key} and {other} exclude each other")]
    Both {
        /// One key.
        key: &'static str,
        /// The other.
        other: &'static str,
    },
    /// The key means nothing to this backend.
    #[error("{key} means nothing to {scheme}")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// The scheme of the backend.
        scheme: String,
    },
    /// No backend has this scheme.
    #[error("{key}: {scheme:?} is none of {known}")]
    Scheme {
        /// The key.
        key: &'static str,
        /// The scheme.
        scheme: String,
        /// What there is.
        known: &'static str,
    },
    /// The backend was not compiled in.
    #[error("{key}: this was built without the feature {feature:?}")]
    Feature {
        /// The key.
        key: &'static str,
        /// What it needs.
        feature: &'static str,
    },
    /// The URL of a store in a file names none.
    #[error("{key} names no file")]
    NoFile {
        /// The key.
        key: &'static str,
    },
    /// The backend does not accept a value.
    #[error("{key} cannot be used")]
    Refused {
        /// The key.
        key: &'static str,
        /// What the backend says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ConfigError {
    pub(super) fn toml(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        Self::Toml { line: before.matches('\n').count() + 1, reason: error.message().to_owned() }
    }

    pub(super) fn read(error: config::ConfigError) -> Self {
        Self::Value { reason: reason(error) }
    }

    #[cfg(any(
        feature = "postgres",
        feature = "nats",
        feature = "rabbitmq",
        feature = "redis",
        feature = "cloud"
    ))]
    pub(super) fn refused(key: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Refused { key, source: Box::new(error) }
    }
}

/// What the library says, without the value.
fn reason(error: config::ConfigError) -> String {
    match error {
        config::ConfigError::Type { origin, expected, key, .. } => {
            let origin = origin.map(|origin| format!(" in {origin}")).unwrap_or_default();
            format!("{}{origin} is not {expected}", key.as_deref().unwrap_or("a value"))
        }
        config::ConfigError::At { error, origin, key } => {
            let origin = origin.map(|origin| format!(" in {origin}")).unwrap_or_default();
            format!("{}{origin}: {}", key.as_deref().unwrap_or("a value"), reason(*error))
        }
        other => other.to_string(),
    }
}

impl Reaction for ConfigError {
    fn fault(&self) -> Fault {
        match self {
            Self::File { .. } => Fault::Environment,
            _ => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::File { .. } => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// Why backends could not be opened. Those that were open are closed again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendsError {
    /// The configuration was refused.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The event store.
    #[error("the event store cannot be opened")]
    Store(#[source] OpenError),
    /// The bus.
    #[error("the bus cannot be reached")]
    Bus(#[source] BusError),
    /// Artefacts.
    #[error("the artefacts cannot be opened")]
    Artifacts(#[source] OpenError),
}

impl Reaction for BackendsError {
    fn fault(&self) -> Fault {
        match self {
            Self::Config(error) => error.fault(),
            Self::Store(error) | Self::Artifacts(error) => error.fault(),
            Self::Bus(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Config(error) => error.retry(),
            Self::Store(error) | Self::Artifacts(error) => error.retry(),
            Self::Bus(error) => error.retry(),
        }
    }
}
