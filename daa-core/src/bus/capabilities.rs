//! What one bus can do and another cannot.

/// What a bus can do beyond the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Groups, their messages and dead letters outlive the process and its connection.
    pub durable: bool,
    /// A message that is published again under the same [id](super::Message::with_id) within the bus's window is
    /// dropped.
    pub deduplicates: bool,
    /// What was published can be [read again](super::EventBus::replay).
    pub history: bool,
}

impl Capabilities {
    /// None of them.
    #[must_use]
    pub const fn new() -> Self {
        Self { durable: false, deduplicates: false, history: false }
    }

    /// Sets [`Self::durable`].
    #[must_use]
    pub const fn with_durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets [`Self::deduplicates`].
    #[must_use]
    pub const fn with_deduplicates(mut self, deduplicates: bool) -> Self {
        self.deduplicates = deduplicates;
        self
    }

    /// Sets [`Self::history`].
    #[must_use]
    pub const fn with_history(mut self, history: bool) -> Self {
        self.history = history;
        self
    }
}
