//! Discovery as a machine: what came, what is due, and what is to be done about it.

mod ask;
mod search;
mod serve;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::seed::Seed;
use daa_crypto::CryptoSuite;
use multiaddr::Multiaddr;

use super::key::Key;
use super::pace::Pace;
use super::provider::{ProviderRecord, ProviderStore, StoreBounds};
use super::table::{RoutingTable, Seen};
use super::wire::{Body, Message, Want};
use super::{BootstrapList, Busy, Candidate, DiscoveryOptions, Event, LookupId, Sighting};
use crate::machine::{Effect, Machine, MessageError};
use crate::names::{Name, NameStore, SignedName};
use crate::network::NetworkName;
use crate::node_id::NodeId;
use crate::quota::{Rate, Taken};
use crate::record::{BookOptions, RecordBook, Service, SignedRecord};
use crate::subnet::Subnet;

use ask::Asking;
use search::{Goal, Running};
use upkeep::Upkeep;

/// What one peer may ask, and all of them: an answer has up to 128 KiB.
const FINDS: (Rate, Rate) = (
    Rate { each: Duration::from_millis(40), burst: 200 },
    Rate { each: Duration::from_millis(2), burst: 1_000 },
);
/// How often this node begins a lookup, which asks a peer once: less often than peers answer, or those that look for much would be
/// taken for a flood.
const LOOKUPS: Rate = Rate { each: Duration::from_millis(50), burst: 128 };
/// What one peer may have kept, and all of them: each is a signature to verify, 68 µs.
const STORES: (Rate, Rate) = (
    Rate { each: Duration::from_millis(200), burst: 64 },
    Rate { each: Duration::from_millis(5), burst: 500 },
);
/// How often a peer that is not known is asked who it is.
const INTRODUCTIONS: (Rate, Rate) =
    (Rate { each: Duration::from_secs(600), burst: 1 }, Rate { each: Duration::from_millis(20), burst: 100 });
/// How many names that nothing is known of are looked into: each costs a few short questions.
const CONFIRMATIONS: Rate = Rate { each: Duration::from_millis(500), burst: 50 };
/// How many names a node has others keep.
const MAX_NAMES: usize = 64;
/// How many configured peers there may be.
const MAX_SEEDS: usize = 64;

/// Finds nodes, those who offer a service, and keeps for others who does.
#[derive(Debug)]
pub(crate) struct Discovery {
    suite: CryptoSuite,
    network: NetworkName,
    options: DiscoveryOptions,
    node: NodeId,
    own: Option<SignedRecord>,
    seed: Seed,
    draws: u64,
    book: RecordBook,
    table: RoutingTable,
    providers: ProviderStore,
    names: NameStore,
    /// Names that this node has others keep.
    registered: BTreeMap<Name, SignedName>,
    /// Peers that are connected, and where from if that is known.
    connected: BTreeMap<NodeId, Option<BTreeSet<Subnet>>>,
    asking: Asking,
    running: BTreeMap<LookupId, Running>,
    waiting: VecDeque<(LookupId, Key, Want, Goal)>,
    last_lookup: u64,
    /// Of the rate of lookups.
    begun: Taken,
    finds: Pace,
    stores: Pace,
    introductions: Pace,
    confirmations: Pace,
    upkeep: Upkeep,
    seeds: Vec<NodeId>,
    effects: VecDeque<Effect<Event>>,
}

impl Discovery {
    /// A node of a network that knows nobody. All that is random in it comes from `seed`.
    pub(crate) fn new(
        suite: CryptoSuite,
        network: NetworkName,
        node: NodeId,
        options: DiscoveryOptions,
        book: BookOptions,
        seed: Seed,
    ) -> Self {
        let limits = options.subnets;
        let bounds = StoreBounds::default();
        Self {
            providers: ProviderStore::new(node.into(), network.clone(), limits, bounds),
            names: NameStore::new(node.into(), network.clone()),
            registered: BTreeMap::new(),
            suite,
            network,
            options,
            node,
            own: None,
            seed,
            draws: 0,
            book: RecordBook::new(book),
            table: RoutingTable::new(node, limits),
            connected: BTreeMap::new(),
            asking: Asking::default(),
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            last_lookup: 0,
            begun: Taken::default(),
            finds: Pace::new(FINDS.0, FINDS.1),
            stores: Pace::new(STORES.0, STORES.1),
            introductions: Pace::new(INTRODUCTIONS.0, INTRODUCTIONS.1),
            confirmations: Pace::new(CONFIRMATIONS, CONFIRMATIONS),
            upkeep: Upkeep::default(),
            seeds: Vec::new(),
            effects: VecDeque::new(),
        }
    }

    /// What the node says of itself from now on. What it offers is told to those who keep it, and again each hour.
    pub(crate) fn set_own(&mut self, record: SignedRecord, now: Timestamp) {
        let keys: BTreeSet<_> =
            record.record().services.iter().map(|service| Key::of_service(&self.network, service)).collect();
        self.upkeep.own_record(&record, keys, now);
        self.book.keep(self.node);
        // The newest of its own is what it says, whatever has come back from others.
        let _ = self.book.offer(record.clone(), now);
        self.own = Some(record);
    }

    /// Whoever runs this node knows these: they are asked when nobody else is known, and no subnet counts for them. Where they are
    /// is for the runtime to know. At most 64.
    pub(crate) fn bootstrap(&mut self, peers: impl IntoIterator<Item = NodeId>, now: Timestamp) {
        for peer in peers {
            if self.seeds.len() < MAX_SEEDS && peer != self.node && !self.seeds.contains(&peer) {
                self.seeds.push(peer);
                self.table.exempt(peer);
                self.introduce(peer, now);
            }
        }
    }

    /// Looks for the nodes nearest to another one's place.
    pub(crate) fn find_node(&mut self, target: NodeId, now: Timestamp) -> Result<LookupId, Busy> {
        self.start(target.into(), Want::Nodes, Goal::Told(None), now)
    }

    /// Looks for those who offer a service.
    pub(crate) fn find_providers(&mut self, service: Service, now: Timestamp) -> Result<LookupId, Busy> {
        let key = Key::of_service(&self.network, &service);
        self.start(key, Want::Providers, Goal::Told(Some(service)), now)
    }

    /// Looks for what a name leads to.
    pub(crate) fn find_name(&mut self, name: Name, now: Timestamp) -> Result<LookupId, Busy> {
        let key = Key::of_name(&self.network, name.label());
        self.start(key, Want::Name, Goal::Name(name), now)
    }

    /// Has a name kept by those near its place, from now on and until it expires; a newer record of it takes the place of an older
    /// one. Whoever has a record of a name may do so.
    pub(crate) fn register(&mut self, name: SignedName, now: Timestamp) -> Result<(), Busy> {
        let key = name.record().name.clone();
        if self.registered.len() >= MAX_NAMES && !self.registered.contains_key(&key) {
            return Err(Busy);
        }
        self.upkeep.registered(&name, Key::of_name(&self.network, key.label()), now);
        self.registered.insert(key, name);
        Ok(())
    }

    /// The name is not told again, and forgotten by others when it expires.
    pub(crate) fn unregister(&mut self, name: &Name) {
        self.registered.remove(name);
        self.upkeep.unregistered(name, &Key::of_name(&self.network, name.label()));
    }

    /// A record that came another way: from the node itself, which has proved its key, or by hearsay.
    pub(crate) fn learn(&mut self, record: SignedRecord, teller: Option<NodeId>, now: Timestamp) {
        let node = record.node();
        let offered = match teller {
            None => self.book.offer(record, now),
            Some(teller) => self.book.offer_from(teller, record, now),
        };
        if offered.is_ok() {
            self.introduce(node, now);
        }
    }

    /// Where a connected peer comes from: that counts, and not what it claims.
    pub(crate) fn observed(&mut self, peer: NodeId, address: &Multiaddr) {
        if let Some(observed) = self.connected.get_mut(&peer) {
            *observed = Some(self.options.subnets.of([address]));
        }
    }

    fn observed_at(&self, peer: &NodeId) -> Option<&BTreeSet<Subnet>> {
        self.connected.get(peer)?.as_ref()
    }

    /// Where a node is: where its connection comes from, if that is known; else everywhere that it claims.
    fn subnets_of(&self, record: &SignedRecord) -> BTreeSet<Subnet> {
        let observed = self.observed_at(&record.node()).cloned();
        observed.unwrap_or_else(|| self.options.subnets.of_record(record))
    }

    /// The newest record of a node.
    pub(crate) fn record(&self, node: &NodeId, now: Timestamp) -> Option<SignedRecord> {
        let in_use = || self.in_use(node).filter(|record| record.is_current(now));
        self.book.record(node, now).or_else(in_use).cloned()
    }

    /// What this node itself knows of who offers a service: those that it keeps for others, and its book.
    pub(crate) fn candidates(&self, service: &Service, now: Timestamp) -> Vec<Candidate> {
        let kept = self.kept_providers(service, now).into_iter();
        let kept = kept.map(|kept| (kept.record().clone(), Sighting::Providers));
        let book = self.book.records(now).filter(|record| record.record().services.contains(service));
        let book = book.map(|record| (record.clone(), Sighting::Book));
        let candidate = |(record, sighting): (SignedRecord, Sighting)| {
            let latency = self.latency(&record.node());
            let candidate = Candidate::new(record, sighting);
            latency.map_or(candidate.clone(), |latency| candidate.with_latency(latency))
        };
        kept.chain(book).map(candidate).collect()
    }

    /// The contacts that answered last: to begin with when the node runs again.
    pub(crate) fn good_peers(&self) -> BootstrapList {
        BootstrapList::new(self.table.recent().into_iter().map(|contact| (&contact.record).into()))
    }

    /// How long the answers of a contact take.
    pub(crate) fn latency(&self, node: &NodeId) -> Option<Duration> {
        self.table.latency(node)
    }

    #[cfg(test)]
    pub(crate) const fn table(&self) -> &RoutingTable {
        &self.table
    }

    /// Those that the node itself keeps for others, for a service.
    pub(crate) fn kept_providers(&self, service: &Service, now: Timestamp) -> Vec<ProviderRecord> {
        let key = Key::of_service(&self.network, service);
        let kept = self.providers.providers(&key, &self.node, now).into_iter();
        kept.filter_map(|record| ProviderRecord::new(service.clone(), record.clone()).ok()).collect()
    }

    /// A record that a contact or a lookup has, though there was no room for it in the book.
    fn in_use(&self, node: &NodeId) -> Option<&SignedRecord> {
        let contact = self.table.contact(node).map(|contact| &contact.record);
        contact.or_else(|| self.running.values().find_map(|running| running.lookup.record(node)))
    }

    /// A peer has answered: it may have a place in the table.
    fn alive(&mut self, peer: NodeId, now: Timestamp) {
        // Who is there, and says nothing of itself any more, is no contact.
        let Some(record) = self.record(&peer, now) else { return self.table.failed(&peer) };
        let was_alone = self.table.len() == 0;
        let observed = self.connected.get(&peer).and_then(Option::as_ref);
        let seen = self.table.seen(record, observed, now);
        if seen == Seen::Added && was_alone {
            self.upkeep.hasten(now);
            self.join(now);
        }
    }

    fn draw(&mut self) -> [u8; 32] {
        self.draws += 1;
        let mut bytes = [0; 32];
        rand_core::Rng::fill_bytes(&mut self.seed.nth(self.draws).rng(), &mut bytes);
        bytes
    }

    fn tell(&mut self, event: Event) {
        self.effects.push_back(Effect::Tell(event));
    }
}

impl Machine for Discovery {
    type Event = Event;

    fn receive(&mut self, from: NodeId, message: &[u8], now: Timestamp) -> Result<(), MessageError> {
        let Message { id, body } = Message::decode(message)?;
        match body {
            Body::Find(find) => self.find(from, id, &find, now),
            Body::Store(stored) => self.store(from, id, stored, now),
            Body::Found(found) => self.found(from, id, found, now),
            Body::Kept(kept) => self.kept(from, id, kept, now),
        }
    }

    fn connected(&mut self, peer: NodeId, now: Timestamp) {
        self.connected.entry(peer).or_default();
        // Whoever is here for another reason may be a contact too.
        if self.asking.of(&peer).is_empty() {
            self.introduce(peer, now);
        }
    }

    fn disconnected(&mut self, peer: NodeId, now: Timestamp) {
        self.connected.remove(&peer);
        for id in self.asking.of(&peer) {
            self.no_answer(id, now);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        [self.asking.next(), self.next_lookup(), Some(self.upkeep.next())].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Timestamp) {
        while let Some((id, is_over)) = self.asking.due(now) {
            if is_over { self.no_answer(id, now) } else { self.is_slow(id, now) }
        }
        self.start_waiting(now);
        self.upkeep(now);
    }

    fn poll(&mut self) -> Option<Effect<Event>> {
        self.effects.pop_front()
    }
}

#[cfg(test)]
mod tests;
