//! What processes share for a while, on Redis: a [cache](RedisCache), [leases](RedisLeases), a
//! [rate limiter](RedisRateLimiter).
//!
//! All three use one [`Redis`]: a connection that carries everything at the same time, and is made anew by itself when it
//! breaks or falls silent. Every call is one round trip: a command, or a script that the server has already; and it
//! has a time limit. While the server is away, calls fail at once.
//!
//! # What Redis cannot promise
//!
//! Redis acknowledges before it writes to the disk, and before its replicas have heard of it. So when it is started again,
//! or a replica takes its place, what it acknowledged last may never have happened:
//!
//! - a **lease** may be free although somebody holds it. It is a hint, which saves work that would be done twice. What
//!   keeps things right is its token: that is higher than all before it even if the server forgot them, as long as its
//!   clock did not go back as well (see [`RedisLeases`]);
//! - a **rate limit** may start with a full bucket;
//! - a **cache** may have lost entries, or have some again that were invalidated last. They end with their time to
//!   live.
//!
//! A server that evicts keys when its memory is full must not have the keys of leases and limits among those: use
//! `volatile-ttl` or `noeviction`, or a server of their own.
//!
//! Redis Cluster is not supported: the keys of one call would have to be on one node.

mod cache;
mod connection;
mod error;
mod health;
mod lease;
mod limiter;
mod namespace;
mod options;
mod server;

pub use cache::RedisCache;
pub use error::RedisUnavailable;
pub use health::{RedisHealth, RedisState};
pub use lease::RedisLeases;
pub use limiter::RedisRateLimiter;
pub use options::{RedisOptions, RedisOptionsError};
pub use server::Redis;
