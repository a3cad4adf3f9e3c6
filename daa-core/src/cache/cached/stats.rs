//! What readers got, and what it took.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What readers got, and what it took, since the cache was made.
        ///
        /// Each call of [`get`](super::Cached::get) that runs to its end counts in exactly one of `hits`, `coalesced`
        /// and `led`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct CachedStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            pub(super) fn stats(&self) -> CachedStats {
                CachedStats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

stats! {
    /// Answers from the first level whose time was not over.
    hits,
    /// Of those, the ones that say that there is no value.
    negative_hits,
    /// Readers that missed, and waited for what another had begun.
    coalesced,
    /// Readers that missed, and began to look further.
    led,
    /// Values, and absences, found at the second level.
    second_hits,
    /// Looks at the second level that found nothing.
    second_misses,
    /// Calls to the source.
    loads,
    /// Of those, the ones that failed.
    load_failures,
    /// Loads that were begun before the value's time was over.
    early_refreshes,
    /// Answers whose time was over, because the source failed.
    stale_served,
    /// Calls of `invalidate` and its kin.
    invalidations,
    /// Calls to the second level that failed, or took too long.
    second_errors,
    /// Times that the second level was passed over, because it was away, or was just being told.
    second_skipped,
    /// Values of the second level that could not be decoded.
    undecodable,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
