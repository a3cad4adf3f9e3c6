//! Which messages were seen: none is taken twice, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daa_core::clock::Timestamp;

use super::message::{MessageId, TopicMessage};
use crate::node_id::NodeId;
use crate::record::MAX_SKEW;

/// An author has at most this share of what is remembered; and so have all messages that are early by about as much.
const SHARE: usize = 8;

/// How early messages are that count together: the earlier they are the longer they take up room, so those that are early by little
/// have some that nobody else gets. Together they have half of all room.
const EARLY: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16), MAX_SKEW];

/// The messages of the last while, by the time at which they were issued. What was issued before `horizon` is not taken, so it need
/// not be remembered: when there is too much, the horizon moves on.
///
/// The horizon is never later than now, whatever authors say that it is. So those who say that it is later have at most the room
/// that there is for what is early, and push nobody out.
#[derive(Debug)]
pub(super) struct Seen {
    max: usize,
    lifetime: Duration,
    horizon: Timestamp,
    /// The latest time there was. What was issued after it is early.
    now: Timestamp,
    /// Those that are early, and as which of [`EARLY`] they came.
    early: BTreeMap<(Timestamp, MessageId), usize>,
    early_counts: [usize; EARLY.len()],
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
            now: Timestamp::EPOCH,
            early: BTreeMap::new(),
            early_counts: [0; EARLY.len()],
            ids: BTreeMap::new(),
            by_time: BTreeSet::new(),
            authors: BTreeMap::new(),
        }
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains_key(id)
    }

    /// What is not early any more.
    fn settle(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(first) = self.early.first_entry().filter(|first| first.key().0 <= self.now) {
            let class = first.remove();
            if let Some(count) = self.early_counts.get_mut(class) {
                *count -= 1;
            }
        }
    }

    /// As which of [`EARLY`] a message counts, if it is early.
    fn class(&self, issued: Timestamp) -> Option<usize> {
        let by = issued.since(self.now);
        (issued > self.now).then(|| EARLY.iter().position(|most| by <= *most)).flatten()
    }

    fn share(&self) -> usize {
        (self.max / SHARE).max(1)
    }

    /// Whether a message of this time can be taken.
    pub(super) fn is_timely(&mut self, issued: Timestamp, now: Timestamp) -> bool {
        self.settle(now);
        let of_class = self.class(issued).and_then(|class| self.early_counts.get(class));
        issued > self.horizon
            && issued <= now + MAX_SKEW
            && now < issued + self.lifetime
            && of_class.is_none_or(|count| *count < self.share())
    }

    /// Whether it is new, and its author has room for it.
    pub(super) fn insert(&mut self, id: MessageId, message: &TopicMessage, now: Timestamp) -> bool {
        let of_author = self.authors.get(&message.author).copied().unwrap_or(0);
        if self.contains(&id) || !self.is_timely(message.issued, now) || of_author >= self.share() {
            return false;
        }
        // Where there is room for next to nothing, all of it may be taken by what is early; that cannot make room.
        let is_early = |oldest: &(Timestamp, MessageId)| oldest.0.min(message.issued) > self.now;
        if self.ids.len() >= self.max && self.by_time.first().is_some_and(is_early) {
            return false;
        }
        if let Some(class) = self.class(message.issued) {
            self.early.insert((message.issued, id), class);
            if let Some(count) = self.early_counts.get_mut(class) {
                *count += 1;
            }
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
        self.settle(now);
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
        assert!(self.horizon <= self.now && self.early.len() == self.early_counts.iter().sum::<usize>());
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
        let mut seen = Seen::new(10, Duration::from_secs(120));
        let mut at = |millis: i64| {
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

    #[test]
    fn what_is_early_has_half_of_the_room_and_what_is_so_by_little_its_own_part_of_it() {
        let mut seen = Seen::new(64, Duration::from_secs(120));
        let mut number = 0;
        let mut taken = |seen: &mut Seen, early: u64, now: Timestamp| {
            let one = |_| {
                number += 1;
                let message = message(number, now.as_millis() + early);
                seen.insert(MessageId::from_bytes([number; 32]), &message, now)
            };
            (0..20).map(one).filter(|taken| *taken).count()
        };
        let early = [60_000, 16_001, 16_000, 4_000, 1_000].map(|early| taken(&mut seen, early, NOW));
        assert_eq!(early, [8, 0, 8, 8, 8]);
        assert_eq!(taken(&mut seen, 0, NOW), 20);
        // Their time has come.
        let later = NOW + Duration::from_secs(16);
        let early = [60_000, 16_000, 4_000, 1_000].map(|early| taken(&mut seen, early, later));
        assert_eq!(early, [0, 8, 8, 8]);
        seen.expire(NOW + Duration::from_secs(300));
        assert_eq!((seen.len(), seen.early.len()), (0, 0));
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
