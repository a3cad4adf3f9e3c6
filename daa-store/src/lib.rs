//! The contracts of DAA on real engines, on one machine.
//!
//! - [`SqliteEventStore`](sqlite::SqliteEventStore): an [`EventStore`](daa_core::event::EventStore) whose
//!   acknowledged appends survive `kill -9` and power loss (feature `sqlite`, on by default);
//! - [`FolderArtifacts`](folder::FolderArtifacts): [`Artifacts`](daa_core::artifact::Artifacts) as files named by
//!   their digest;
//! - [`DataDir`](data_dir::DataDir): one directory that holds both, and belongs to one process or to several that
//!   share it (feature `sqlite`).
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::dbg_macro,
        clippy::print_stdout
    )
)]

#[cfg(feature = "sqlite")]
pub mod data_dir;
mod durable;
pub mod folder;
mod lock;
pub mod open;
#[cfg(feature = "sqlite")]
mod opening;
#[cfg(feature = "sqlite")]
pub mod sqlite;
