//! Requests and their answers.
//!
//! A request is a stream of its own: who asked may hang up, and the work is given up; a slow one holds up no other. It has a
//! deadline, which travels as the time that is left, so clocks need not agree. A request with an [`IdempotencyKey`] may be
//! sent again when it is not known whether it arrived: it is worked on once, and its answer is kept for a while.
//!
//! Messages are bytes, or those of [`prost`] with a [`Method`]: fields of later versions are passed over, so both sides can be
//! renewed in any order. A change that the other side would misread is another method.

mod answers;
mod client;
mod error;
mod method;
mod server;
mod wire;

pub use error::{CallError, Refusal, Status};
pub use method::Method;
/// What the messages of a [`Method`] are made with.
pub use prost;

pub(crate) use client::call;
pub(crate) use server::Server;
#[cfg(any(test, feature = "test-util"))]
pub(crate) use wire::read_any;

use std::fmt;
use std::time::Duration;

use crate::node_id::NodeId;
use crate::stream::Protocol;

/// The most bytes of a request or an answer.
pub const MAX_BODY: usize = 1 << 20;
/// The longest deadline.
pub const MAX_DEADLINE: Duration = Duration::from_secs(600);

pub(crate) const RPC: Protocol = Protocol::new("/daa/rpc/1");

/// Says that two requests are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey([u8; 16]);

impl IdempotencyKey {
    /// One that nobody else has.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The key of something that has a name of its own: a workflow's step, say, so that it is the same after a crash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// How long the answer may take, the connection included: 10 s.
    pub deadline: Duration,
    /// With a key it is sent again, until the deadline, when it is not known whether it arrived.
    pub key: Option<IdempotencyKey>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), key: None }
    }
}

impl CallOptions {
    /// With another deadline, at most [`MAX_DEADLINE`].
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(MAX_DEADLINE);
        self
    }

    /// To be worked on once, however often it is sent.
    #[must_use]
    pub const fn once(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }
}

/// A request, as who answers it sees it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// Who asks.
    pub from: NodeId,
    /// What is asked.
    pub body: bytes::Bytes,
    /// How much time is left.
    pub deadline: Duration,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("from", &self.from)
            .field("len", &self.body.len())
            .field("deadline", &self.deadline)
            .finish()
    }
}
