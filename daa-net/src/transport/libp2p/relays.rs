//! Which relays a node asks to be reached through, while nobody can call it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::core::transport::ListenerId;

/// A relay that refused, or went, is not asked again for so long.
const PAUSE: Duration = Duration::from_secs(30);
/// How many relays are remembered; those beyond are passed over until another one goes.
const KNOWN: usize = 64;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask this relay.
    Ask(PeerId),
    /// Listen there no more.
    Stop(ListenerId),
}

/// Which relays are there, and which of them relay for this node. It does nothing by itself.
#[derive(Debug)]
pub(super) struct Relays {
    wanted: usize,
    own: PeerId,
    /// Whether others can call this node without a relay.
    is_public: bool,
    /// By how well they suit this node: each node has an order of its own, so that not all ask the same.
    known: BTreeMap<[u8; 32], PeerId>,
    used: HashMap<ListenerId, PeerId>,
    paused: HashMap<PeerId, Instant>,
}

impl Relays {
    /// So many relays are to be used at a time.
    pub(super) fn new(own: PeerId, wanted: usize) -> Self {
        Self {
            wanted,
            own,
            is_public: false,
            known: BTreeMap::new(),
            used: HashMap::new(),
            paused: HashMap::new(),
        }
    }

    fn rank(&self, relay: PeerId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("daa-net order of relays v1");
        hasher.update(&self.own.to_bytes()).update(&relay.to_bytes());
        *hasher.finalize().as_bytes()
    }

    /// A connected node that has proved itself relays.
    pub(super) fn found(&mut self, relay: PeerId) {
        if self.known.len() < KNOWN {
            self.known.insert(self.rank(relay), relay);
        }
    }

    /// A node is connected no more.
    pub(super) fn gone(&mut self, relay: PeerId) {
        self.known.remove(&self.rank(relay));
    }

    /// Whether others can call this node has turned out.
    pub(super) const fn set_public(&mut self, is_public: bool) {
        self.is_public = is_public;
    }

    /// A relay was asked.
    pub(super) fn asked(&mut self, relay: PeerId, listener: ListenerId) {
        self.used.insert(listener, relay);
    }

    /// A relay could not be asked.
    pub(super) fn failed(&mut self, relay: PeerId, now: Instant) {
        self.paused.insert(relay, now + PAUSE);
    }

    /// A relay refused, or does not relay for this node any more.
    pub(super) fn ended(&mut self, listener: ListenerId, now: Instant) {
        if let Some(relay) = self.used.remove(&listener)
            && !self.is_public
        {
            self.failed(relay, now);
        }
    }

    /// What to do next, if there is anything to do; what is asked for is to be told by [`asked`](Self::asked) or
    /// [`failed`](Self::failed).
    pub(super) fn next(&mut self, now: Instant) -> Option<Step> {
        if self.is_public {
            let listener = self.used.keys().next().copied()?;
            self.used.remove(&listener);
            return Some(Step::Stop(listener));
        }
        self.paused.retain(|_, until| *until > now);
        if self.used.len() >= self.wanted {
            return None;
        }
        let is_free = |relay: &&PeerId| {
            !self.paused.contains_key(*relay) && self.used.values().all(|used| used != *relay)
        };
        self.known.values().find(is_free).copied().map(Step::Ask)
    }

    /// When there may be something to do again.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.paused.values().min().copied().filter(|_| !self.is_public && self.used.len() < self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(relays: &mut Relays, now: Instant) -> Option<PeerId> {
        match relays.next(now)? {
            Step::Ask(relay) => Some(relay),
            Step::Stop(listener) => panic!("{listener:?} is to be stopped"),
        }
    }

    #[test]
    fn so_many_relays_are_used_as_are_wanted_and_another_one_instead_of_one_that_goes() {
        let mut relays = Relays::new(PeerId::random(), 2);
        let now = Instant::now();
        assert_eq!(relays.next(now), None);
        let peers: Vec<PeerId> = (0..4).map(|_| PeerId::random()).collect();
        peers.iter().for_each(|peer| relays.found(*peer));
        let mut used = Vec::new();
        while let Some(relay) = ask(&mut relays, now) {
            let listener = ListenerId::next();
            relays.asked(relay, listener);
            used.push((relay, listener));
        }
        assert_eq!(used.len(), 2);
        let (lost, listener) = used[0];
        relays.gone(lost);
        relays.ended(listener, now);
        let next = ask(&mut relays, now).unwrap();
        assert!(peers.contains(&next) && used.iter().all(|(relay, _)| *relay != next));
    }

    #[test]
    fn a_relay_that_refuses_is_asked_again_after_a_while() {
        let mut relays = Relays::new(PeerId::random(), 1);
        let (now, relay, listener) = (Instant::now(), PeerId::random(), ListenerId::next());
        relays.found(relay);
        relays.asked(relay, listener);
        relays.ended(listener, now);
        assert_eq!(relays.next(now), None);
        let wake = relays.next_wake().unwrap();
        assert_eq!(wake, now + PAUSE);
        assert_eq!(ask(&mut relays, wake), Some(relay));
    }

    #[test]
    fn who_can_be_called_needs_no_relay() {
        let mut relays = Relays::new(PeerId::random(), 2);
        let (now, listener) = (Instant::now(), ListenerId::next());
        let (one, other) = (PeerId::random(), PeerId::random());
        relays.found(one);
        relays.asked(one, listener);
        relays.set_public(true);
        relays.found(other);
        assert_eq!(relays.next(now), Some(Step::Stop(listener)));
        relays.ended(listener, now);
        assert_eq!(relays.next(now), None);
        // When that ends, it does not have to wait.
        relays.set_public(false);
        assert!(ask(&mut relays, now).is_some());
    }

    #[test]
    fn who_wants_no_relay_asks_none() {
        let mut relays = Relays::new(PeerId::random(), 0);
        relays.found(PeerId::random());
        assert_eq!(relays.next(Instant::now()), None);
    }

    #[test]
    fn nodes_ask_different_relays() {
        let known: Vec<PeerId> = (0..8).map(|_| PeerId::random()).collect();
        let first = |_| {
            let mut relays = Relays::new(PeerId::random(), 1);
            known.iter().for_each(|peer| relays.found(*peer));
            ask(&mut relays, Instant::now())
        };
        let asked: std::collections::HashSet<_> = (0..64).map(first).collect();
        assert!(asked.len() > 4, "{}", asked.len());
    }

    #[test]
    fn no_more_relays_are_remembered_than_there_may_be() {
        let mut relays = Relays::new(PeerId::random(), 1);
        (0..1_000).for_each(|_| relays.found(PeerId::random()));
        assert_eq!(relays.known.len(), KNOWN);
    }
}
