//! The event store on SQLite.
//!
//! One thread owns the only connection that writes. Appends wait for it in a bounded queue; it takes all that
//! wait into one transaction, so that they share one `fsync` (group commit), and answers them when that is
//! done. A few reader threads have a connection each; in WAL mode they and the writer never wait for each other.
//! Nothing needs a particular executor: answers come over channels.
//!
//! Several stores may share a file ([`Sharing::Processes`]). Their writers take turns, each looks in its turn
//! whether another has written since, and forgets what it knew if so; a thread of each watches what the others
//! append.

mod apply;
mod connection;
mod engine;
mod erase;
mod file;
mod intern;
mod job;
mod model_files;
mod options;
mod projection;
mod read;
mod readers;
mod schema;
mod store;
mod turn;
mod watcher;
mod writer;

pub use options::{OpenCheck, Sharing, SqliteOptions};
pub use projection::{SqliteProjection, SqliteReadModel};
/// The engine, whose types projections to SQLite are written in.
pub use rusqlite;
pub use store::SqliteEventStore;
