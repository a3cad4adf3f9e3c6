//! Who offers what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};

use super::key::Key;
use super::subnet::{SubnetCounts, SubnetLimits};
use crate::network::NetworkName;
use crate::node_id::NodeId;
use crate::record::{Service, SignedRecord};
use crate::subnet::Subnet;

/// How often a provider tells those who keep it that it is still there.
pub(super) const REPUBLISH: Duration = Duration::from_secs(3_600);
/// How long a provider is kept that was not heard of again: three tellings may be lost.
pub(super) const HOLD: Duration = Duration::from_secs(4 * 3_600);

/// What a node has signed: that it offers a service, until when, and where it is.
///
/// It is the record of the node, which names the service: so it has one version and one end for all that a node offers, and to
/// offer something no longer takes one new record.
#[derive(Clone, Debug)]
pub struct ProviderRecord {
    service: Service,
    record: SignedRecord,
}

impl ProviderRecord {
    /// The statement of a record about a service.
    ///
    /// # Errors
    /// [`NotOffered`] where the record does not name the service.
    pub fn new(service: Service, record: SignedRecord) -> Result<Self, NotOffered> {
        if record.record().services.contains(&service) {
            return Ok(Self { service, record });
        }
        Err(NotOffered { node: record.node(), service })
    }

    /// What is offered.
    #[must_use]
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// Who offers it.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.record.node()
    }

    /// What was signed.
    #[must_use]
    pub const fn record(&self) -> &SignedRecord {
        &self.record
    }
}

/// A record does not name a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of {node} does not offer {service}")]
#[non_exhaustive]
pub struct NotOffered {
    /// Whose record.
    pub node: NodeId,
    /// Which service.
    pub service: Service,
}

impl Reaction for NotOffered {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// How much a node keeps for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreBounds {
    /// Providers of one service.
    pub(super) per_key: usize,
    /// Providers in all.
    pub(super) nodes: usize,
    /// Places of providers at keys.
    pub(super) places: usize,
    /// Providers of one subnet.
    pub(super) per_subnet: usize,
}

impl Default for StoreBounds {
    /// 64 of a service, 4,096 in all (some 30 MB), 16,384 places, 256 of a subnet.
    fn default() -> Self {
        Self { per_key: 64, nodes: 4_096, places: 16_384, per_subnet: 256 }
    }
}

#[derive(Debug)]
struct Held {
    record: SignedRecord,
    subnets: BTreeSet<Subnet>,
    until: Timestamp,
    keys: BTreeSet<Key>,
}

/// The providers that a node keeps for the network.
#[derive(Debug)]
pub(super) struct ProviderStore {
    own: Key,
    network: NetworkName,
    limits: SubnetLimits,
    bounds: StoreBounds,
    nodes: BTreeMap<NodeId, Held>,
    keys: BTreeMap<Key, BTreeSet<NodeId>>,
    counts: SubnetCounts,
    places: usize,
}

impl ProviderStore {
    pub(super) fn new(own: Key, network: NetworkName, limits: SubnetLimits, bounds: StoreBounds) -> Self {
        let (nodes, keys, counts) = Default::default();
        Self { own, network, limits, bounds, nodes, keys, counts, places: 0 }
    }

    /// Whether a record names the service that belongs to this place.
    pub(super) fn offers(network: &NetworkName, record: &SignedRecord, key: &Key) -> bool {
        record.record().services.iter().any(|service| Key::of_service(network, service) == *key)
    }

    /// Keeps a provider that offers what belongs to this place and is in these subnets, if there is room for it and nothing newer is
    /// known of it.
    pub(super) fn put(
        &mut self,
        key: Key,
        record: &SignedRecord,
        subnets: &BTreeSet<Subnet>,
        now: Timestamp,
    ) -> bool {
        self.expire(now);
        let node = record.node();
        if !record.is_current(now) || !Self::offers(&self.network, record, &key) {
            return false;
        }
        let until = record.record().expires.min(now + HOLD);
        let version = record.record().version;
        match self.nodes.get_mut(&node).map(|held| (held.record.record().version, held)) {
            Some((known, _)) if known > version => return false,
            Some((known, held)) if known == version => {
                held.until = until;
                if held.keys.contains(&key) {
                    return true;
                }
            }
            // It may be somewhere else now, and offer something else: it has to fit again.
            Some((_, held)) => {
                let keys = held.keys.clone();
                keys.iter().for_each(|key| self.remove(key, &node));
                for key in keys {
                    self.place(key, record, subnets, until);
                }
            }
            None => {}
        }
        self.nodes.get(&node).is_some_and(|held| held.keys.contains(&key))
            || self.place(key, record, subnets, until)
    }

    fn place(
        &mut self,
        key: Key,
        record: &SignedRecord,
        subnets: &BTreeSet<Subnet>,
        until: Timestamp,
    ) -> bool {
        let node = record.node();
        let is_new = !self.nodes.contains_key(&node);
        if !Self::offers(&self.network, record, &key)
            || (is_new && !self.counts.has_room(subnets, self.bounds.per_subnet))
            || !self.make_room_at(&key, subnets)
            || !self.make_room(&key, is_new)
        {
            return false;
        }
        // Making room may have taken the last place that it had.
        let held = self.nodes.entry(node).or_insert_with(|| {
            self.counts.add(subnets);
            Held { record: record.clone(), subnets: subnets.clone(), until, keys: BTreeSet::new() }
        });
        held.keys.insert(key);
        self.keys.entry(key).or_default().insert(node);
        self.places += 1;
        true
    }

    /// Who offers what belongs to a place. Each asker has an order of its own, so that of many not the same are always named.
    pub(super) fn providers(&self, key: &Key, asker: &NodeId, now: Timestamp) -> Vec<&SignedRecord> {
        let asker = Key::from(*asker);
        let nodes = self.keys.get(key).into_iter().flatten();
        let mut all: Vec<_> = nodes
            .filter_map(|node| self.nodes.get(node))
            .filter(|held| now < held.until)
            .map(|held| (Key::from(held.record.node()).distance(&asker), &held.record))
            .collect();
        all.sort_unstable_by_key(|(distance, _)| *distance);
        all.into_iter().map(|(_, record)| record).collect()
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        let over: Vec<_> =
            self.nodes.iter().filter(|(_, held)| held.until <= now).map(|(node, _)| *node).collect();
        for node in over {
            for key in self.nodes.get(&node).map(|held| held.keys.clone()).unwrap_or_default() {
                self.remove(&key, &node);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.nodes.len(), self.keys.len(), self.places)
    }

    fn remove(&mut self, key: &Key, node: &NodeId) {
        let Some(held) = self.nodes.get_mut(node) else { return };
        if !held.keys.remove(key) {
            return;
        }
        self.places -= 1;
        if held.keys.is_empty() {
            self.counts.remove(&held.subnets);
            self.nodes.remove(node);
        }
        if let Some(nodes) = self.keys.get_mut(key) {
            nodes.remove(node);
            if nodes.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    /// Room at one key. When it is full, the subnet that has most there makes room for one that has fewer: it takes many
    /// networks to crowd others out.
    fn make_room_at(&mut self, key: &Key, subnets: &BTreeSet<Subnet>) -> bool {
        let Some(nodes) = self.keys.get(key) else { return true };
        let mut counts = SubnetCounts::default();
        let held = || nodes.iter().filter_map(|node| self.nodes.get(node));
        held().for_each(|held| counts.add(&held.subnets));
        if !counts.has_room(subnets, self.limits.per_service) {
            return false;
        }
        if nodes.len() < self.bounds.per_key {
            return true;
        }
        let crowd = |subnets: &BTreeSet<Subnet>| {
            subnets.iter().map(|subnet| counts.count(subnet)).max().unwrap_or_default()
        };
        let most = held().map(|held| (crowd(&held.subnets), held.record.node())).max();
        match most {
            Some((count, node)) if count > crowd(subnets) + 1 => {
                self.remove(key, &node);
                true
            }
            _ => false,
        }
    }

    /// Room at all. When there is none, the key that is farthest from this node makes room: others are nearer to it.
    fn make_room(&mut self, key: &Key, is_new: bool) -> bool {
        let own = self.own;
        let distance = |key: &Key| key.distance(&own);
        while self.places >= self.bounds.places || (is_new && self.nodes.len() >= self.bounds.nodes) {
            let farthest = self.keys.iter().max_by_key(|(key, _)| distance(key));
            let Some((far, nodes)) = farthest.filter(|(far, _)| distance(far) > distance(key)) else {
                return false;
            };
            let Some((far, node)) = nodes.first().map(|node| (*far, *node)) else { return false };
            self.remove(&far, &node);
        }
        true
    }
}

#[cfg(test)]
mod tests;
