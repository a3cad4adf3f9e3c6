//! What a policy remembers of the actions that it permitted.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;

use super::policy::{Request, Verdict};
use super::request::Action;
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::event::StreamWrite;
use crate::fault::{Fault, Reaction, Retry};
use crate::id::StreamId;

/// The side of a [`Policy`](super::Policy) that depends on what was permitted before: limits over time, and the like.
///
/// Only the gate drives it, as it drives a [`Treasury`](super::Treasury): it begins a [`PolicyChange`], lets it decide,
/// appends its writes together with the decision, and confirms it when the append is durable. So an action and what
/// counts it are never apart, and of two decisions that rest on the same count, one has to be made again.
#[async_trait]
pub trait PolicyMemory: Send + Sync + fmt::Debug {
    /// Begins a change. Several may be under way at a time, here and in other processes: the versions that their
    /// writes expect tell which of them counts. A gate begins this change before one of the treasury, so it may wait
    /// for others here, and nowhere else.
    ///
    /// # Errors
    /// [`PolicyError`] when it is not available.
    async fn begin(&self) -> Result<Box<dyn PolicyChange>, PolicyError>;

    /// Begins a change for the ends of actions. Whatever a decision may have to wait for, such as a count that is made
    /// anew, it does not: what has happened is recorded at once. Where a decision would have to wait, the change
    /// [decides](PolicyChange::decides) nothing.
    ///
    /// # Errors
    /// [`PolicyError`] when it is not available.
    async fn begin_ending(&self) -> Result<Box<dyn PolicyChange>, PolicyError>;

    /// Whether a permission that this policy gave earlier still stands, now that it is to be used: asked before each attempt
    /// that was not decided in the same append, with what was asked when it was permitted. By default it does, until it
    /// expires.
    ///
    /// # Errors
    /// [`PolicyError`] when that cannot be told; nothing is attempted then.
    async fn uphold(&self, request: &Request<'_>) -> Result<Standing, PolicyError> {
        let _ = request;
        Ok(Standing::Stands(Hold::default()))
    }
}

/// Whether a permission that was given earlier still stands.
#[derive(Debug)]
pub enum Standing {
    /// It does. Whoever uses it holds this until the attempt is durable.
    Stands(Hold),
    /// It does not any more: what the policy decides now.
    Withdrawn(Box<Verdict>),
}

/// What a policy wants held while a permission is used, so that nothing withdraws it meanwhile.
#[derive(Debug, Default)]
pub struct Hold(Vec<Box<dyn fmt::Debug + Send>>);

impl Hold {
    /// Something that is dropped when the permission has been used.
    #[must_use]
    pub fn of(held: impl fmt::Debug + Send + 'static) -> Self {
        Self(vec![Box::new(held)])
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }
}

/// Decisions, and what they count; nothing of it counts before [`Self::confirm`]. Dropped, it has counted nothing, as
/// far as it knows. It lives until what it decided is durable, or given up: what it holds, such as the rules in force, nobody
/// takes away meanwhile.
#[async_trait]
pub trait PolicyChange: Send + fmt::Debug {
    /// Whether it may be asked to decide: always, unless it was begun [for ends](PolicyMemory::begin_ending) while
    /// decisions have to wait.
    fn decides(&self) -> bool;

    /// Decides, in view of everything that is durable, and of what this change has counted so far. Counts nothing.
    ///
    /// # Errors
    /// [`PolicyError`] when what is remembered cannot be read. What others do not tell in time is no error, but for
    /// the rules to judge.
    async fn decide(&mut self, request: &Request<'_>) -> Result<Verdict, PolicyError>;

    /// Counts an action that this change has just decided on, in the streams of [`Verdict::counts`]: it is permitted,
    /// and its cost is reserved. An action that is withheld or refused never comes here.
    ///
    /// # Errors
    /// [`PolicyError`] when it cannot be counted; it is not permitted then.
    fn permitted(&mut self, request: &Request<'_>, verdict: &Verdict) -> Result<(), PolicyError>;

    /// Gives back, or settles, what was counted for an action that has ended. An action that was never counted, or not
    /// in a way that still matters, has no effect.
    ///
    /// # Errors
    /// [`PolicyError`] when what is remembered cannot be read.
    async fn ended(&mut self, ended: &Ended<'_>) -> Result<(), PolicyError>;

    /// The writes that make this change durable; the caller appends them in one batch with its own.
    fn writes(&self) -> Vec<StreamWrite>;

    /// Tells the memory that the writes are durable.
    fn confirm(self: Box<Self>);
}

/// An action that was counted, and has ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ended<'a> {
    /// The action.
    pub action: &'a Action,
    /// Where it was counted.
    pub counts: &'a [StreamId],
    /// How it ended.
    pub end: End,
    /// When that was found out.
    pub now: Timestamp,
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It took effect, and cost this.
    Effect(Option<Money>),
    /// It was tried, and took no effect.
    NoEffect,
    /// Its permission ended before it was tried.
    Unused,
}

impl<'a> Ended<'a> {
    /// An action that has ended.
    #[must_use]
    pub const fn new(action: &'a Action, counts: &'a [StreamId], end: End, now: Timestamp) -> Self {
        Self { action, counts, end, now }
    }
}

/// What a policy remembers is not available.
#[derive(Debug, thiserror::Error)]
#[error("what the rules remember is not available")]
#[non_exhaustive]
pub struct PolicyError {
    /// What went wrong.
    #[source]
    pub source: Box<dyn StdError + Send + Sync>,
}

impl PolicyError {
    /// Wraps what went wrong.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

impl Reaction for PolicyError {
    fn fault(&self) -> Fault {
        Fault::Environment
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }
}
