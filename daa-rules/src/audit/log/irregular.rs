//! What stands in a log that should not have come about: for those who watch over it, and those who check it.

use daa_core::id::StreamId;

use crate::audit::record::{Content, Record};

/// Records of events that should have been otherwise. They are in the log like all others, and prove what they say.
///
/// A log whose gates write salts, and into whose store nobody else writes, has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Irregularities {
    /// Events that could not be understood: [`Content::Undecoded`].
    pub undecoded: u64,
    /// Events that nothing blinds: [`Content::Unblinded`].
    pub unblinded: u64,
    /// Events that are not bound: [`Content::Unbound`].
    pub unbound: u64,
    /// Events that were erased before they were recorded: [`Content::Erased`].
    pub erased: u64,
    /// The number of the first such record.
    pub first: Option<u64>,
}

impl Irregularities {
    /// Counts a record, if it is one of these.
    pub fn note(&mut self, index: u64, record: &Record) {
        let count = match record.content {
            Content::Blinded | Content::Public => return,
            Content::Undecoded => &mut self.undecoded,
            Content::Unblinded => &mut self.unblinded,
            Content::Unbound => &mut self.unbound,
            Content::Erased => &mut self.erased,
        };
        *count += 1;
        self.first.get_or_insert(index);
    }

    /// How many there are.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.undecoded + self.unblinded + self.unbound + self.erased
    }

    /// Counts those of records that come behind.
    pub(super) fn add(&mut self, later: &Self) {
        let Self { undecoded, unblinded, unbound, erased, first } = *later;
        self.undecoded += undecoded;
        self.unblinded += unblinded;
        self.unbound += unbound;
        self.erased += erased;
        self.first = self.first.or(first);
    }

    /// Tells whoever listens: once a checkpoint, however many there are.
    pub(super) fn tell(&self, log: &StreamId) {
        let Self { undecoded, unblinded, unbound, erased, first } = *self;
        if let Some(first) = first {
            tracing::warn!(%log, first, undecoded, unblinded, unbound, erased, "recorded irregular events");
        }
    }
}
