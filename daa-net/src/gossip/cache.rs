//! Messages that are kept for those who have missed them.

use std::collections::{BTreeMap, VecDeque};

use super::message::{MessageId, SignedMessage};
use super::topic::Topic;

/// The newest messages, up to so many bytes.
#[derive(Debug)]
pub(super) struct Cache {
    max: usize,
    bytes: usize,
    messages: BTreeMap<MessageId, SignedMessage>,
    /// In the order in which they came, with the beat in which they did.
    order: VecDeque<(u64, MessageId)>,
}

impl Cache {
    pub(super) const fn new(max: usize) -> Self {
        Self { max, bytes: 0, messages: BTreeMap::new(), order: VecDeque::new() }
    }

    pub(super) fn put(&mut self, message: SignedMessage, beat: u64) {
        let id = message.id();
        self.bytes += message.size();
        if let Some(before) = self.messages.insert(id, message) {
            self.bytes -= before.size();
            return;
        }
        self.order.push_back((beat, id));
        while self.bytes > self.max && self.pop() {}
    }

    pub(super) fn message(&self, id: &MessageId) -> Option<&SignedMessage> {
        self.messages.get(id)
    }

    /// Forgets what came before this beat.
    pub(super) fn forget_before(&mut self, beat: u64) {
        while self.order.front().is_some_and(|(came, _)| *came < beat) && self.pop() {}
    }

    /// The newest messages of a topic that came in this beat or later, the newest first.
    pub(super) fn since(&self, beat: u64, topic: &Topic, max: usize) -> Vec<MessageId> {
        let newest = self.order.iter().rev().take_while(|(came, _)| *came >= beat);
        let ids = newest.map(|(_, id)| *id);
        let is_its = |id: &MessageId| self.messages.get(id).is_some_and(|it| it.message().topic == *topic);
        ids.filter(is_its).take(max).collect()
    }

    fn pop(&mut self) -> bool {
        let Some((_, id)) = self.order.pop_front() else { return false };
        self.bytes -= self.messages.remove(&id).map_or(0, |message| message.size());
        true
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        assert_eq!(self.bytes, self.messages.values().map(SignedMessage::size).sum::<usize>());
        self.bytes
    }
}
