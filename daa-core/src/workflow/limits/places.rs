//! Who holds a place under a limit, and when places were taken: the sum of the events of a key.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::Version;
use crate::workflow::definition::{Limit, Rate};
use crate::workflow::run::Room;

/// How many events of a key there are before they are summed up, at least.
const FEW: u64 = 256;

/// What happens to a place under a limit. The holder is a run, or one of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::workflow) enum LimitEvent {
    Acquired(String),
    /// It is taken under a rate, for which it is remembered how long ago that was.
    Rated {
        holder: String,
        rate: Rate,
    },
    Released(String),
    /// The sum of all earlier events.
    Sum(Sum),
}

impl LimitEvent {
    /// Who takes a place by it.
    pub(super) fn taker(&self) -> Option<&str> {
        match self {
            Self::Acquired(holder) | Self::Rated { holder, .. } => Some(holder),
            Self::Released(_) | Self::Sum(_) => None,
        }
    }
}

/// The places of a key in a form that is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::workflow) struct Sum {
    holders: BTreeSet<String>,
    rate: Option<Rate>,
    /// When the first of the places was taken that are remembered, and how many milliseconds later each of the others.
    first: Option<Timestamp>,
    gaps: Vec<u64>,
}

/// The places of a key, as far as its stream was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) version: Version,
    /// The version of the last sum.
    summed: Version,
    holders: BTreeSet<String>,
    /// When places were taken, in ascending order.
    taken: VecDeque<Timestamp>,
    /// What is to be remembered: so many places taken in such a span, the most of all the rates that the key has.
    rate: Option<Rate>,
}

impl Places {
    pub(super) fn apply(&mut self, event: LimitEvent, at: Timestamp) {
        match event {
            LimitEvent::Acquired(holder) => self.take(holder, at),
            LimitEvent::Rated { holder, rate } => {
                self.remember(rate);
                self.take(holder, at);
            }
            LimitEvent::Released(holder) => drop(self.holders.remove(&holder)),
            LimitEvent::Sum(sum) => {
                self.holders = sum.holders;
                sum.rate.into_iter().for_each(|rate| self.remember(rate));
                self.taken.clear();
                let mut at = sum.first;
                self.taken.extend(at);
                for gap in sum.gaps {
                    at = at.map(|at| Timestamp::from_millis(at.as_millis().saturating_add(gap)));
                    self.taken.extend(at);
                }
            }
        }
    }

    fn take(&mut self, holder: String, at: Timestamp) {
        if self.holders.insert(holder) {
            // The clocks of workers differ.
            self.taken.push_back(self.taken.back().map_or(at, |&last| at.max(last)));
            if self.taken.len() > Rate::MAX as usize {
                self.taken.pop_front();
            }
        }
    }

    /// Remembers enough for a rate.
    pub(super) fn remember(&mut self, rate: Rate) {
        let most =
            self.rate.map_or(rate, |most| Rate::new(most.count.max(rate.count), most.per.max(rate.per)));
        self.rate = Some(most);
    }

    pub(super) fn is_held_by(&self, holder: &str) -> bool {
        self.holders.contains(holder)
    }

    /// Whether there is a place beside those that are pending, and if not, when there may be one.
    pub(super) fn room(&self, limit: &Limit, pending: &[Timestamp], now: Timestamp) -> Room {
        let held = self.holders.len() + pending.len();
        if limit.at_once.is_some_and(|most| held >= most.get() as usize) {
            return Room::Full { until: None };
        }
        let Some(rate) = limit.rate else { return Room::Granted };
        let past = self.taken.partition_point(|&at| at + rate.per <= now);
        let counts = || self.taken.iter().skip(past).chain(pending);
        // There is room again when all but the last of so many are past.
        let blocking = (self.taken.len() - past + pending.len()).checked_sub(rate.count.get() as usize);
        match blocking {
            None => Room::Granted,
            Some(blocking) => Room::Full { until: counts().nth(blocking).map(|&at| at + rate.per) },
        }
    }

    /// Whether there are so many events that it is time to sum them up: as many as the sum has parts.
    pub(super) fn is_long(&self) -> bool {
        let since = self.version.get().saturating_sub(self.summed.get());
        since >= FEW.max((self.holders.len() + self.taken.len()) as u64)
    }

    /// Forgets what no rate needs.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let Some(rate) = self.rate else { return self.taken.clear() };
        let past = self.taken.partition_point(|&at| at + rate.per <= now);
        let many = self.taken.len().saturating_sub(rate.count.get() as usize);
        self.taken.drain(..past.max(many));
    }

    pub(super) fn sum(&self) -> Sum {
        let gaps = self.taken.iter().zip(self.taken.iter().skip(1));
        let gaps = gaps.map(|(at, next)| next.as_millis().saturating_sub(at.as_millis()));
        Sum {
            holders: self.holders.clone(),
            rate: self.rate,
            first: self.taken.front().copied(),
            gaps: gaps.collect(),
        }
    }

    /// The sum stands in the stream at this version.
    pub(super) const fn summed_at(&mut self, version: Version) {
        self.version = version;
        self.summed = version;
    }
}
