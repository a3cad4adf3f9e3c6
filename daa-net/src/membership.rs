//! Who is there: SWIM (Das, Gupta, Motivala 2002) with suspicion, refutation and Lifeguard's local health (Dadgar et al. 2018), for
//! members that need not believe each other.
//!
//! What others say is a hint, and leads to no more than a probe, or to asking for proof. That a member is there, and that it goes, only
//! itself can say, signed; that it is dead, each node finds out by itself, directly and through others.

mod claims;
mod items;
mod member;
mod options;
mod probing;
mod rumours;
mod statement;
mod suspicion;
#[cfg(test)]
mod tests;
mod wants;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::seed::{Rng, Seed};
use daa_crypto::CryptoSuite;

use crate::chance::{share, shuffle};
use crate::machine::{Effect, Machine, MessageError};
use crate::network::NetworkName;
use crate::node_id::NodeId;
use crate::quota::{Quotas, Rate};
use crate::record::{BookOptions, RecordBook, SignedRecord};

pub use member::{Member, MemberState, MembershipEvent};
pub use options::MembershipOptions;

pub(crate) use statement::{SignedStatement, Statement};

use claims::FIRST;
use member::Entry;
use probing::Probes;
use rumours::Rumours;
use statement::Kind;
use suspicion::Suspicion;
use wants::Wants;
use wire::Message;

/// What a peer may ask at once, and in a second: a message is one, what has to be verified or looked up more.
const BURST: u64 = 400;
const PER_SECOND: u64 = 100;
/// The price of a statement or record that nobody asked for.
const UNASKED: u64 = 10;
/// So many claims of a comparison cost one more.
const CLAIMS: u64 = 16;
/// How many members hear directly that this node goes.
const FAREWELLS: usize = 8;
/// How many are told directly that this node is alive after all, and how many nodes it joins by.
const MAX_NAMED: usize = 64;
/// How long a dead member is remembered, and probed now and then.
const DEAD_FOR: Duration = Duration::from_secs(3_600);

/// What membership tells the rest of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Event(MembershipEvent),
    /// To sign this and hand it to [`Membership::signed`]. It is told again while that does not happen.
    Sign(Statement),
    /// Others have a record of this node of this version, which it has signed and does not know any more: to issue one above it.
    Renew(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Here,
    Leaving,
    Left,
}

/// A node's view of who is there.
#[derive(Debug)]
pub(crate) struct Membership {
    options: MembershipOptions,
    suite: CryptoSuite,
    network: NetworkName,
    record: SignedRecord,
    phase: Phase,
    /// The last statement of this node.
    own: Option<SignedStatement>,
    /// The highest incarnation of this node that there ever was, as far as it knows.
    incarnation: u64,
    signing: Option<Statement>,
    /// Statements have a distance, so that accusers cannot make this node busy.
    next_statement: Timestamp,
    is_accused: bool,
    /// Those who are told of the next statement directly.
    accusers: BTreeSet<NodeId>,
    seeds: BTreeSet<NodeId>,
    members: BTreeMap<NodeId, Entry>,
    suspects: BTreeMap<NodeId, Suspicion>,
    book: RecordBook,
    rumours: Rumours,
    probes: Probes,
    wants: Wants,
    quotas: Quotas,
    next_sync: Timestamp,
    /// Where the next comparison begins.
    sync_from: NodeId,
    rng: Rng,
    effects: VecDeque<Effect<Output>>,
}

impl Membership {
    /// The membership of the node whose record this is.
    pub(crate) fn new(
        options: MembershipOptions,
        suite: CryptoSuite,
        network: NetworkName,
        record: SignedRecord,
        seed: Seed,
        now: Timestamp,
    ) -> Self {
        let mut rng = seed.rng();
        let jitter = |rng: &mut Rng, interval: Duration| interval.mul_f64(share(rng));
        let first_probe = now + jitter(&mut rng, options.probe_interval);
        let next_sync = now + jitter(&mut rng, options.sync_interval);
        let mut new = Self {
            options,
            suite,
            network,
            record,
            phase: Phase::Here,
            own: None,
            incarnation: 0,
            signing: None,
            next_statement: now,
            is_accused: false,
            accusers: BTreeSet::new(),
            seeds: BTreeSet::new(),
            members: BTreeMap::new(),
            suspects: BTreeMap::new(),
            book: RecordBook::new(BookOptions::default().with_records(options.members)),
            rumours: Rumours::default(),
            probes: Probes::new(first_probe),
            wants: Wants::default(),
            quotas: Quotas::new(Rate::per_second(PER_SECOND, BURST)),
            next_sync,
            sync_from: FIRST,
            rng,
            effects: VecDeque::new(),
        };
        new.state(Kind::Alive, now);
        new
    }

    pub(crate) fn node(&self) -> NodeId {
        self.record.node()
    }

    /// Joins the network by these nodes, at most 64, which are asked again while there is no member.
    pub(crate) fn join(&mut self, seeds: impl IntoIterator<Item = NodeId>) {
        let me = self.node();
        let room = MAX_NAMED.saturating_sub(self.seeds.len());
        self.seeds.extend(seeds.into_iter().filter(|seed| *seed != me).take(room));
        self.greet_seeds();
    }

    /// Tells the members that this node goes. Once that is done it says and hears nothing any more.
    pub(crate) fn leave(&mut self, now: Timestamp) {
        if self.phase == Phase::Here {
            self.phase = Phase::Leaving;
            self.state(Kind::Left, now);
        }
    }

    /// Whether it has said that it goes.
    #[cfg(test)]
    pub(crate) fn has_left(&self) -> bool {
        self.phase == Phase::Left
    }

    /// This node has a newer record. An older one is passed over.
    pub(crate) fn set_record(&mut self, record: SignedRecord) {
        if record.node() == self.node() && record.record().version > self.record.record().version {
            self.record = record;
        }
    }

    /// What was to be signed.
    pub(crate) fn signed(&mut self, statement: SignedStatement, now: Timestamp) {
        if self.signing != Some(statement.statement()) {
            return;
        }
        self.signing = None;
        let is_first = self.own.is_none();
        self.own = Some(statement);
        let told = match self.phase {
            Phase::Leaving => {
                self.phase = Phase::Left;
                self.pick_members(FAREWELLS, None)
            }
            _ => std::mem::take(&mut self.accusers).into_iter().collect(),
        };
        for peer in told {
            let items =
                self.item(&self.node(), Some(self.record.record().version), now).into_iter().collect();
            self.send(peer, Message::Have { items });
        }
        if is_first {
            self.greet_seeds();
        }
    }

    /// All members there are and were, this node left out.
    #[cfg(test)]
    pub(crate) fn members(&self) -> impl Iterator<Item = Member> {
        self.members.iter().map(|(node, entry)| Member {
            node: *node,
            state: entry.state,
            since: entry.since,
        })
    }

    /// One of them.
    pub(crate) fn member(&self, node: &NodeId) -> Option<Member> {
        let entry = self.members.get(node)?;
        Some(Member { node: *node, state: entry.state, since: entry.since })
    }

    /// The newest record of a member, unless it has expired.
    pub(crate) fn record(&self, node: &NodeId, now: Timestamp) -> Option<&SignedRecord> {
        self.book.record(node, now)
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.effects.push_back(Effect::Send { to, message: message.encode() });
    }

    fn tell(&mut self, event: MembershipEvent) {
        self.effects.push_back(Effect::Tell(Output::Event(event)));
    }

    /// Wants a statement to be signed: a new one, unless one is being signed that says the same.
    fn state(&mut self, kind: Kind, now: Timestamp) {
        if self.signing.is_some_and(|signing| signing.kind == kind) {
            return;
        }
        let incarnation = now.as_millis().max(self.incarnation.saturating_add(1));
        self.incarnation = incarnation;
        let statement = Statement { node: self.node(), incarnation, kind };
        self.signing = Some(statement);
        self.next_statement = now + self.options.probe_interval;
        self.is_accused = false;
        self.effects.push_back(Effect::Tell(Output::Sign(statement)));
    }

    /// Somebody doubts that this node is alive: as soon as it may, it says that it is.
    fn refute(&mut self, accuser: NodeId, now: Timestamp) {
        if self.accusers.len() < MAX_NAMED {
            self.accusers.insert(accuser);
        }
        if self.phase == Phase::Here && self.signing.is_none() && !self.is_accused {
            self.is_accused = true;
            // Who is answered is well, whatever others say.
            if !self.probes.are_answered(now, self.options.probe_interval * 3) {
                self.probes.health.is_worse();
            }
            self.refute_when_due(now);
        }
    }

    fn refute_when_due(&mut self, now: Timestamp) {
        if self.is_accused && now >= self.next_statement && self.phase == Phase::Here {
            self.state(Kind::Alive, now);
        }
    }

    // What is known of members.

    /// A member has said something to us.
    fn contact(&mut self, node: NodeId, now: Timestamp) {
        let Some(entry) = self.members.get_mut(&node) else { return };
        entry.heard = Some(now);
        match entry.state {
            MemberState::Suspect => self.clear(node, now),
            // It comes back when it has signed that it is there; what it knows can be had now.
            MemberState::Dead
                if entry.synced.is_none_or(|at| now.since(at) > self.options.probe_interval * 5) =>
            {
                self.sync(node, now);
            }
            _ => {}
        }
    }

    fn clear(&mut self, node: NodeId, now: Timestamp) {
        if let Some(entry) = self.members.get_mut(&node) {
            (entry.state, entry.since) = (MemberState::Alive, now);
            self.suspects.remove(&node);
            self.rumours.remove(&node);
            self.tell(MembershipEvent::Refuted(node));
        }
    }

    fn suspect(&mut self, node: NodeId, now: Timestamp) {
        if let Some(entry) = self.members.get_mut(&node) {
            (entry.state, entry.since) = (MemberState::Suspect, now);
            let alive = self.members.values().filter(|entry| entry.is_probed()).count();
            self.suspects.insert(node, Suspicion::new(now, alive, self.options.probe_interval));
            self.spread(&node);
            self.tell(MembershipEvent::Suspected(node));
        }
    }

    fn die(&mut self, node: NodeId, now: Timestamp) {
        if let Some(entry) = self.members.get_mut(&node) {
            (entry.state, entry.since) = (MemberState::Dead, now);
            self.suspects.remove(&node);
            self.spread(&node);
            self.tell(MembershipEvent::Died(node));
        }
    }

    fn forget(&mut self, node: &NodeId) {
        self.members.remove(node);
        self.suspects.remove(node);
        self.rumours.remove(node);
        self.book.release(node);
    }

    /// Whether there is room for one more: who is gone for the longest time makes room.
    fn make_room(&mut self) -> bool {
        if self.members.len() < self.options.members {
            return true;
        }
        let gone = self.members.iter().filter(|(_, entry)| !entry.is_probed());
        match gone.min_by_key(|(_, entry)| entry.since).map(|(node, _)| *node) {
            Some(node) => {
                self.forget(&node);
                true
            }
            None => false,
        }
    }

    /// So many members that are alive, at random.
    fn pick_members(&mut self, count: usize, but: Option<NodeId>) -> Vec<NodeId> {
        let alive = self.members.iter().filter(|(_, entry)| entry.state == MemberState::Alive);
        let mut alive: Vec<_> = alive.map(|(node, _)| *node).filter(|node| Some(*node) != but).collect();
        shuffle(&mut alive, &mut self.rng);
        alive.truncate(count);
        alive
    }

    fn greet_seeds(&mut self) {
        for seed in self.seeds.clone() {
            let (number, claims) = (self.probes.number(), self.riding_back(&seed));
            self.send(seed, Message::Ping { number, claims });
        }
    }
}

impl Machine for Membership {
    type Event = Output;

    fn receive(&mut self, from: NodeId, message: &[u8], now: Timestamp) -> Result<(), MessageError> {
        if self.phase == Phase::Left || from == self.node() {
            return Ok(());
        }
        self.quotas.take(from, 1, now)?;
        match Message::decode(message)? {
            Message::Ping { number, claims } => {
                self.contact(from, now);
                let claims_back = self.riding_back(&from);
                self.send(from, Message::Ack { number, claims: claims_back });
                self.hear_all(from, &claims, now);
            }
            Message::Ack { number, claims } => {
                self.acked(from, number, now);
                self.contact(from, now);
                self.hear_all(from, &claims, now);
            }
            Message::Ask { number, target } => self.relay(from, number, target, now)?,
            Message::Nack { number } => self.nacked(from, number),
            Message::Sync { from: first, to: last, claims } => {
                self.quotas.take(from, UNASKED + claims.len() as u64 / CLAIMS, now)?;
                self.contact(from, now);
                self.compare(from, (first, last), &claims);
                self.hear_all(from, &claims, now);
            }
            Message::Differ { claims } => {
                self.quotas.take(from, claims.len() as u64 / CLAIMS, now)?;
                self.hear_all(from, &claims, now);
            }
            Message::Want { claims } => self.give(from, &claims, now)?,
            Message::Have { items } => self.take(from, &items, now)?,
        }
        Ok(())
    }

    fn connected(&mut self, peer: NodeId, _: Timestamp) {
        if self.phase == Phase::Here && !self.members.contains_key(&peer) && peer != self.node() {
            let (number, claims) = (self.probes.number(), self.riding_back(&peer));
            self.send(peer, Message::Ping { number, claims });
        }
    }

    fn disconnected(&mut self, peer: NodeId, now: Timestamp) {
        if self.phase != Phase::Left {
            self.lost(peer, now);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        if self.phase == Phase::Left {
            return None;
        }
        let refutation = self.is_accused.then_some(self.next_statement);
        let suspicions = self.suspects.values().filter(|suspicion| !suspicion.is_last_probe);
        let times = suspicions.map(Suspicion::end).chain(refutation).chain([self.next_sync]);
        times.chain([self.probes.next_wake()]).min()
    }

    fn wake(&mut self, now: Timestamp) {
        if self.phase == Phase::Left {
            return;
        }
        self.refute_when_due(now);
        self.end_suspicions(now);
        self.end_probes(now);
        self.probe_when_due(now);
        if now >= self.next_sync {
            let half = self.options.sync_interval / 2;
            self.next_sync = now + half + (half * 2).mul_f64(share(&mut self.rng));
            if let Some(with) = self.pick_members(1, None).pop() {
                self.sync(with, now);
            }
        }
    }

    fn poll(&mut self) -> Option<Effect<Output>> {
        self.effects.pop_front()
    }
}
