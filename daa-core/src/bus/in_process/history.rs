//! The latest messages of a bus.

use std::collections::VecDeque;

use crate::bus::history::{BusPosition, HistoryPage, MAX_PAGE, MAX_PAGE_BYTES};
use crate::bus::message::Message;
use crate::bus::pattern::TopicPattern;

#[derive(Debug)]
pub(super) struct History {
    kept: VecDeque<Message>,
    /// The position of the first one kept.
    first: u64,
    capacity: usize,
}

impl History {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { kept: VecDeque::new(), first: 1, capacity }
    }

    pub(super) fn push(&mut self, message: Message) {
        if self.kept.len() >= self.capacity && self.kept.pop_front().is_some() {
            self.first += 1;
        }
        self.kept.push_back(message);
    }

    pub(super) fn page(
        &self,
        pattern: &TopicPattern,
        after: Option<BusPosition>,
        limit: usize,
    ) -> HistoryPage {
        let passed = after.map_or(0, |after| after.value().saturating_add(1).saturating_sub(self.first));
        let passed = usize::try_from(passed).unwrap_or(usize::MAX);
        let places = (self.first..).map(BusPosition::new).zip(&self.kept).skip(passed);
        let mut wanted = places.filter(|(_, message)| pattern.matches(message.topic())).peekable();
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while messages.len() < limit.min(MAX_PAGE) && bytes < MAX_PAGE_BYTES {
            let Some((at, message)) = wanted.next() else { break };
            bytes += message.payload().len();
            messages.push((at, message.clone()));
        }
        let last = messages.last().map(|&(at, _)| at).or(after);
        HistoryPage::new(messages, wanted.peek().and(last))
    }
}
