//! What the caller of a failed operation should do: every public error answers two questions in its type.

use std::time::Duration;

/// Who is to blame for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller asked for something that can never work as asked.
    Caller,
    /// Another party sent something wrong, or did not answer.
    Peer,
    /// The machine, the disk, the network, a server.
    Environment,
    /// This library: please report it.
    Bug,
}

/// Whether doing the same thing again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same request will fail again.
    Never,
    /// The same request may succeed at once, after re-reading the state it was based on.
    Now,
    /// The same request may succeed later.
    Later,
    /// The same request may succeed, but not before this long.
    After(Duration),
}

/// The reaction that an error calls for.
///
/// Implemented by every public error of the project, so that wrappers such as
/// a retry decide from the type and never from the text.
pub trait Reaction {
    /// Who is to blame.
    fn fault(&self) -> Fault;
    /// Whether a retry can help.
    fn retry(&self) -> Retry;
}
