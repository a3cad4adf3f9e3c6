//! Probing: directly, through others, in an order that leaves nobody out for long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::seed::Rng;

use super::wire::Message;
use super::{DEAD_FOR, MemberState, Membership, Phase};
use crate::chance::{below, shuffle};
use crate::machine::MessageError;
use crate::node_id::NodeId;

/// How many are asked to probe a member that has not answered.
const INDIRECT: usize = 3;
/// How many members are probed out of their turn at a time.
const OUT_OF_TURN: usize = 3;
/// Each so many probe intervals, a dead member is probed, and seeds where there is no member.
const LOOK_AFTER: u32 = 10;
/// The most members that are probed for others at a time, and the price of it.
const RELAYS: usize = 256;
const RELAY_PRICE: u64 = 5;

/// How far this node doubts itself, rather than others (Lifeguard, §IV-A): it waits so many times longer, and once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health(pub(super) u32);

impl Health {
    const WORST: u32 = 8;

    pub(super) fn is_worse(&mut self) {
        self.0 = (self.0 + 1).min(Self::WORST);
    }

    fn is_better(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    fn scale(self, span: Duration) -> Duration {
        span * (self.0 + 1)
    }
}

#[derive(Debug)]
struct Probe {
    target: NodeId,
    /// When others are asked; nothing once they were.
    ask: Option<Timestamp>,
    end: Timestamp,
    asked: BTreeSet<NodeId>,
    nacks: usize,
}

/// A probe for another.
#[derive(Debug)]
struct Relay {
    target: NodeId,
    origin: NodeId,
    number: u64,
    end: Timestamp,
}

#[derive(Debug)]
pub(super) struct Probes {
    pub(super) health: Health,
    /// When a probe was last answered.
    answered: Option<Timestamp>,
    next: Timestamp,
    /// When the rest is looked after.
    next_look: Timestamp,
    number: u64,
    /// Who is probed next in its turn, from the end.
    order: Vec<NodeId>,
    soon: VecDeque<NodeId>,
    running: BTreeMap<u64, Probe>,
    relays: BTreeMap<u64, Relay>,
}

impl Probes {
    pub(super) const fn new(next: Timestamp) -> Self {
        Self {
            health: Health(0),
            answered: None,
            next,
            next_look: next,
            number: 0,
            order: Vec::new(),
            soon: VecDeque::new(),
            running: BTreeMap::new(),
            relays: BTreeMap::new(),
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Whether a probe was answered in this span.
    pub(super) fn are_answered(&self, now: Timestamp, span: Duration) -> bool {
        self.answered.is_some_and(|answered| now.since(answered) <= span)
    }

    /// Probes a member out of its turn.
    pub(super) fn soon(&mut self, node: NodeId) {
        if !self.soon.contains(&node) {
            self.soon.push_back(node);
        }
    }

    /// A new member has its first turn anywhere in the order.
    pub(super) fn insert(&mut self, node: NodeId, rng: &mut Rng) {
        if !self.order.contains(&node) {
            self.order.insert(below(self.order.len() + 1, rng), node);
        }
    }

    pub(super) fn next_wake(&self) -> Timestamp {
        let probes = self.running.values().map(|probe| probe.ask.unwrap_or(probe.end));
        probes.chain(self.relays.values().map(|relay| relay.end)).fold(self.next, Timestamp::min)
    }
}

impl Membership {
    pub(super) fn probe_when_due(&mut self, now: Timestamp) {
        if now < self.probes.next {
            return;
        }
        self.probes.next = now + self.probes.health.scale(self.options.probe_interval);
        if let Some(node) = self.next_in_turn() {
            self.probe(node, now);
        }
        for _ in 0..OUT_OF_TURN {
            if let Some(node) = self.probes.soon.pop_front() {
                self.probe(node, now);
            }
        }
        if now >= self.probes.next_look {
            self.probes.next_look = now + self.options.probe_interval * LOOK_AFTER;
            self.look_after(now);
        }
    }

    fn next_in_turn(&mut self) -> Option<NodeId> {
        let is_probed = |membership: &Self, node: &NodeId| {
            membership.members.get(node).is_some_and(|entry| entry.is_probed())
        };
        while let Some(node) = self.probes.order.pop() {
            if is_probed(self, &node) {
                return Some(node);
            }
        }
        let mut order: Vec<_> =
            self.members.iter().filter(|(_, entry)| entry.is_probed()).map(|(node, _)| *node).collect();
        shuffle(&mut order, &mut self.rng);
        self.probes.order = order;
        self.probes.order.pop()
    }

    /// What is done now and then.
    fn look_after(&mut self, now: Timestamp) {
        self.wants.expire(now, &self.options);
        self.quotas.forget(now);
        self.book.expire(now);
        let gone = self.members.iter().filter(|(_, entry)| !entry.is_probed());
        let past = gone.filter(|(_, entry)| now.since(entry.since) > DEAD_FOR);
        for node in past.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.forget(&node);
        }
        let dead = self.members.iter().filter(|(_, entry)| entry.state == MemberState::Dead);
        let dead: Vec<_> = dead.map(|(node, _)| *node).collect();
        if let Some(node) = dead.get(below(dead.len(), &mut self.rng)) {
            self.probe(*node, now);
        }
        if !self.members.values().any(|entry| entry.state == MemberState::Alive) {
            self.greet_seeds();
        }
        if let Some(statement) = self.signing {
            self.effects.push_back(super::Effect::Tell(super::Output::Sign(statement)));
        }
    }

    fn probe(&mut self, target: NodeId, now: Timestamp) {
        let Some(entry) = self.members.get(&target) else { return };
        let is_running = self.probes.running.values().any(|probe| probe.target == target);
        if entry.state == MemberState::Left || is_running {
            return;
        }
        let number = self.probes.number();
        let health = self.probes.health;
        let ask = now + health.scale(self.options.probe_timeout);
        let end = now + health.scale(self.options.probe_interval);
        let probe = Probe { target, ask: Some(ask), end, asked: BTreeSet::new(), nacks: 0 };
        self.probes.running.insert(number, probe);
        let claims = self.riding(&target);
        self.send(target, Message::Ping { number, claims });
    }

    pub(super) fn acked(&mut self, from: NodeId, number: u64, now: Timestamp) {
        if let Some(relay) = self.probes.relays.get(&number).filter(|relay| relay.target == from) {
            let (origin, number_there) = (relay.origin, relay.number);
            self.probes.relays.remove(&number);
            let claims = self.riding_back(&origin);
            return self.send(origin, Message::Ack { number: number_there, claims });
        }
        let is_answer = |probe: &&Probe| probe.target == from || probe.asked.contains(&from);
        let Some(target) = self.probes.running.get(&number).filter(is_answer).map(|probe| probe.target)
        else {
            return;
        };
        self.probes.running.remove(&number);
        self.probes.health.is_better();
        self.probes.answered = Some(now);
        if self.members.get(&target).is_some_and(|entry| entry.state == MemberState::Suspect) {
            self.clear(target, now);
        }
    }

    pub(super) fn nacked(&mut self, from: NodeId, number: u64) {
        if let Some(probe) = self.probes.running.get_mut(&number)
            && probe.asked.remove(&from)
        {
            // It may still answer for the other.
            probe.asked.insert(from);
            probe.nacks += 1;
        }
    }

    /// Probes a member for another.
    pub(super) fn relay(
        &mut self,
        origin: NodeId,
        number: u64,
        target: NodeId,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        self.quotas.take(origin, RELAY_PRICE, now)?;
        self.contact(origin, now);
        let is_known = self.members.get(&target).is_some_and(|entry| entry.is_probed());
        if is_known && self.probes.relays.len() < RELAYS {
            let ours = self.probes.number();
            let end = now + self.options.probe_timeout.mul_f64(0.8);
            self.probes.relays.insert(ours, Relay { target, origin, number, end });
            let claims = self.riding_back(&target);
            self.send(target, Message::Ping { number: ours, claims });
        }
        Ok(())
    }

    pub(super) fn end_probes(&mut self, now: Timestamp) {
        let late: Vec<_> = self.probes.relays.iter().filter(|(_, relay)| relay.end <= now).collect();
        let late: Vec<_> =
            late.into_iter().map(|(ours, relay)| (*ours, relay.origin, relay.number)).collect();
        for (ours, origin, number) in late {
            self.probes.relays.remove(&ours);
            self.send(origin, Message::Nack { number });
        }
        let is_due = |probe: &Probe| probe.ask.unwrap_or(probe.end) <= now;
        let due = self.probes.running.iter().filter(|(_, probe)| is_due(probe));
        for number in due.map(|(number, _)| *number).collect::<Vec<_>>() {
            let is_ended = self.probes.running.get(&number).is_some_and(|probe| probe.end <= now);
            if is_ended { self.failed(number, now) } else { self.ask_others(number) }
        }
    }

    fn ask_others(&mut self, number: u64) {
        let Some(target) = self.probes.running.get(&number).map(|probe| probe.target) else { return };
        let is_dead = self.members.get(&target).is_some_and(|entry| entry.state == MemberState::Dead);
        let others = if is_dead { Vec::new() } else { self.pick_members(INDIRECT, Some(target)) };
        if let Some(probe) = self.probes.running.get_mut(&number) {
            probe.ask = None;
            probe.asked = others.iter().copied().collect();
        }
        for other in others {
            self.send(other, Message::Ask { number, target });
        }
    }

    fn failed(&mut self, number: u64, now: Timestamp) {
        let Some(probe) = self.probes.running.remove(&number) else { return };
        let Some(state) = self.members.get(&probe.target).map(|entry| entry.state) else { return };
        // Who gets no answer from anybody should doubt itself.
        if state != MemberState::Dead && (probe.asked.is_empty() || probe.nacks < probe.asked.len()) {
            self.probes.health.is_worse();
        }
        match state {
            MemberState::Alive => self.suspect(probe.target, now),
            MemberState::Suspect if self.suspects.get(&probe.target).is_some_and(|it| it.is_last_probe) => {
                self.die(probe.target, now);
            }
            _ => {}
        }
    }

    pub(super) fn end_suspicions(&mut self, now: Timestamp) {
        let ends = self.suspects.iter_mut().filter(|(_, it)| !it.is_last_probe && it.end() <= now);
        let mut ended = Vec::new();
        for (node, suspicion) in ends {
            suspicion.is_last_probe = true;
            ended.push(*node);
        }
        for node in ended {
            self.probe(node, now);
        }
    }

    /// A connection is gone, or there was none.
    pub(super) fn lost(&mut self, peer: NodeId, now: Timestamp) {
        for probe in self.probes.running.values_mut().filter(|probe| probe.target == peer) {
            probe.ask = probe.ask.map(|ask| ask.min(now));
        }
        let is_alive = self.members.get(&peer).is_some_and(|entry| entry.state == MemberState::Alive);
        if is_alive && self.phase == Phase::Here {
            self.probes.soon(peer);
        }
    }
}
