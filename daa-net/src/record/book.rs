//! The newest record of each node.

use std::collections::{BTreeMap, BTreeSet};

use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};

use super::SignedRecord;
use crate::node_id::NodeId;

/// What can be chosen about a [`RecordBook`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BookOptions {
    records: usize,
    hearsay: usize,
    per_teller: usize,
    memories: usize,
}

impl Default for BookOptions {
    /// 10,000 records (some 80 MB of those that are as large as they usually are), of which 7,500 hearsay, 500 from one
    /// teller; and what was known of 100,000 nodes.
    fn default() -> Self {
        Self { records: 10_000, hearsay: 7_500, per_teller: 500, memories: 100_000 }
    }
}

impl BookOptions {
    /// The most records that are kept, at least one. Three quarters of them may be hearsay, and a twentieth from one teller.
    #[must_use]
    pub fn with_records(mut self, records: usize) -> Self {
        self.records = records.max(1);
        self.with_hearsay(records / 4 * 3, records / 20)
    }

    /// How many records may be hearsay, and how many of them from one teller; at least one.
    #[must_use]
    pub fn with_hearsay(mut self, records: usize, per_teller: usize) -> Self {
        (self.hearsay, self.per_teller) = (records.max(1), per_teller.max(1));
        self
    }

    /// How many nodes are remembered by the version of their last record, now that it is gone; at least one.
    #[must_use]
    pub fn with_memories(mut self, nodes: usize) -> Self {
        self.memories = nodes.max(1);
        self
    }
}

/// The newest record of each node, as many as there is room for. It never goes back to an older one.
///
/// When it is full, the record that expires first makes room, but never one of a node that is [kept](Self::keep). What was
/// [told by others](Self::offer_from) makes room first, never takes room from what was not, and is bounded for each teller:
/// whoever makes up nodes by the thousand takes the place of other hearsay. The version of a record outlives it, so that an old one does not come back when the new one has expired or has made room; these
/// memories are bounded too, and the node whose record went longest ago is forgotten first.
#[derive(Debug, Default)]
pub struct RecordBook {
    options: BookOptions,
    records: BTreeMap<NodeId, Held>,
    /// The same records, in the order in which they make room.
    by_end: BTreeSet<(Timestamp, NodeId)>,
    hearsay: Hearsay,
    kept: BTreeSet<NodeId>,
    gone: Gone,
}

#[derive(Debug)]
struct Held {
    record: SignedRecord,
    /// Who told it, unless it is from the node itself.
    teller: Option<NodeId>,
}

/// What became of a record that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offered {
    /// The node was not known, or its record had expired.
    New,
    /// It took the place of an older one.
    Newer,
    /// It was there already.
    Known,
}

/// Two records of one node with the same version and different content, both signed: evidence against the node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Conflict {
    /// The one that was known, and stays.
    pub known: SignedRecord,
    /// The other.
    pub other: SignedRecord,
}

/// A record that the book does not take.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// A newer one was seen.
    #[error("version {offered} of the record of {node} is older than {seen}, which was seen")]
    Stale {
        /// Whose it is.
        node: NodeId,
        /// The version that was seen.
        seen: u64,
        /// The version that was offered.
        offered: u64,
    },
    /// There is another one with the same version.
    #[error("{} has issued two records of version {}", .0.known.node(), .0.known.record().version)]
    Conflict(Box<Conflict>),
    /// As [`Conflict`](Self::Conflict), but the first of the two made room for others.
    #[error("{node} has issued another record of version {version} before")]
    Other {
        /// Whose it is.
        node: NodeId,
        /// Their version.
        version: u64,
    },
    /// It has expired.
    #[error("the record of {node} has expired")]
    Expired {
        /// Whose it is.
        node: NodeId,
    },
    /// All room is taken by records that stay longer, or are kept.
    #[error("there is no room for the record of {node}")]
    Full {
        /// Whose it is.
        node: NodeId,
    },
}

impl Reaction for OfferError {
    fn fault(&self) -> Fault {
        match self {
            Self::Stale { .. } | Self::Conflict(_) | Self::Other { .. } | Self::Expired { .. } => Fault::Peer,
            Self::Full { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Stale { .. } | Self::Conflict(_) | Self::Other { .. } | Self::Expired { .. } => {
                Retry::Never
            }
            Self::Full { .. } => Retry::Later,
        }
    }
}

impl RecordBook {
    /// An empty book.
    #[must_use]
    pub fn new(options: BookOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Takes a record, if it is newer than what is known of its node. It is from the node itself, which has proved its key, or
    /// from whoever runs this one.
    ///
    /// # Errors
    /// [`OfferError`]: then the book is as it was.
    pub fn offer(&mut self, record: SignedRecord, now: Timestamp) -> Result<Offered, OfferError> {
        self.take(record, None, now)
    }

    /// As [`offer`](Self::offer), for what another node told: hearsay.
    ///
    /// # Errors
    /// [`OfferError`]: then the book is as it was.
    pub fn offer_from(
        &mut self,
        teller: NodeId,
        record: SignedRecord,
        now: Timestamp,
    ) -> Result<Offered, OfferError> {
        let teller = Some(teller).filter(|teller| *teller != record.node());
        self.take(record, teller, now)
    }

    fn take(
        &mut self,
        record: SignedRecord,
        teller: Option<NodeId>,
        now: Timestamp,
    ) -> Result<Offered, OfferError> {
        let (node, offered) = (record.node(), record.record().version);
        if !record.is_current(now) {
            return Err(OfferError::Expired { node });
        }
        // What is ours is no hearsay, and what was met does not become any.
        let held = self.records.get(&node);
        let met = self.kept.contains(&node) || held.is_some_and(|held| held.teller.is_none());
        let teller = if met { None } else { teller };
        let (known, digest) = (held.map(|held| &held.record), record.digest());
        let last = known.map(|known| (known.record().version, known.digest()));
        match last.or_else(|| self.gone.version(&node)) {
            Some((seen, _)) if offered < seen => return Err(OfferError::Stale { node, seen, offered }),
            Some((seen, content)) if offered == seen => match known {
                Some(_) if content == digest => {
                    self.vouch(&node, teller);
                    return Ok(Offered::Known);
                }
                Some(known) => {
                    let conflict = Conflict { known: known.clone(), other: record };
                    return Err(OfferError::Conflict(Box::new(conflict)));
                }
                None if content != digest => return Err(OfferError::Other { node, version: seen }),
                // It made room for others, and is as good as it was.
                None => {}
            },
            _ => {}
        }
        let is_new = known.is_none_or(|known| !known.is_current(now));
        // Who told it first answers for it.
        let teller = held.map_or(teller, |held| teller.and(held.teller));
        if held.is_none() && !self.make_room(&record, teller) {
            return Err(OfferError::Full { node });
        }
        self.remove(&node);
        self.gone.forget(&node);
        self.insert(record, teller);
        Ok(if is_new { Offered::New } else { Offered::Newer })
    }

    /// The newest record of a node, unless it has expired.
    #[must_use]
    pub fn record(&self, node: &NodeId, now: Timestamp) -> Option<&SignedRecord> {
        self.records.get(node).map(|held| &held.record).filter(|record| record.is_current(now))
    }

    /// All records that have not expired, by node.
    pub fn records(&self, now: Timestamp) -> impl Iterator<Item = &SignedRecord> {
        self.records.values().map(|held| &held.record).filter(move |record| record.is_current(now))
    }

    /// The record of this node makes room for no other, until it expires.
    pub fn keep(&mut self, node: NodeId) {
        self.kept.insert(node);
        self.vouch(&node, None);
    }

    /// The record of this node may make room again.
    pub fn release(&mut self, node: &NodeId) {
        self.kept.remove(node);
    }

    /// Removes what has expired, and gives the nodes whose it was.
    pub fn expire(&mut self, now: Timestamp) -> Vec<NodeId> {
        let mut expired = Vec::new();
        while let Some((_, node)) = self.by_end.first().filter(|(end, _)| *end <= now).copied() {
            self.remove(&node);
            expired.push(node);
        }
        expired
    }

    /// How many records there are, expired ones included that were not [removed](Self::expire).
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What is held of a node is hearsay no longer, unless somebody told it again.
    fn vouch(&mut self, node: &NodeId, teller: Option<NodeId>) {
        if teller.is_none()
            && let Some(held) = self.records.get_mut(node)
            && let Some(before) = held.teller.take()
        {
            self.hearsay.remove(before, (held.record.record().expires, *node));
        }
    }

    fn insert(&mut self, record: SignedRecord, teller: Option<NodeId>) {
        let (node, end) = (record.node(), record.record().expires);
        self.by_end.insert((end, node));
        if let Some(teller) = teller {
            self.hearsay.insert(teller, (end, node));
        }
        self.records.insert(node, Held { record, teller });
    }

    fn remove(&mut self, node: &NodeId) {
        if let Some(Held { record, teller }) = self.records.remove(node) {
            let place = (record.record().expires, *node);
            self.by_end.remove(&place);
            if let Some(teller) = teller {
                self.hearsay.remove(teller, place);
            }
            self.gone.put(*node, (record.record().version, record.digest()), self.options.memories);
        }
    }

    fn make_room(&mut self, record: &SignedRecord, teller: Option<NodeId>) -> bool {
        let BookOptions { records, hearsay, per_teller, .. } = self.options;
        let is_full = self.records.len() >= records;
        let end = record.record().expires;
        let outlived = |place: &(Timestamp, NodeId)| place.0 < end;
        let room = match teller {
            None if !is_full => return true,
            None => self.hearsay.all.first().copied().or_else(|| {
                let is_kept = self.kept.contains(&record.node());
                let first = self.by_end.iter().find(|(_, node)| !self.kept.contains(node)).copied();
                first.filter(|place| is_kept || outlived(place))
            }),
            Some(teller) if self.hearsay.count(&teller) >= per_teller => {
                self.hearsay.first(&teller).filter(outlived)
            }
            Some(_) if !is_full && self.hearsay.all.len() < hearsay => return true,
            // Who told most gives way, so that a few tellers do not crowd out the others.
            Some(teller) => match self.hearsay.most() {
                Some((most, count)) if count > self.hearsay.count(&teller) + 1 => self.hearsay.first(&most),
                _ => self.hearsay.all.first().copied().filter(outlived),
            },
        };
        if let Some((_, node)) = room {
            self.remove(&node);
        }
        room.is_some()
    }
}

/// Which records others told, in the order in which they make room.
#[derive(Debug, Default)]
struct Hearsay {
    all: BTreeSet<(Timestamp, NodeId)>,
    by_teller: BTreeMap<NodeId, BTreeSet<(Timestamp, NodeId)>>,
}

impl Hearsay {
    fn insert(&mut self, teller: NodeId, place: (Timestamp, NodeId)) {
        self.all.insert(place);
        self.by_teller.entry(teller).or_default().insert(place);
    }

    fn remove(&mut self, teller: NodeId, place: (Timestamp, NodeId)) {
        self.all.remove(&place);
        if let Some(told) = self.by_teller.get_mut(&teller) {
            told.remove(&place);
            if told.is_empty() {
                self.by_teller.remove(&teller);
            }
        }
    }

    fn count(&self, teller: &NodeId) -> usize {
        self.by_teller.get(teller).map_or(0, BTreeSet::len)
    }

    fn first(&self, teller: &NodeId) -> Option<(Timestamp, NodeId)> {
        self.by_teller.get(teller)?.first().copied()
    }

    /// Who told most, and how many that are.
    fn most(&self) -> Option<(NodeId, usize)> {
        self.by_teller.iter().map(|(teller, told)| (*teller, told.len())).max_by_key(|(_, count)| *count)
    }
}

/// The versions of the records that are gone, and the digests of what they said.
#[derive(Debug, Default)]
struct Gone {
    versions: BTreeMap<NodeId, ((u64, blake3::Hash), u64)>,
    /// The nodes in the order in which their records went.
    turns: BTreeMap<u64, NodeId>,
    turn: u64,
}

impl Gone {
    fn version(&self, node: &NodeId) -> Option<(u64, blake3::Hash)> {
        self.versions.get(node).map(|(version, _)| *version)
    }

    fn forget(&mut self, node: &NodeId) {
        if let Some((_, turn)) = self.versions.remove(node) {
            self.turns.remove(&turn);
        }
    }

    fn put(&mut self, node: NodeId, version: (u64, blake3::Hash), max: usize) {
        self.turn += 1;
        if let Some((_, before)) = self.versions.insert(node, (version, self.turn)) {
            self.turns.remove(&before);
        }
        self.turns.insert(self.turn, node);
        while self.versions.len() > max
            && let Some((_, oldest)) = self.turns.pop_first()
        {
            self.versions.remove(&oldest);
        }
    }
}
