//! What can be chosen about a store.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

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

/// Who may have the file open at the same time.
///
/// The two never mix: where a store is open in one way, opening it in the other is answered with
/// [`OpenError::InUse`](crate::open::OpenError::InUse).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sharing {
    /// One store at a time.
    #[default]
    Exclusive,
    /// Any number of stores, in one process or in several of the same machine, on a local disk: they share memory
    /// beside the file, which a network file system has not.
    Processes,
}

/// What can be chosen about a [`SqliteEventStore`](super::SqliteEventStore).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteOptions {
    pub(crate) max_bytes: Option<u64>,
    pub(crate) queue: NonZeroU32,
    pub(crate) readers: NonZeroUsize,
    pub(crate) check: OpenCheck,
    pub(crate) sharing: Sharing,
    pub(crate) patience: Duration,
    pub(crate) poll: Duration,
}

impl Default for SqliteOptions {
    /// No size limit, 256 waiting appends, two readers, everything checked when opened, not shared; where it is
    /// shared, five seconds of patience and ten milliseconds between two looks.
    fn default() -> Self {
        Self {
            max_bytes: None,
            queue: NonZeroU32::MIN.saturating_add(255),
            readers: NonZeroUsize::MIN.saturating_add(1),
            check: OpenCheck::default(),
            sharing: Sharing::default(),
            patience: Duration::from_secs(5),
            poll: Duration::from_millis(10),
        }
    }
}

impl SqliteOptions {
    /// Limits the database file to `bytes`, rounded down to whole pages. An append that would pass the limit is
    /// answered with [`AppendError::Full`](daa_core::event::AppendError::Full). The write-ahead log beside the
    /// file comes on top: a few megabytes, more while a large group commits. It binds the appends of this store;
    /// others that share the file have limits of their own.
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

    /// Who may have the file open at the same time.
    #[must_use]
    pub const fn with_sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// How long a store with [`Sharing::Processes`] waits for others: an append for its turn to write, after which
    /// it is answered with [`AppendError::Unavailable`](daa_core::event::AppendError::Unavailable) and nothing is
    /// written; and opening for another that is being opened, after which it is answered with
    /// [`OpenError::InUse`](crate::open::OpenError::InUse). At most a minute.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience.min(Duration::from_secs(60));
        self
    }

    /// How often a store with [`Sharing::Processes`] looks for what others appended; its subscriptions learn of it
    /// after that time at the latest. Reads see it at once. At least a millisecond; a look takes some
    /// microseconds.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval.max(Duration::from_millis(1));
        self
    }
}
