//! Who to turn to for a service: what the network, this node's own book and its neighbours say, as one list.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daa_core::clock::Timestamp;

use super::key::Key;
use crate::node_id::NodeId;
use crate::record::{Service, SignedRecord};

/// How many candidates are looked at.
const MAX: usize = 4_096;

/// Who named a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Sighting {
    /// Those who keep providers for the network.
    Providers,
    /// This node's own book.
    Book,
    /// Members that talk to each other.
    Gossip,
}

/// How a node is, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// It was heard of lately.
    Healthy,
    /// Nothing is known.
    #[default]
    Unknown,
    /// It has not answered of late.
    Suspect,
    /// It is gone, or cannot be reached.
    Gone,
}

/// A node that may offer a service, as one of those who know it says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// What it has signed.
    pub record: SignedRecord,
    /// Who says so.
    pub sighting: Sighting,
    /// How it is.
    pub standing: Standing,
    /// How long a round trip to it takes, if that is known.
    pub latency: Option<Duration>,
}

impl Candidate {
    /// One of which no more is known.
    #[must_use]
    pub const fn new(record: SignedRecord, sighting: Sighting) -> Self {
        Self { record, sighting, standing: Standing::Unknown, latency: None }
    }

    /// That is like this.
    #[must_use]
    pub const fn with_standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// That answers after so long.
    #[must_use]
    pub const fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }
}

/// A node that offers a service, and what is known of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Discovered {
    /// The newest of what it has signed.
    pub record: SignedRecord,
    /// Who named it.
    pub sightings: BTreeSet<Sighting>,
    /// How it is.
    pub standing: Standing,
    /// How long a round trip to it takes, if that is known.
    pub latency: Option<Duration>,
}

/// What may be chosen about the ranking of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RankOptions {
    limit: usize,
    suspects: bool,
}

impl Default for RankOptions {
    /// 20 nodes, suspects after all others.
    fn default() -> Self {
        Self { limit: 20, suspects: true }
    }
}

impl RankOptions {
    /// At most so many, at least one.
    #[must_use]
    pub fn with_limit(mut self, nodes: usize) -> Self {
        self.limit = nodes.max(1);
        self
    }

    /// Without those who have not answered of late.
    #[must_use]
    pub const fn without_suspects(mut self) -> Self {
        self.suspects = false;
        self
    }
}

/// Makes one list of candidates: each node once, by its newest record; those who can be reached, are not gone and offer the
/// service; the healthy ones first, then by latency, those without one last. Of equals, each node has an order of its own, so that
/// not all turn to the same.
pub(crate) fn rank(
    own: NodeId,
    service: &Service,
    candidates: impl IntoIterator<Item = Candidate>,
    options: RankOptions,
    now: Timestamp,
) -> Vec<Discovered> {
    let mut nodes: BTreeMap<NodeId, Discovered> = BTreeMap::new();
    for candidate in candidates.into_iter().take(MAX).filter(|candidate| candidate.record.node() != own) {
        let Candidate { record, sighting, standing, latency } = candidate;
        nodes
            .entry(record.node())
            .and_modify(|known| known.add(&record, sighting, standing, latency))
            .or_insert(Discovered { record, sightings: BTreeSet::from([sighting]), standing, latency });
    }
    let is_good = |found: &Discovered| {
        let record = found.record.record();
        found.record.is_current(now)
            && record.services.contains(service)
            && !record.addresses.is_empty()
            && found.standing != Standing::Gone
            && (options.suspects || found.standing != Standing::Suspect)
    };
    let mut good: Vec<_> = nodes.into_values().filter(is_good).collect();
    let own = Key::from(own);
    good.sort_by_cached_key(|found| {
        let latency = found.latency.unwrap_or(Duration::MAX);
        (found.standing, latency, Key::from(found.record.node()).distance(&own))
    });
    good.truncate(options.limit);
    good
}

impl Discovered {
    fn add(
        &mut self,
        record: &SignedRecord,
        sighting: Sighting,
        standing: Standing,
        latency: Option<Duration>,
    ) {
        if record.record().version > self.record.record().version {
            self.record = record.clone();
        }
        self.sightings.insert(sighting);
        // Who knows something goes before who knows nothing, and bad news before good.
        self.standing = match (self.standing, standing) {
            (Standing::Unknown, known) | (known, Standing::Unknown) => known,
            (one, other) => one.max(other),
        };
        self.latency = self.latency.into_iter().chain(latency).min();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{HOUR, NOW, address, identity, issue, record};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn training() -> Service {
        "training".parse().unwrap()
    }

    fn offer(who: u64, version: u64) -> SignedRecord {
        issue(record(version).with_address(address(1)).with_service(training()), &identity(who))
    }

    fn seen(who: u64, sighting: Sighting) -> Candidate {
        Candidate::new(offer(who, 1), sighting)
    }

    fn order(candidates: Vec<Candidate>, options: RankOptions) -> Vec<NodeId> {
        let ranked = rank(identity(99).node(), &training(), candidates, options, NOW);
        ranked.iter().map(|found| found.record.node()).collect()
    }

    #[test]
    fn what_several_say_of_a_node_is_one() {
        let candidates = vec![
            seen(1, Sighting::Providers),
            Candidate::new(offer(1, 2), Sighting::Book).with_latency(MS * 50),
            seen(1, Sighting::Gossip).with_standing(Standing::Suspect).with_latency(MS * 20),
            seen(1, Sighting::Gossip).with_standing(Standing::Healthy),
        ];
        let ranked = rank(identity(99).node(), &training(), candidates, RankOptions::default(), NOW);
        let [found] = &ranked[..] else { panic!("{ranked:?}") };
        assert_eq!(found.record.record().version, 2);
        assert_eq!(found.sightings.len(), 3);
        assert_eq!((found.standing, found.latency), (Standing::Suspect, Some(MS * 20)));
    }

    #[test]
    fn the_healthy_and_near_are_first() {
        let candidates = vec![
            seen(1, Sighting::Book).with_standing(Standing::Suspect).with_latency(MS),
            seen(2, Sighting::Book).with_latency(MS),
            seen(3, Sighting::Gossip).with_standing(Standing::Healthy),
            seen(4, Sighting::Gossip).with_standing(Standing::Healthy).with_latency(MS * 90),
            seen(5, Sighting::Gossip).with_standing(Standing::Healthy).with_latency(MS * 30),
            seen(6, Sighting::Gossip).with_standing(Standing::Gone).with_latency(MS),
        ];
        let expected = [5, 4, 3, 2, 1].map(|who| identity(who).node());
        assert_eq!(order(candidates.clone(), RankOptions::default()), expected);
        assert_eq!(order(candidates.clone(), RankOptions::default().without_suspects()), expected[..4]);
        assert_eq!(order(candidates, RankOptions::default().with_limit(2)), expected[..2]);
    }

    #[test]
    fn who_cannot_help_is_left_out() {
        let other = issue(record(1).with_address(address(1)), &identity(1));
        let nowhere = issue(record(1).with_service(training()), &identity(2));
        let mut old = record(1).with_address(address(1)).with_service(training());
        old.expires = NOW + HOUR;
        let old = Candidate::new(issue(old, &identity(3)), Sighting::Book);
        let own = Candidate::new(offer(99, 1), Sighting::Book);
        let withdrawn = [Candidate::new(offer(4, 1), Sighting::Book), {
            Candidate::new(issue(record(2).with_address(address(1)), &identity(4)), Sighting::Gossip)
        }];
        let all = [other, nowhere].map(|record| Candidate::new(record, Sighting::Providers));
        let all: Vec<_> = all.into_iter().chain(withdrawn).chain([own, old]).collect();
        let at = |now| rank(identity(99).node(), &training(), all.clone(), RankOptions::default(), now).len();
        assert_eq!((at(NOW), at(NOW + HOUR)), (1, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// In whatever order they are named.
        #[test]
        fn the_order_of_the_sources_does_not_matter(
            shuffled in Just((0..6_u64).collect::<Vec<_>>()).prop_shuffle(),
            latencies in prop::collection::vec(prop::option::of(1..4_u32), 6),
        ) {
            let make = |who: u64| {
                let candidate = seen(who % 4, Sighting::Book);
                match latencies[who as usize] {
                    Some(latency) => candidate.with_latency(MS * latency),
                    None => candidate,
                }
            };
            let one = order((0..6).map(make).collect(), RankOptions::default());
            prop_assert_eq!(order(shuffled.into_iter().map(make).collect(), RankOptions::default()), one);
        }
    }
}
