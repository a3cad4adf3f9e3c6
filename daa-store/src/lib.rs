//! The contracts of DAA on real engines.
//!
//! - [`SqliteEventStore`](sqlite::SqliteEventStore): an [`EventStore`](daa_core::event::EventStore) whose
//!   acknowledged appends survive `kill -9` and power loss (feature `sqlite`, on by default);
//! - [`PostgresEventStore`](postgres::PostgresEventStore): the same on PostgreSQL, for any number of machines
//!   (feature `postgres`);
//! - [`SqliteReadModel`](sqlite::SqliteReadModel) and [`PostgresReadModel`](postgres::PostgresReadModel):
//!   [read models](daa_core::projection) in tables, with their position in the same transaction;
//! - [`NatsBus`](nats::NatsBus): an [`EventBus`](daa_core::bus::EventBus) on NATS JetStream (feature `nats`);
//! - [`RabbitBus`](rabbitmq::RabbitBus): the same on RabbitMQ (feature `rabbitmq`);
//! - [`RedisCache`](redis::RedisCache), [`RedisLeases`](redis::RedisLeases) and
//!   [`RedisRateLimiter`](redis::RedisRateLimiter): what processes share for a while (feature `redis`);
//! - [`FolderArtifacts`](folder::FolderArtifacts): [`Artifacts`](daa_core::artifact::Artifacts) as files named by
//!   their digest;
//! - [`ObjectArtifacts`](object::ObjectArtifacts): the same in S3, GCS, Azure (features `s3`, `gcs`, `azure`), or any
//!   other object store (feature `object-store`);
//! - [`KeyRing`](cipher::KeyRing): keys that seal artefacts at rest (feature `encryption`);
//! - [`Backends`](backends::Backends): all of them from one configuration, and how they are (feature `config`);
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

#[cfg(feature = "config")]
pub mod backends;
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
pub mod bus;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod checksum;
#[cfg(feature = "encryption")]
pub mod cipher;
#[cfg(feature = "sqlite")]
pub mod data_dir;
mod durable;
pub mod folder;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod head;
mod lock;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "object-store")]
pub mod object;
pub mod open;
#[cfg(feature = "sqlite")]
mod opening;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod queue;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod tls;
