//! The contacts of a node: Kademlia's buckets (Maymounkov & Mazières 2002, §2.2), with bounds on subnets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use daa_core::clock::Timestamp;

use super::key::Key;
use super::subnet::{SubnetCounts, SubnetLimits};
use crate::node_id::NodeId;
use crate::record::SignedRecord;
use crate::subnet::Subnet;

/// How many contacts a bucket has, how many nodes keep what is stored, and how many a lookup ends with. Kademlia's own
/// choice: so many that all of them are gone within an hour is beyond what happens, and a lookup survives that half of
/// them lie or sleep.
pub(crate) const K: usize = 20;
/// How many wait for a place in a bucket.
const SPARE: usize = 10;
/// After so many failures in a row a contact is not used, and makes room.
const DOUBTFUL: u8 = 2;
/// After so many it goes, whether or not there is another one: until then it was perhaps this node that had no network.
const GONE: u8 = 5;

/// A node that has answered.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    pub(crate) record: SignedRecord,
    subnets: BTreeSet<Subnet>,
    /// When it answered last.
    seen: Timestamp,
    failures: u8,
    /// How long its answers took lately.
    rtt: Option<Duration>,
}

impl Contact {
    pub(crate) fn node(&self) -> NodeId {
        self.record.node()
    }

    const fn is_good(&self) -> bool {
        self.failures < DOUBTFUL
    }
}

/// What became of a node that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It was there.
    Known,
    /// It has a place.
    Added,
    /// It waits for one.
    Spare,
    /// It has no place: this node itself, nowhere to be reached, or one too many of its subnet.
    Refused,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Who was seen longest ago is first.
    contacts: VecDeque<Contact>,
    /// Who came last is last.
    spare: VecDeque<Contact>,
}

/// The contacts of a node, by how many bits they share with it.
#[derive(Debug)]
pub(crate) struct RoutingTable {
    own: Key,
    limits: SubnetLimits,
    buckets: BTreeMap<u8, Bucket>,
    counts: SubnetCounts,
    /// Those who were configured are not limited.
    exempt: BTreeSet<NodeId>,
}

impl RoutingTable {
    pub(crate) fn new(own: NodeId, limits: SubnetLimits) -> Self {
        let (buckets, counts, exempt) = Default::default();
        Self { own: own.into(), limits, buckets, counts, exempt }
    }

    /// The subnet of this node is not looked at: whoever runs this one has named it.
    pub(crate) fn exempt(&mut self, node: NodeId) {
        self.exempt.insert(node);
    }

    /// A node answered. `observed` is where its connection comes from, where that is known: then what it claims does not count.
    pub(crate) fn seen(
        &mut self,
        record: SignedRecord,
        observed: Option<&BTreeSet<Subnet>>,
        now: Timestamp,
    ) -> Seen {
        let node = record.node();
        let Some(at) = self.place(&node) else { return Seen::Refused };
        let subnets = match observed {
            _ if self.exempt.contains(&node) => BTreeSet::new(),
            Some(observed) => observed.clone(),
            None => self.limits.of_record(&record),
        };
        let is_reachable = !record.record().addresses.is_empty();
        let before = self.take(at, &node);
        let rtt = before.as_ref().and_then(|contact| contact.rtt);
        if !is_reachable {
            self.promote(at);
            return Seen::Refused;
        }
        let contact = Contact { record, subnets, seen: now, failures: 0, rtt };
        let seen = self.put(at, contact);
        match (seen, before) {
            (Seen::Added, Some(_)) => Seen::Known,
            (Seen::Refused, Some(_)) => {
                self.promote(at);
                Seen::Refused
            }
            (seen, _) => seen,
        }
    }

    /// A node did not answer.
    pub(crate) fn failed(&mut self, node: &NodeId) {
        let Some(at) = self.place(node) else { return };
        let Some(bucket) = self.buckets.get_mut(&at) else { return };
        bucket.spare.retain(|contact| contact.node() != *node);
        let Some(contact) = bucket.contacts.iter_mut().find(|contact| contact.node() == *node) else {
            return;
        };
        contact.failures = contact.failures.saturating_add(1);
        let failures = contact.failures;
        if failures >= GONE || (failures >= DOUBTFUL && !bucket.spare.is_empty()) {
            self.take(at, node);
            self.promote(at);
        }
    }

    /// How long an answer of this node took.
    pub(crate) fn took(&mut self, node: &NodeId, taken: Duration) {
        if let Some(contact) = self.contact_mut(node) {
            contact.rtt = Some(contact.rtt.map_or(taken, |mean| (mean * 7 + taken) / 8));
        }
    }

    /// How long its answers take.
    pub(crate) fn latency(&self, node: &NodeId) -> Option<Duration> {
        self.contact(node)?.rtt
    }

    pub(crate) fn contact(&self, node: &NodeId) -> Option<&Contact> {
        let bucket = self.buckets.get(&self.place(node)?)?;
        bucket.contacts.iter().find(|contact| contact.node() == *node)
    }

    /// Whether a node that nothing is known of could have a place, or wait for one.
    pub(crate) fn has_room_for(&self, node: &NodeId) -> bool {
        let Some(at) = self.place(node) else { return false };
        self.buckets.get(&at).is_none_or(|bucket| {
            let known = |contact: &Contact| contact.node() == *node;
            !bucket.contacts.iter().any(known)
                && !bucket.spare.iter().any(known)
                && (bucket.contacts.len() < K || bucket.spare.len() < SPARE)
        })
    }

    /// The contacts nearest to a place, nearest first.
    pub(crate) fn closest(&self, to: &Key, count: usize) -> Vec<&Contact> {
        let mut all: Vec<_> = self
            .contacts()
            .filter(|contact| contact.is_good())
            .map(|contact| (Key::from(contact.node()).distance(to), contact))
            .collect();
        all.sort_unstable_by_key(|(distance, _)| *distance);
        all.into_iter().take(count).map(|(_, contact)| contact).collect()
    }

    /// How many contacts are nearer to a place than this node, of those that are used.
    pub(crate) fn nearer(&self, to: &Key) -> usize {
        let own = self.own.distance(to);
        self.contacts()
            .filter(|contact| contact.is_good() && Key::from(contact.node()).distance(to) < own)
            .count()
    }

    /// The contacts that are used, who answered last first.
    pub(crate) fn recent(&self) -> Vec<&Contact> {
        let mut recent: Vec<_> = self.contacts().filter(|contact| contact.is_good()).collect();
        recent.sort_by_key(|contact| std::cmp::Reverse(contact.seen));
        recent
    }

    /// Who was not seen since, or has a record that is over by then; longest ago first.
    pub(crate) fn to_check(&self, since: Timestamp, over: Timestamp, count: usize) -> Vec<NodeId> {
        let mut unseen: Vec<_> = self
            .contacts()
            .filter(|contact| contact.seen < since || !contact.record.is_current(over))
            .map(|contact| (contact.seen, contact.node()))
            .collect();
        unseen.sort_unstable();
        unseen.into_iter().take(count).map(|(_, node)| node).collect()
    }

    /// All contacts, nearest first by bucket.
    pub(crate) fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.buckets.values().rev().flat_map(|bucket| &bucket.contacts)
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.values().map(|bucket| bucket.contacts.len()).sum()
    }

    /// The bits that the nearest contact shares with this node: buckets behind it are empty.
    pub(crate) fn deepest(&self) -> Option<u8> {
        self.buckets.iter().rev().find(|(_, bucket)| !bucket.contacts.is_empty()).map(|(at, _)| *at)
    }

    fn place(&self, node: &NodeId) -> Option<u8> {
        self.own.distance(&Key::from(*node)).shared_bits()
    }

    fn contact_mut(&mut self, node: &NodeId) -> Option<&mut Contact> {
        let at = self.place(node)?;
        self.buckets.get_mut(&at)?.contacts.iter_mut().find(|contact| contact.node() == *node)
    }

    /// Removes a contact that has a place, or waits for one; gives the former.
    fn take(&mut self, at: u8, node: &NodeId) -> Option<Contact> {
        let bucket = self.buckets.get_mut(&at)?;
        bucket.spare.retain(|contact| contact.node() != *node);
        let index = bucket.contacts.iter().position(|contact| contact.node() == *node)?;
        let contact = bucket.contacts.remove(index)?;
        self.counts.remove(&contact.subnets);
        Some(contact)
    }

    fn put(&mut self, at: u8, contact: Contact) -> Seen {
        let fits = self.fits(at, &contact);
        let bucket = self.buckets.entry(at).or_default();
        if bucket.contacts.len() < K {
            if !fits {
                return Seen::Refused;
            }
            self.counts.add(&contact.subnets);
            bucket.contacts.push_back(contact);
            return Seen::Added;
        }
        // Those who wait are bounded like those who have a place, or one subnet would be the only one that waits.
        let mut waiting = SubnetCounts::default();
        bucket.spare.iter().for_each(|contact| waiting.add(&contact.subnets));
        if !waiting.has_room(&contact.subnets, self.limits.per_bucket) {
            return Seen::Refused;
        }
        if bucket.spare.len() >= SPARE {
            bucket.spare.pop_front();
        }
        bucket.spare.push_back(contact);
        Seen::Spare
    }

    fn fits(&self, at: u8, contact: &Contact) -> bool {
        let mut here = SubnetCounts::default();
        for contact in self.buckets.get(&at).into_iter().flat_map(|bucket| &bucket.contacts) {
            here.add(&contact.subnets);
        }
        here.has_room(&contact.subnets, self.limits.per_bucket)
            && self.counts.has_room(&contact.subnets, self.limits.per_table)
    }

    /// Gives the free place to the last of those who wait that may have it.
    fn promote(&mut self, at: u8) {
        let Some(bucket) = self.buckets.get(&at) else { return };
        let fits = |contact: &&Contact| self.fits(at, contact);
        let Some(node) = bucket.spare.iter().rev().find(fits).map(Contact::node) else { return };
        let Some(bucket) = self.buckets.get_mut(&at) else { return };
        if bucket.contacts.len() < K
            && let Some(index) = bucket.spare.iter().position(|contact| contact.node() == node)
            && let Some(contact) = bucket.spare.remove(index)
        {
            self.counts.add(&contact.subnets);
            // It was seen before the others were.
            bucket.contacts.push_front(contact);
        }
    }
}

#[cfg(test)]
mod tests;
