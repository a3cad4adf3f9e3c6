//! Why the lab did not come to an end.

use std::io;

/// Why the lab did not come to an end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// This machine cannot run it.
    #[error("this machine cannot run the lab: {what}\n  {help}")]
    Missing { what: String, help: String },
    /// A program did not do what it was to do.
    #[error("{command}: {said}")]
    Tool { command: String, said: String },
    /// A node did not do what it was to do.
    #[error("{node}: {why}")]
    Node { node: String, why: String },
    /// A file, a pipe or a device.
    #[error("{what}: {source}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
}

impl Failure {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }

    pub(crate) fn node(node: impl Into<String>, why: impl ToString) -> Self {
        Self::Node { node: node.into(), why: why.to_string() }
    }
}
