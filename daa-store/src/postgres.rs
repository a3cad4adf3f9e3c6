//! The event store on PostgreSQL, for any number of processes on any number of machines.
//!
//! # How the order stays without gaps
//!
//! The order in which transactions commit is not the order in which they take numbers from a sequence, so a reader
//! that follows a sequence passes over what commits late. Here a number is not taken, it is won: each process
//! writes all appends that wait in one statement, and the first thing that the statement does is to insert the
//! row that follows the last group in the table `commits`. Two groups that follow the same one want the same row;
//! one gets it, the other waits until that one is durable, then writes nothing, looks at what is new, and tries
//! again behind it. So a group becomes visible only after all those before it, whatever other transactions are
//! open and however long.
//!
//! Processes that met one another take turns by an advisory lock from then on, in the order in which they asked
//! for it, until they have been alone for a while.
//!
//! # When the server goes away
//!
//! A group that was sent and not confirmed is sent again once the server is back, with the same place and the same
//! token: if it had been committed, its place is taken, and the token there says by whom. So an append is
//! acknowledged once, and is in the log once. Only when the server stays away, or refuses to write, longer than the
//! [patience](PostgresOptions::with_patience) an append is answered with
//! [`AppendError::Unconfirmed`](daa_core::event::AppendError::Unconfirmed), or, where it was never sent, with
//! [`AppendError::Unavailable`](daa_core::event::AppendError::Unavailable).
//!
//! Subscriptions follow by position: whatever happened while they were cut off is read when the server is back.

mod columns;
mod connection;
mod engine;
mod erase;
mod follow;
mod job;
mod log;
mod model_schemas;
mod names;
mod options;
mod projection;
mod read;
mod recent;
mod replica;
mod schema;
mod store;
mod times;
mod writer;

pub use options::{PostgresOptions, PostgresOptionsError};
pub use projection::{MaterializedView, PostgresProjection, PostgresReadModel};
pub use replica::StaleReads;
pub use store::PostgresEventStore;
/// The client, whose types projections to PostgreSQL are written in.
pub use tokio_postgres;
