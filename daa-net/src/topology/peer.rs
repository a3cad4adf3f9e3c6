//! What is known of another node.

use std::collections::BTreeSet;
use std::time::Duration;

use daa_core::clock::Timestamp;

use crate::record::{Role, Tier};

/// No answer is believed to come sooner: below, all are equally near.
const NEAR: Duration = Duration::from_millis(5);
/// No answer is counted as later.
const FAR: Duration = Duration::from_secs(5);
/// What is assumed of a node that was not measured.
const UNKNOWN: Duration = Duration::from_millis(200);
/// A load beyond this counts as this: nobody looks more than ten times as far as it is.
const HEAVY: u16 = 900;
/// After so many pings without an answer a node is silent.
pub(super) const MISSED: u8 = 4;

/// How busy a node is, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Load(u16);

impl Load {
    /// So many thousandths, at most all of them.
    #[must_use]
    pub const fn per_mille(thousandths: u16) -> Self {
        Self(if thousandths > 1_000 { 1_000 } else { thousandths })
    }

    /// In thousandths.
    #[must_use]
    pub const fn as_per_mille(self) -> u16 {
        self.0
    }

    /// This part of that whole; all of it, where there is no whole.
    pub(super) fn of(part: usize, whole: usize) -> Self {
        let share = part.saturating_mul(1_000).checked_div(whole).unwrap_or(1_000);
        Self(u16::try_from(share.min(1_000)).unwrap_or(1_000))
    }

    /// How long something takes that takes this long where nothing waits: the response time of an M/M/1 queue, T / (1 - load).
    pub(super) fn stretch(self, time: Duration) -> Duration {
        time * 1_000 / (1_000 - u32::from(self.0.min(HEAVY)))
    }
}

/// The one in the middle.
pub(super) fn median<T: Ord + Copy>(mut all: Vec<T>) -> Option<T> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) number: u64,
    pub(super) at: Timestamp,
}

/// What is known of another node.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) tier: Tier,
    pub(super) roles: BTreeSet<Role>,
    latency: Option<Duration>,
    /// What it says: how busy it is, and how much of its room for leaves is taken.
    told: Option<(Load, Load)>,
    pub(super) missed: u8,
    pub(super) pending: Option<Pending>,
    /// It has refused this node, which does not ask it again before.
    pub(super) refused_until: Option<Timestamp>,
}

impl Peer {
    pub(super) fn new(tier: Tier, roles: BTreeSet<Role>) -> Self {
        Self { tier, roles, latency: None, told: None, missed: 0, pending: None, refused_until: None }
    }

    /// It is asked, and did not answer what it was asked before.
    pub(super) fn asked(&mut self, number: u64, now: Timestamp) {
        if self.pending.is_some() {
            self.missed = self.missed.saturating_add(1);
        }
        self.pending = Some(Pending { number, at: now });
    }

    /// Whether this answers the last question. Only those are measured, smoothed as in RFC 6298 (§2).
    pub(super) fn answered(&mut self, number: u64, told: (Load, Load), now: Timestamp) -> bool {
        let Some(pending) = self.pending.filter(|pending| pending.number == number) else { return false };
        let sample = now.since(pending.at).min(FAR);
        self.latency = Some(self.latency.map_or(sample, |mean| (mean * 7 + sample) / 8));
        (self.told, self.missed, self.pending) = (Some(told), 0, None);
        true
    }

    pub(super) fn is_silent(&self) -> bool {
        self.missed >= MISSED
    }

    pub(super) fn is_measured(&self) -> bool {
        self.latency.is_some()
    }

    pub(super) fn latency(&self) -> Option<Duration> {
        self.latency
    }

    pub(super) fn busy(&self) -> Option<Load> {
        self.told.map(|(busy, _)| busy)
    }

    /// The worse of both.
    pub(super) fn load(&self) -> Option<Load> {
        self.told.map(|(busy, taken)| busy.max(taken))
    }

    /// What it costs to be at home there. Nobody is believed to have less to do than `floor`; super nodes and those where newcomers begin
    /// are left to others while there is a regional hub.
    pub(super) fn cost(&self, floor: Load) -> Duration {
        let load = self.load().unwrap_or(floor).max(floor);
        let cost = load.stretch(self.latency.unwrap_or(UNKNOWN).max(NEAR));
        let is_for_others = self.tier == Tier::SuperNode || self.roles.contains(&Role::Bootstrap);
        if is_for_others { cost * 2 } else { cost }
    }
}
