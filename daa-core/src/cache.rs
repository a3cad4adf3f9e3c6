//! Caches: values that can be had again, kept near for a while.
//!
//! - [`Cache`] is the contract of a shared cache of bytes: keys, entries with a time to live, tags to invalidate by.
//!   [`MemoryCache`] keeps it within the process; `daa-store` keeps it on Redis.
//! - [`Cached`](cached::Cached) (feature `cache`) is what readers use: typed values in the process, in front of any
//!   [`Cache`], with one load for all who miss at the same time, refreshes before the end, and invalidation by events.
//!
//! A cache holds nothing that is not somewhere else too. It may lose any entry at any time, and whoever reads it must
//! be able to do without.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use daa_core::cache::*;
//! # use daa_core::clock::SystemClock;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = MemoryCache::new(64 << 20, Arc::new(SystemClock::new()));
//! let key = CacheKey::new("quote/eth")?;
//! let entry = CacheEntry::new("3123.45", Duration::from_secs(60)).with_tag("quotes".try_into()?);
//! cache.put(&key, entry).await?;
//! assert_eq!(cache.get(&key).await?.as_deref(), Some(b"3123.45".as_slice()));
//! cache.invalidate(&"quotes".try_into()?).await?;
//! assert_eq!(cache.get(&key).await?, None);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! ```

#[cfg(feature = "cache")]
pub mod cached;
mod contract;
mod counters;
mod entry;
mod error;
mod key;
mod memory;

pub use contract::Cache;
pub use counters::{CacheCounters, CacheStats};
pub use entry::{CacheEntry, MAX_TAGS, MAX_TTL, MAX_VALUE};
pub use error::CacheError;
pub use key::{CacheKey, MAX_KEY};
pub use memory::MemoryCache;

#[cfg(all(feature = "test-util", feature = "runtime"))]
pub mod testing;
