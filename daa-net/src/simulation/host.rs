//! A node of a simulation: its machine, and its clock.

use bytes::Bytes;
use daa_core::clock::Timestamp;

use super::{BUSY, Traffic};
use crate::machine::Machine;
use crate::node_id::NodeId;

/// When simulations begin, for a clock that is right.
const BEGIN: i64 = 1_000_000_000_000;

/// How wrong a clock is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skew {
    /// In milliseconds, from the beginning on.
    pub(crate) offset: i64,
    /// How much it is too fast, in millionths.
    pub(crate) drift: i64,
}

impl Skew {
    pub(crate) const fn new(offset: i64, drift: i64) -> Self {
        Self { offset, drift }
    }

    /// What it shows at a moment of the simulation.
    pub(crate) fn local(self, at: u64) -> Timestamp {
        let at = i64::try_from(at).expect("a moment");
        let shown = BEGIN + self.offset + at + at * self.drift / 1_000_000;
        Timestamp::from_millis(u64::try_from(shown).expect("after the epoch"))
    }

    /// The first moment of the simulation at which it shows this.
    pub(super) fn global(self, shown: Timestamp) -> u64 {
        let passed = i128::from(shown.as_millis()) - i128::from(BEGIN + self.offset);
        let guess = passed * 1_000_000 / i128::from(1_000_000 + self.drift);
        // A wake beyond the end of time is none, but must not overflow.
        let mut at = u64::try_from(guess.clamp(0, 1 << 50)).expect("in range").saturating_sub(2);
        while at < 1 << 50 && self.local(at) < shown {
            at += 1;
        }
        at
    }
}

pub(super) struct Host<M> {
    pub(super) machine: Option<M>,
    puppet: bool,
    pub(super) inbox: Vec<(NodeId, Bytes)>,
    pub(super) skew: Skew,
    /// When it is woken next.
    pub(super) wake: Option<u64>,
    /// How often it has crashed: what was under way to an earlier life is lost.
    pub(super) life: u64,
    pub(super) traffic: Traffic,
    /// The millisecond it works in, and how much it has done there.
    busy: (u64, u32),
}

impl<M: Machine> Host<M> {
    pub(super) fn new(machine: Option<M>, skew: Skew) -> Self {
        let (inbox, traffic) = (Vec::new(), Traffic::default());
        Self { machine, puppet: false, inbox, skew, wake: None, life: 0, traffic, busy: (0, 0) }
    }

    pub(super) fn puppet() -> Self {
        Self { puppet: true, ..Self::new(None, Skew::default()) }
    }

    pub(super) fn is_puppet(&self) -> bool {
        self.puppet
    }

    pub(super) fn is_up(&self) -> bool {
        self.puppet || self.machine.is_some()
    }

    pub(super) fn count(&mut self, now: u64) {
        self.busy = (now, if self.busy.0 == now { self.busy.1 + 1 } else { 0 });
        assert!(self.busy.1 < BUSY, "a machine that never comes to rest, at {now} ms");
    }
}
