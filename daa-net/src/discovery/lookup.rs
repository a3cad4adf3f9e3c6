//! A lookup: from whom is known to who is nearest, on several paths that share no node.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::key::{Distance, Key};
use super::subnet::{SubnetCounts, SubnetLimits};
use super::table::K;
use super::wire::{Knows, MAX_KNOWS, Want, prefix};
use crate::node_id::NodeId;
use crate::record::SignedRecord;
use crate::subnet::Subnet;

/// How many that were not asked yet a path remembers.
const LISTED: usize = 64;
/// How many a path asks at the most: whoever always names somebody nearer ends it there.
const ASKED: usize = 40;
/// The most paths there are: a node remembers those it is listed on in so many bits.
pub(super) const MAX_PATHS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    /// It was asked, and there is time.
    Asked,
    /// It was asked, and takes longer than others do: another one is asked too.
    Slow,
    Answered,
    Failed,
}

#[derive(Debug)]
struct Candidate {
    record: SignedRecord,
    subnets: BTreeSet<Subnet>,
    /// The paths on which it was named.
    listed: u8,
    /// The path that asked it; the others leave it alone.
    asked_by: Option<usize>,
    state: State,
}

impl Candidate {
    const fn is_on(&self, path: usize) -> bool {
        self.listed & (1 << path) != 0
    }
}

/// A lookup as in S/Kademlia (Baumgart & Mies 2007, §4.4): the contacts that it begins with are dealt out to paths; each path
/// goes on with what those that it asked have named, and a node is asked by one path only. So who is hostile leads its
/// own path astray, and the others only if it is asked on each of them.
///
/// Of one subnet, only so many count among the nearest, so that it takes more than many identities to surround a place.
#[derive(Debug)]
pub(super) struct Lookup {
    target: Key,
    want: Want,
    own: NodeId,
    paths: usize,
    parallel: usize,
    limits: SubnetLimits,
    candidates: BTreeMap<Distance, Candidate>,
    /// Paths of which the last answer named nobody nearer than the nearest there was.
    arrived: BTreeSet<usize>,
}

impl Lookup {
    pub(super) fn new(
        target: Key,
        want: Want,
        own: NodeId,
        (paths, parallel): (usize, usize),
        limits: SubnetLimits,
        seeds: impl IntoIterator<Item = SignedRecord>,
    ) -> Self {
        let paths = paths.clamp(1, MAX_PATHS);
        let (candidates, arrived) = Default::default();
        let mut lookup = Self { target, want, own, paths, parallel, limits, candidates, arrived };
        for (turn, record) in seeds.into_iter().enumerate() {
            lookup.list(record, turn % paths);
        }
        lookup
    }

    pub(super) const fn target(&self) -> &Key {
        &self.target
    }

    pub(super) const fn want(&self) -> Want {
        self.want
    }

    /// Whom to ask next; it counts as asked from now on.
    pub(super) fn next(&mut self) -> Option<NodeId> {
        // The path that has the fewest under way goes first: none is starved by the others.
        let mut paths: Vec<_> = (0..self.paths).map(|path| (self.under_way(path), path)).collect();
        paths.sort_unstable();
        let (path, distance) = paths
            .into_iter()
            .filter(|(under_way, path)| *under_way < self.width(*path))
            .find_map(|(_, path)| Some((path, self.next_of(path)?)))?;
        let candidate = self.candidates.get_mut(&distance)?;
        (candidate.state, candidate.asked_by) = (State::Asked, Some(path));
        Some(candidate.record.node())
    }

    /// Whether nothing is to be asked, or waited for, any more.
    pub(super) fn is_done(&self) -> bool {
        (0..self.paths).all(|path| self.under_way(path) == 0 && self.next_of(path).is_none())
    }

    /// A node named others. Only who was asked can. Where its connection comes from counts, if that is known, and no more what it claims.
    pub(super) fn answered(
        &mut self,
        node: &NodeId,
        observed: Option<BTreeSet<Subnet>>,
        named: impl IntoIterator<Item = SignedRecord>,
    ) {
        let Some(path) = self.settle(node, State::Answered) else { return };
        let distance = self.distance(node);
        if let (Some(observed), Some(candidate)) = (observed, self.candidates.get_mut(&distance)) {
            candidate.subnets = observed;
        }
        let before = self.nearest_of(path);
        for record in named {
            self.list(record, path);
        }
        if self.nearest_of(path) == before {
            self.arrived.insert(path);
        } else {
            self.arrived.remove(&path);
        }
        self.forget_far(path);
    }

    pub(super) fn failed(&mut self, node: &NodeId) {
        self.settle(node, State::Failed);
    }

    /// A node takes long. It may still answer.
    pub(super) fn slow(&mut self, node: &NodeId) {
        let distance = self.distance(node);
        if let Some(candidate) = self.candidates.get_mut(&distance)
            && candidate.state == State::Asked
        {
            candidate.state = State::Slow;
        }
    }

    /// The path that asked a node.
    pub(super) fn path_of(&self, node: &NodeId) -> Option<usize> {
        self.candidates.get(&self.distance(node))?.asked_by
    }

    /// How many paths have an answer of anybody.
    pub(super) fn answered_paths(&self) -> BTreeSet<usize> {
        self.answers().filter_map(|candidate| candidate.asked_by).collect()
    }

    /// A record that the lookup has.
    pub(super) fn record(&self, node: &NodeId) -> Option<&SignedRecord> {
        self.candidates.get(&self.distance(node)).map(|candidate| &candidate.record)
    }

    /// Whose records need not be sent.
    pub(super) fn knows(&self) -> Vec<Knows> {
        let knows = |candidate: &Candidate| Knows {
            prefix: prefix(&candidate.record.node()),
            version: candidate.record.record().version,
        };
        self.candidates.values().take(MAX_KNOWS).map(knows).collect()
    }

    /// The nearest that answered, at most [`K`], of one subnet at most as many as may be.
    pub(super) fn closest(&self) -> Vec<SignedRecord> {
        let mut counts = SubnetCounts::default();
        self.answers()
            .filter(|candidate| self.counts(candidate, &mut counts))
            .take(K)
            .map(|candidate| candidate.record.clone())
            .collect()
    }

    /// The nearest that answered on one path, at most as many as are its part of [`K`].
    pub(super) fn closest_of(&self, path: usize) -> Vec<NodeId> {
        let mut counts = SubnetCounts::default();
        self.answers()
            .filter(|candidate| candidate.asked_by == Some(path) && self.counts(candidate, &mut counts))
            .take(K.div_ceil(self.paths))
            .map(|candidate| candidate.record.node())
            .collect()
    }

    /// Where to store: the nearest of each path, and then the nearest of all. A path that was led astray costs its part.
    pub(super) fn spread(&self) -> Vec<NodeId> {
        let mut chosen = Vec::with_capacity(K);
        let of_paths = (0..self.paths).flat_map(|path| self.closest_of(path));
        let all = self.closest().into_iter().map(|record| record.node());
        for node in of_paths.chain(all) {
            if chosen.len() < K && !chosen.contains(&node) {
                chosen.push(node);
            }
        }
        chosen
    }

    fn answers(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.values().filter(|candidate| candidate.state == State::Answered)
    }

    fn distance(&self, node: &NodeId) -> Distance {
        Key::from(*node).distance(&self.target)
    }

    fn counts(&self, candidate: &Candidate, counts: &mut SubnetCounts) -> bool {
        let has_room = counts.has_room(&candidate.subnets, self.limits.per_lookup);
        if has_room {
            counts.add(&candidate.subnets);
        }
        has_room
    }

    fn list(&mut self, record: SignedRecord, path: usize) {
        let node = record.node();
        if node == self.own || record.record().addresses.is_empty() {
            return;
        }
        let subnets = self.limits.of_record(&record);
        let candidate = self.candidates.entry(self.distance(&node)).or_insert_with(|| Candidate {
            record,
            subnets,
            listed: 0,
            asked_by: None,
            state: State::New,
        });
        candidate.listed |= 1 << path;
    }

    /// How many a path asks at a time. When it gets no nearer, its part of all that are left: Kademlia asks them at once (§2.3).
    fn width(&self, path: usize) -> usize {
        if self.arrived.contains(&path) {
            return K.div_ceil(self.paths).max(self.parallel);
        }
        self.parallel
    }

    fn nearest_of(&self, path: usize) -> Option<Distance> {
        self.candidates.iter().find(|(_, candidate)| candidate.is_on(path)).map(|(distance, _)| *distance)
    }

    /// What becomes of who was asked: gives the path that asked.
    fn settle(&mut self, node: &NodeId, state: State) -> Option<usize> {
        let distance = self.distance(node);
        let candidate = self.candidates.get_mut(&distance)?;
        if !matches!(candidate.state, State::Asked | State::Slow) {
            return None;
        }
        candidate.state = state;
        candidate.asked_by
    }

    fn under_way(&self, path: usize) -> usize {
        let is_under_way =
            |candidate: &&Candidate| candidate.state == State::Asked && candidate.asked_by == Some(path);
        self.candidates.values().filter(is_under_way).count()
    }

    /// The nearest that a path has not asked, if it is among the nearest of the path at all.
    fn next_of(&self, path: usize) -> Option<Distance> {
        let asked = self.candidates.values().filter(|candidate| candidate.asked_by == Some(path)).count();
        if asked >= ASKED {
            return None;
        }
        let mut counts = SubnetCounts::default();
        self.candidates
            .iter()
            .filter(|(_, candidate)| {
                candidate.is_on(path) && !matches!(candidate.state, State::Failed | State::Slow)
            })
            .filter(|(_, candidate)| self.counts(candidate, &mut counts))
            .take(K)
            .find(|(_, candidate)| candidate.state == State::New)
            .map(|(distance, _)| *distance)
    }

    /// Takes those who were not asked and are farthest off a path that has too many.
    fn forget_far(&mut self, path: usize) {
        let is_waiting = |candidate: &Candidate| candidate.is_on(path) && candidate.state == State::New;
        let waiting = self.candidates.iter().filter(|(_, candidate)| is_waiting(candidate));
        let far: Vec<_> = waiting.skip(LISTED).map(|(distance, _)| *distance).collect();
        for distance in far {
            if let Some(candidate) = self.candidates.get_mut(&distance) {
                candidate.listed &= !(1 << path);
                if candidate.listed == 0 {
                    self.candidates.remove(&distance);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
