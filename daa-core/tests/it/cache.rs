//! Caches, leases and limiters within the process: the suites that every backend runs, and what only these can show.

#[cfg(feature = "cache")]
mod cached;
mod lease;
mod limiter;
mod memory;
