//! What a bus within one process keeps.

/// What a bus within one process keeps beyond its queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InProcessOptions {
    pub(super) history: usize,
    pub(super) remembered_ids: usize,
}

impl InProcessOptions {
    /// The largest history, and the most ids remembered.
    pub const MAX_KEPT: usize = 1 << 20;

    /// No history, and the ids of the latest 65,536 messages that had one.
    #[must_use]
    pub const fn new() -> Self {
        Self { history: 0, remembered_ids: 65_536 }
    }

    /// Keeps the latest messages, up to [`MAX_KEPT`](Self::MAX_KEPT), for
    /// [`EventBus::replay`](crate::bus::EventBus::replay).
    #[must_use]
    pub fn with_history(mut self, messages: usize) -> Self {
        self.history = messages.min(Self::MAX_KEPT);
        self
    }

    /// How many ids of published messages are remembered, up to [`MAX_KEPT`](Self::MAX_KEPT); with 0, a message that
    /// is published again is delivered again.
    #[must_use]
    pub fn with_remembered_ids(mut self, ids: usize) -> Self {
        self.remembered_ids = ids.min(Self::MAX_KEPT);
        self
    }
}

impl Default for InProcessOptions {
    fn default() -> Self {
        Self::new()
    }
}
