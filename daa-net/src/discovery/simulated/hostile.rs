//! Nodes that lie: they are near what is looked for, answer with each other only, and keep nothing that they say they keep.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::testing::identity;
use super::super::wire::{Body, Filling, Find, Found as Answer, Kept, Message, Want};
use super::*;
use crate::names::SignedName;

pub(in super::super) struct Hostile {
    friends: Arc<Vec<SignedRecord>>,
    /// Whom it makes itself known to.
    victims: Vec<NodeId>,
    /// What it says whose a name is.
    claim: bytes::Bytes,
    sends: VecDeque<(NodeId, Message)>,
    wakes: Timestamp,
}

impl Hostile {
    pub(super) fn new(friends: Arc<Vec<SignedRecord>>, victims: Vec<NodeId>) -> Self {
        let claim = bytes::Bytes::new();
        Self { friends, victims, claim, sends: VecDeque::new(), wakes: Timestamp::EPOCH }
    }

    pub(super) fn with_claim(mut self, claim: &SignedName) -> Self {
        self.claim = claim.as_bytes().clone();
        self
    }

    pub(super) fn receive(&mut self, from: NodeId, message: &[u8]) {
        let Ok(Message { id, body }) = Message::decode(message) else { return };
        let answer = match body {
            Body::Find(find) => Body::Found(self.answer(&find)),
            Body::Store(_) => Body::Kept(Kept::Yes),
            Body::Found(_) | Body::Kept(_) => return,
        };
        self.sends.push_back((from, Message { id, body: answer }));
    }

    fn answer(&self, find: &Find) -> Answer {
        let mut near: Vec<_> = self.friends.iter().collect();
        near.sort_by_key(|record| Key::from(record.node()).distance(&find.target));
        let name = if find.want == Want::Name { self.claim.clone() } else { bytes::Bytes::new() };
        let mut filling = Filling::new(name);
        for record in near.into_iter().take(find.count) {
            let entry = super::super::wire::Entry { node: record.node(), record: record.as_bytes().clone() };
            filling.node(entry, false);
        }
        filling.done()
    }

    pub(super) const fn next_wake(&self) -> Option<Timestamp> {
        Some(self.wakes)
    }

    pub(super) fn wake(&mut self, now: Timestamp) {
        if now < self.wakes {
            return;
        }
        self.wakes = now + HOUR;
        for victim in &self.victims {
            let target = Key::from(*victim);
            let find = Find { target, want: Want::Nodes, count: 1, knows: Vec::new() };
            self.sends.push_back((*victim, Message { id: 1, body: Body::Find(find) }));
        }
    }

    pub(super) fn poll(&mut self) -> Option<Effect<Event>> {
        let (to, message) = self.sends.pop_front()?;
        Some(Effect::Send { to, message: message.encode() })
    }
}

const HONEST: usize = 70;
const HOSTILE: usize = 30;

fn service() -> Service {
    "model/llama".parse().unwrap()
}

/// Of 3,000 identities, the 30 that are nearest to where the service is written down.
fn sybils() -> &'static [NodeIdentity] {
    static SYBILS: OnceLock<Vec<NodeIdentity>> = OnceLock::new();
    SYBILS.get_or_init(|| {
        let key = Key::of_service(&network(), &service());
        let mut all: Vec<_> = (0..3_000).map(|number| identity(1_000_000 + number)).collect();
        all.sort_by_key(|identity| Key::from(identity.node()).distance(&key));
        all.truncate(HOSTILE);
        all
    })
}

/// Of 20 honest nodes, how many find the honest provider: with so many paths, and the hostile ones in so many subnets.
fn successes(seed: u64, paths: usize, subnets: usize) -> usize {
    let options = DiscoveryOptions::default().with_paths(paths);
    let mut net = Net { sim: Simulation::new(seed).with_link(Link::rtt(50)), nodes: Vec::new() };
    let offset = 100 * seed as usize;
    for number in 0..HONEST {
        let first = net.nodes.first().copied();
        net.add(offset + number, record(1), options, first, seed);
        net.sim.run_for(100);
    }
    // The hostile ones come early, and make themselves known to all.
    let address = |turn: usize| address(60_000 + (turn % subnets) as u32);
    let friends = sybils().iter().enumerate();
    let friends: Vec<_> =
        friends.map(|(turn, sybil)| issue(record(1).with_address(address(turn)), sybil)).collect();
    let friends = Arc::new(friends);
    for sybil in sybils() {
        let hostile = Hostile::new(friends.clone(), net.nodes.clone());
        net.sim.add(sybil.node(), Peer::Hostile(hostile), Skew::default());
    }
    net.sim.run_for(60_000);
    let provider = net.add(5_000 + offset, record(1).with_service(service()), options, None, seed);
    let first = net.nodes[0];
    net.honest(provider, |machine, now| machine.bootstrap([first], now));
    net.sim.run_for(180_000);
    let seekers: Vec<_> = net.nodes[10..30].to_vec();
    seekers.into_iter().filter(|seeker| net.find_providers(*seeker, &service()).0.contains(&provider)).count()
}

/// The 30 liars are the nearest of all. Where each has a network of its own, nothing helps: nobody honest is near enough to be
/// asked.
#[test]
fn many_identities_in_few_subnets_surround_nothing() {
    let found = |subnets| (0..2).map(|seed| successes(seed, 3, subnets)).sum::<usize>();
    let (few, apart) = (found(3), found(HOSTILE));
    assert!(few >= 38 && apart <= 20, "of 40 lookups {few}, {apart}");
}
