//! Which messages were seen: none is taken twice, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daa_core::clock::Timestamp;

use super::message::{MessageId, TopicMessage};
use crate::node_id::NodeId;
use crate::record::MAX_SKEW;

/// An author has at most this share of what is remembered.
const SHARE: usize = 8;

/// The messages of the last while, by the time at which they were issued. What was issued before `horizon` is not taken, so it need
/// not be remembered: when there is too much, the horizon moves on.
#[derive(Debug)]
pub(super) struct Seen {
    max: usize,
    lifetime: Duration,
    horizon: Timestamp,
    ids: BTreeMap<MessageId, (Timestamp, NodeId)>,
    by_time: BTreeSet<(Timestamp, MessageId)>,
    authors: BTreeMap<NodeId, usize>,
}

impl Seen {
    pub(super) const fn new(max: usize, lifetime: Duration) -> Self {
        Self {
            max,
            lifetime,
            horizon: Timestamp::EPOCH,
            ids: BTreeMap::new(),
            by_time: BTreeSet::new(),
            authors: BTreeMap::new(),
        }
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains_key(id)
    }

    /// Whether a message of this time can be taken.
    pub(super) fn is_timely(&self, issued: Timestamp, now: Timestamp) -> bool {
        issued > self.horizon && issued <= now + MAX_SKEW && now < issued + self.lifetime
    }

    /// Whether it is new, and its author has room for it.
    pub(super) fn insert(&mut self, id: MessageId, message: &TopicMessage, now: Timestamp) -> bool {
        let of_author = self.authors.get(&message.author).copied().unwrap_or(0);
        let has_room = of_author < (self.max / SHARE).max(1);
        if self.contains(&id) || !self.is_timely(message.issued, now) || !has_room {
            return false;
        }
        self.ids.insert(id, (message.issued, message.author));
        self.by_time.insert((message.issued, id));
        self.authors.insert(message.author, of_author + 1);
        while self.ids.len() > self.max
            && let Some((issued, oldest)) = self.by_time.first().copied()
        {
            self.remove(issued, oldest);
        }
        true
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some((issued, id)) = self.by_time.first().copied()
            && issued + self.lifetime <= now
        {
            self.remove(issued, id);
        }
    }

    fn remove(&mut self, issued: Timestamp, id: MessageId) {
        self.horizon = self.horizon.max(issued);
        self.by_time.remove(&(issued, id));
        let Some((_, author)) = self.ids.remove(&id) else { return };
        match self.authors.get_mut(&author) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.authors.remove(&author)),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert!(self.by_time.len() == self.ids.len() && self.authors.len() <= self.ids.len());
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn message(author: u8, issued: u64) -> TopicMessage {
        TopicMessage {
            topic: "t".parse().unwrap(),
            author: NodeId::from_bytes([author; 32]),
            issued: Timestamp::from_millis(issued),
            number: 0,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn time_is_looked_at() {
        let seen = Seen::new(10, Duration::from_secs(120));
        let at = |millis: i64| {
            seen.is_timely(Timestamp::from_millis(1_000_000_u64.saturating_add_signed(millis)), NOW)
        };
        assert!(at(60_000) && !at(60_001));
        assert!(at(-119_999) && !at(-120_000));
    }

    #[test]
    fn an_author_has_a_share() {
        let mut seen = Seen::new(80, Duration::from_secs(120));
        let taken = (0..40_u8)
            .filter(|number| seen.insert(MessageId::from_bytes([*number; 32]), &message(1, 999_000), NOW));
        assert_eq!(taken.count(), 10);
        assert!(seen.insert(MessageId::from_bytes([99; 32]), &message(2, 999_000), NOW));
        seen.expire(NOW + Duration::from_secs(119));
        assert_eq!((seen.len(), seen.authors.len()), (0, 0));
    }

    proptest! {
        /// However much there is, and whatever comes again: nothing is taken twice.
        #[test]
        fn nothing_is_taken_twice(
            all in prop::collection::vec((0..60_u8, 0..9_u64), 1..300),
        ) {
            let mut seen = Seen::new(16, Duration::from_secs(120));
            let mut taken = HashSet::new();
            let mut now = NOW;
            for (number, seconds) in all {
                now = now + Duration::from_secs(seconds);
                // Time and author belong to the message.
                let issued = 900_000 + u64::from(number) * 10_000;
                let (id, message) = (MessageId::from_bytes([number; 32]), message(number / 2, issued));
                if seen.insert(id, &message, now) {
                    prop_assert!(taken.insert(id));
                }
                if seconds == 0 {
                    seen.expire(now);
                }
                prop_assert!(seen.len() <= 16);
            }
        }
    }
}
