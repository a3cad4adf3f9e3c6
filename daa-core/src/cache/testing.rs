//! The conformance suite of [`Cache`]: one function for each behaviour of the contract.
//!
//! [`cache_conformance!`](crate::cache_conformance) makes a test of each, so that a failure has a name:
//!
//! ```
//! # mod example {
//! use std::sync::Arc;
//! use daa_core::cache::{Cache, MemoryCache};
//! use daa_core::clock::SystemClock;
//!
//! /// A fresh cache, and whatever must live as long as it: a name space of a server that is cleared when dropped.
//! async fn fresh() -> ((), Arc<dyn Cache>) {
//!     ((), Arc::new(MemoryCache::new(64 << 20, Arc::new(SystemClock::new()))))
//! }
//!
//! daa_core::cache_conformance!(fresh().await);
//! # }
//! ```
//!
//! Every function takes a fresh, empty cache and panics when a promise is broken. They need a multi-threaded tokio
//! runtime with timers, and a cache with room for 32 MiB.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a suite fails by panicking")]

mod entries;
mod tags;
mod time;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::entries::*;
pub use self::tags::*;
pub use self::time::*;
use super::{Cache, CacheEntry, CacheKey};
use crate::id::CacheTag;

/// The cache under test.
pub type Shared = Arc<dyn Cache>;

/// Makes a `#[tokio::test]` of each behaviour. The expression is evaluated once per test, and yields
/// `(guard, Arc<dyn Cache>)`; the guard is dropped after the cache.
#[macro_export]
macro_rules! cache_conformance {
    ($fresh:expr) => {
        $crate::cache_conformance! { @tests $fresh;
            answers_with_what_was_put_last
            keeps_every_byte_of_keys_and_values
            refuses_what_is_beyond_the_bounds_and_keeps_what_was_there
            takes_an_entry_at_the_bounds
            removes_once
            writers_of_one_key_never_mix_their_values
            counts_hits_misses_puts_and_removals
            an_entry_lasts_as_long_as_it_was_given
            a_new_entry_has_a_new_time
            a_tag_takes_all_that_have_it_and_nothing_else
            an_entry_goes_with_each_of_its_tags
            a_tag_may_be_used_again
            many_entries_go_with_one_tag
            an_entry_that_a_tag_took_is_gone_for_every_reader
        }
    };
    (@tests $fresh:expr; $($behaviour:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let (_guard, cache) = $fresh;
            $crate::cache::testing::$behaviour(cache).await;
        }
    )*};
}

const LONG: Duration = Duration::from_secs(600);

fn key(text: impl Into<Bytes>) -> CacheKey {
    CacheKey::new(text).unwrap()
}

fn tag(text: &str) -> CacheTag {
    CacheTag::new(text).unwrap()
}

fn entry(value: impl Into<Bytes>) -> CacheEntry {
    CacheEntry::new(value, LONG)
}

async fn read(cache: &Shared, name: &str) -> Option<String> {
    let value = cache.get(&key(name.to_owned())).await.unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}
