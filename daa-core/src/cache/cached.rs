//! Typed values in the process, in front of a source and, if there is one, of a [`Cache`](super::Cache) that processes
//! share.
//!
//! A reader asks [`Cached::get`]. The answer comes from the first level, in the process (moka); or from the second,
//! which processes share; or from the [`Source`]. What is promised:
//!
//! - **One load.** All who miss the same key at the same time wait for one load. It is a task of its own: readers that
//!   go away do not stop it, and when it fails, all who wait get its error, once.
//! - **No stampede.** A time to live is shortened by chance, so that what was loaded together does not end together. And
//!   shortly before the end, one reader or another starts the next load while all go on with the value that there is:
//!   the more expensive the load, the earlier (XFetch; Vattani, Chierichetti, Lowenstein: *Optimal Probabilistic Cache
//!   Stampede Prevention*, VLDB 2015).
//! - **Absence counts.** That the source has nothing is remembered too, for a time of its own.
//! - **Invalidation.** After [`Cached::invalidate`] no reader of this process gets a value that was loaded before, also
//!   not from a load that was under way. Each process [follows](Cached::follow) the events that say what has changed.
//! - **A second level that is away costs time, not answers.** Each call to it has a time limit, and after a few
//!   failures a breaker keeps everyone away from it for a while. What should have been invalidated there meanwhile is
//!   remembered: before that has been made up for, nothing is read there. Readers never see an error of the second
//!   level; [`CachedStats`] and [`Cached::second_level`] do.
//! - **A source that is away** is answered for by values whose time is over, for as long as
//!   [`CachedOptions::with_stale_for`] allows; by default not at all.
//!
//! What is not promised: that a process which does not follow the events learns of a change before the time to live is
//! over, or that entries of the second level are invalidated which changed while no process followed.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use daa_core::cache::MemoryCache;
//! # use daa_core::cache::cached::*;
//! # use daa_core::clock::SystemClock;
//! # use daa_core::seed::Seed;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(SystemClock::new());
//! let squares = load_with(|n: &u64| {
//!     let n = *n;
//!     async move { Ok(n.checked_mul(n)) }
//! });
//! let options = CachedOptions::new(Duration::from_secs(60), Seed::from_u64(7), clock.clone());
//! let shared = Arc::new(MemoryCache::new(64 << 20, clock));
//! let second = SecondLevel::new("squares", shared, u64::to_string);
//! let cached = Cached::with_second_level(squares, options, second);
//! assert_eq!(cached.get(&12).await?, Some(144));
//! assert_eq!(cached.get(&12).await?, Some(144));
//! assert_eq!(cached.get(&u64::MAX).await?, None);
//! let stats = cached.stats();
//! assert_eq!((stats.hits, stats.loads), (1, 2));
//! # Ok(())
//! # }
//! ```

mod envelope;
mod epochs;
mod error;
mod flight;
mod follow;
mod front;
mod options;
mod second;
mod sharing;
mod slot;
mod source;
mod stats;

pub use error::LoadError;
pub use follow::Invalidation;
pub use front::Cached;
pub use options::CachedOptions;
pub use second::{SecondLevel, SecondLevelHealth};
pub use source::{LoadWith, Source, SourceError, load_with};
pub use stats::CachedStats;
