//! The queue of one subscription or group: a state machine without a clock.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::delivery::Settlement;
use super::message::Message;
use super::options::{Overflow, SubscribeOptions};
use super::published::Receipt;
use crate::clock::Timestamp;
use crate::id::OrderingKey;

/// A message and how often it was delivered.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) message: Message,
    pub(super) attempts: u32,
}

/// What became of an offered message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// The last word.
    Done(Receipt),
    /// There is no room, and the publisher is to wait for it.
    Full,
}

/// What a consumer gets.
#[derive(Debug)]
pub(super) enum Taken {
    /// A message to work on.
    Entry(Entry),
    /// Nothing now; at this time a message comes again, if one does.
    Nothing { until: Option<Timestamp> },
    /// The subscription is cut off.
    Cut,
    /// There will never be another one.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The bus is closed: what is queued may still be taken.
    Draining,
    /// The consumer was too slow.
    Cut,
    /// The last consumer has left, or the group was removed.
    Ended,
}

#[derive(Debug)]
pub(super) struct Queue {
    options: SubscribeOptions,
    ready: VecDeque<Entry>,
    /// The keys that somebody works on, or that wait for one that comes again, and what is behind it.
    busy: HashMap<OrderingKey, VecDeque<Entry>>,
    /// What was behind the last one of its key, and is next. Its key is still busy.
    released: VecDeque<Entry>,
    /// Refused ones, by when they come again. Their keys are still busy.
    refused: BTreeMap<(Timestamp, u64), Entry>,
    refusals: u64,
    /// All of them, those in consumers' hands included.
    len: usize,
    in_flight: usize,
    dropped: u64,
    lapsed: u64,
    members: usize,
    phase: Phase,
}

impl Queue {
    pub(super) fn new(options: SubscribeOptions) -> Self {
        Self {
            options,
            ready: VecDeque::new(),
            busy: HashMap::new(),
            released: VecDeque::new(),
            refused: BTreeMap::new(),
            refusals: 0,
            len: 0,
            in_flight: 0,
            dropped: 0,
            lapsed: 0,
            members: 0,
            phase: Phase::Open,
        }
    }

    pub(super) const fn options(&self) -> &SubscribeOptions {
        &self.options
    }

    /// How many messages it holds, those being worked on included: never more than its capacity, so that a
    /// refused message always finds its place again.
    pub(super) const fn backlog(&self) -> usize {
        self.len
    }

    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) const fn lapsed(&self) -> u64 {
        self.lapsed
    }

    pub(super) const fn members(&self) -> usize {
        self.members
    }

    pub(super) const fn join(&mut self) {
        self.members += 1;
    }

    /// A consumer leaves; `true` when it was the last one.
    pub(super) fn leave(&mut self) -> bool {
        self.members = self.members.saturating_sub(1);
        if self.members == 0 {
            self.discard(Phase::Ended);
        }
        self.members == 0
    }

    pub(super) fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Draining;
        }
    }

    pub(super) fn end(&mut self) {
        self.discard(Phase::Ended);
    }

    fn discard(&mut self, phase: Phase) {
        self.ready.clear();
        self.busy.clear();
        self.released.clear();
        self.refused.clear();
        self.len = self.in_flight;
        self.phase = phase;
    }

    pub(super) fn offer(&mut self, message: &Message) -> Offered {
        let receipt = match self.phase {
            Phase::Cut => Receipt::Disconnected,
            Phase::Draining | Phase::Ended => Receipt::Gone,
            Phase::Open if self.has_room() => {
                self.push(message.clone());
                Receipt::Delivered { backlog: self.backlog() }
            }
            Phase::Open => return self.overflow(message),
        };
        Offered::Done(receipt)
    }

    const fn has_room(&self) -> bool {
        self.len < self.options.capacity
    }

    fn push(&mut self, message: Message) {
        self.ready.push_back(Entry { message, attempts: 0 });
        self.len += 1;
    }

    fn overflow(&mut self, message: &Message) -> Offered {
        let receipt = match self.options.overflow {
            Overflow::Block { .. } => return Offered::Full,
            Overflow::Disconnect => {
                self.discard(Phase::Cut);
                Receipt::Disconnected
            }
            Overflow::DropOldest if self.ready.pop_front().is_some() => {
                self.len -= 1;
                self.push(message.clone());
                self.dropped += 1;
                Receipt::DroppedOldest { dropped: self.dropped }
            }
            Overflow::DropOldest | Overflow::DropNewest => {
                self.dropped += 1;
                Receipt::DroppedNewest { dropped: self.dropped }
            }
        };
        Offered::Done(receipt)
    }

    /// Puts a dead letter back, if there is room.
    pub(super) fn put_back(&mut self, message: &Message) -> bool {
        let room = self.phase == Phase::Open && self.has_room();
        if room {
            self.push(message.clone());
        }
        room
    }

    /// `now` is asked for only when something depends on it.
    pub(super) fn take(&mut self, now: impl Fn() -> Timestamp) -> Taken {
        if self.phase == Phase::Cut {
            return Taken::Cut;
        }
        while let Some(mut entry) = self.next_entry(&now) {
            if entry.message.deadline().is_some() && entry.message.has_lapsed(now()) {
                self.lapsed += 1;
                self.forget(&entry);
                continue;
            }
            self.in_flight += 1;
            entry.attempts = entry.attempts.saturating_add(1);
            return Taken::Entry(entry);
        }
        match self.refused.first_key_value() {
            Some((&(until, _), _)) => Taken::Nothing { until: Some(until) },
            // Some may be behind one that somebody works on.
            None if self.phase == Phase::Open || self.len > self.in_flight => Taken::Nothing { until: None },
            None => Taken::End,
        }
    }

    /// The next one whose turn it is; its key is busy from then on.
    fn next_entry(&mut self, now: impl Fn() -> Timestamp) -> Option<Entry> {
        if let Some(first) = self.refused.first_entry()
            && first.key().0 <= now()
        {
            return Some(first.remove());
        }
        if let Some(entry) = self.released.pop_front() {
            return Some(entry);
        }
        while let Some(entry) = self.ready.pop_front() {
            let Some(key) = entry.message.key() else { return Some(entry) };
            if let Some(behind) = self.busy.get_mut(key) {
                behind.push_back(entry);
            } else {
                self.busy.insert(key.clone(), VecDeque::new());
                return Some(entry);
            }
        }
        None
    }

    /// An entry is gone for good: the next one of its key may be taken.
    fn forget(&mut self, entry: &Entry) {
        self.len = self.len.saturating_sub(1);
        let Some(key) = entry.message.key() else { return };
        match self.busy.get_mut(key).map(VecDeque::pop_front) {
            Some(Some(next)) => self.released.push_back(next),
            Some(None) => drop(self.busy.remove(key)),
            None => {}
        }
    }

    /// Takes a consumer's answer; returns the error when that makes the message a dead letter.
    pub(super) fn settle(
        &mut self,
        entry: &Entry,
        settlement: Settlement,
        now: impl Fn() -> Timestamp,
    ) -> Option<String> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let open = matches!(self.phase, Phase::Open | Phase::Draining);
        match settlement {
            Settlement::Nack(_) if open && entry.attempts < self.options.max_attempts => {
                self.refusals += 1;
                let due = now() + self.options.backoff.after(entry.attempts);
                self.refused.insert((due, self.refusals), entry.clone());
                None
            }
            Settlement::Ack => {
                self.forget(entry);
                None
            }
            Settlement::Nack(error) | Settlement::Reject(error) => {
                self.forget(entry);
                Some(error)
            }
        }
    }
}
