//! What was published before.

use std::fmt;

use super::message::Message;

/// The place of a message in the history of one bus; later messages have greater ones, and places are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusPosition(u64);

impl BusPosition {
    /// For those who implement a bus.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// For those who implement a bus, and for those who keep it until the next start.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for BusPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The most messages of one page of history or of dead letters.
pub const MAX_PAGE: usize = 1024;
/// A page of history or of dead letters ends with the message that brings its payloads to so many bytes (8 MiB).
pub const MAX_PAGE_BYTES: usize = 8 << 20;

/// A page of the history of a bus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryPage {
    /// Messages and their places, oldest first.
    pub messages: Vec<(BusPosition, Message)>,
    /// Where to go on; `None` when everything published so far was looked at.
    pub next: Option<BusPosition>,
}

impl HistoryPage {
    /// For those who implement a bus.
    #[must_use]
    pub const fn new(messages: Vec<(BusPosition, Message)>, next: Option<BusPosition>) -> Self {
        Self { messages, next }
    }
}
