//! The queue of one subscription or group: a state machine without a clock.

use std::collections::{BTreeMap, VecDeque};

use super::delivery::Settlement;
use super::message::Message;
use super::options::{Overflow, SubscribeOptions};
use super::published::Receipt;
use crate::clock::Timestamp;

/// A message and how often it was delivered.
#[derive(Debug)]
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
    /// The last consumer has left.
    Ended,
}

#[derive(Debug)]
pub(super) struct Queue {
    options: SubscribeOptions,
    ready: VecDeque<Entry>,
    /// Refused ones, by when they come again.
    refused: BTreeMap<(Timestamp, u64), Entry>,
    refusals: u64,
    in_flight: usize,
    dropped: u64,
    members: usize,
    phase: Phase,
}

impl Queue {
    pub(super) const fn new(options: SubscribeOptions) -> Self {
        Self {
            options,
            ready: VecDeque::new(),
            refused: BTreeMap::new(),
            refusals: 0,
            in_flight: 0,
            dropped: 0,
            members: 0,
            phase: Phase::Open,
        }
    }

    pub(super) const fn options(&self) -> &SubscribeOptions {
        &self.options
    }

    /// How many messages it holds, those being worked on included: never more than its capacity, so that a
    /// refused message always finds its place again.
    pub(super) fn backlog(&self) -> usize {
        self.ready.len() + self.refused.len() + self.in_flight
    }

    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
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

    fn discard(&mut self, phase: Phase) {
        self.ready.clear();
        self.refused.clear();
        self.phase = phase;
    }

    pub(super) fn offer(&mut self, message: &Message) -> Offered {
        let receipt = match self.phase {
            Phase::Cut => Receipt::Disconnected,
            Phase::Draining | Phase::Ended => Receipt::Gone,
            Phase::Open if self.backlog() < self.options.capacity => {
                self.push(message.clone());
                Receipt::Delivered { backlog: self.backlog() }
            }
            Phase::Open => return self.overflow(message),
        };
        Offered::Done(receipt)
    }

    fn push(&mut self, message: Message) {
        self.ready.push_back(Entry { message, attempts: 0 });
    }

    fn overflow(&mut self, message: &Message) -> Offered {
        let receipt = match self.options.overflow {
            Overflow::Block { .. } => return Offered::Full,
            Overflow::Disconnect => {
                self.discard(Phase::Cut);
                Receipt::Disconnected
            }
            Overflow::DropOldest if self.ready.pop_front().is_some() => {
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
        let room = self.phase == Phase::Open && self.backlog() < self.options.capacity;
        if room {
            self.push(message.clone());
        }
        room
    }

    pub(super) fn take(&mut self, now: Timestamp) -> Taken {
        if self.phase == Phase::Cut {
            return Taken::Cut;
        }
        let due = self.refused.first_entry().filter(|entry| entry.key().0 <= now).map(|entry| entry.remove());
        if let Some(mut entry) = due.or_else(|| self.ready.pop_front()) {
            self.in_flight += 1;
            entry.attempts = entry.attempts.saturating_add(1);
            return Taken::Entry(entry);
        }
        match self.refused.first_key_value() {
            Some((&(until, _), _)) => Taken::Nothing { until: Some(until) },
            None if self.phase == Phase::Open => Taken::Nothing { until: None },
            None => Taken::End,
        }
    }

    /// Takes a consumer's answer; returns the message and the error when that makes it a dead letter.
    pub(super) fn settle(
        &mut self,
        entry: Entry,
        settlement: Settlement,
        now: Timestamp,
    ) -> Option<(Entry, String)> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Settlement::Nack(error) = settlement else { return None };
        let comes_again = matches!(self.phase, Phase::Open | Phase::Draining);
        if !comes_again || entry.attempts >= self.options.max_attempts {
            return Some((entry, error));
        }
        self.refusals += 1;
        self.refused.insert((now + self.options.redelivery_delay, self.refusals), entry);
        None
    }
}
