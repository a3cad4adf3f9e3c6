//! What can be chosen about a store.

use std::num::{NonZeroU32, NonZeroUsize};

/// How much of a store is checked when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenCheck {
    /// Every page and the completeness of the order: damage is found before anything is written on top of it.
    /// Takes time in proportion to the store.
    #[default]
    Pages,
    /// Only that the file is ours, of a known version, not cut off, and has its tables. Damage elsewhere is found
    /// by the read that meets it. Takes the same time for a store of any size.
    Header,
}

/// What can be chosen about a [`SqliteEventStore`](super::SqliteEventStore).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteOptions {
    pub(crate) max_bytes: Option<u64>,
    pub(crate) queue: NonZeroU32,
    pub(crate) readers: NonZeroUsize,
    pub(crate) check: OpenCheck,
}

impl Default for SqliteOptions {
    /// No size limit, 256 waiting appends, two readers, everything checked when opened.
    fn default() -> Self {
        Self {
            max_bytes: None,
            queue: NonZeroU32::MIN.saturating_add(255),
            readers: NonZeroUsize::MIN.saturating_add(1),
            check: OpenCheck::default(),
        }
    }
}

impl SqliteOptions {
    /// Limits the database file to `bytes`, rounded down to whole pages. An append that would pass the limit is
    /// answered with [`AppendError::Full`](daa_core::event::AppendError::Full). The write-ahead log beside the
    /// file comes on top: a few megabytes, more while a large group commits.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// How many appends may wait for the writer; those beyond wait to be let in (back-pressure). At least one, and
    /// no more than 65,536. An append of more than a megabyte counts for each megabyte, so that memory is bounded
    /// too.
    #[must_use]
    pub fn with_queue(mut self, appends: u32) -> Self {
        self.queue = NonZeroU32::new(appends.min(1 << 16)).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// How many reads may run at once; each costs a thread and a page cache of two megabytes. At least one.
    #[must_use]
    pub fn with_readers(mut self, readers: usize) -> Self {
        self.readers = NonZeroUsize::new(readers).unwrap_or(NonZeroUsize::MIN);
        self
    }

    /// How much is checked when the store is opened.
    #[must_use]
    pub const fn with_check(mut self, check: OpenCheck) -> Self {
        self.check = check;
        self
    }
}
