//! What peers are worth: first deliveries speak for them, everything else against them. After gossipsub 1.1, with fewer terms.

use std::collections::BTreeMap;

use crate::node_id::NodeId;

/// Below this, nothing is compared with a peer.
pub(super) const GOSSIP: f64 = -10.0;
/// Below this, nothing of a peer is read.
pub(super) const IGNORED: f64 = -50.0;
/// The most peers that are judged at once.
const PEERS: usize = 10_000;
/// So many broken promises and disorderly acts are no offence: links lose messages.
const BROKEN: f64 = 5.0;
const DISORDERLY: f64 = 2.0;

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    first: f64,
    invalid: f64,
    broken: f64,
    disorderly: f64,
}

impl Record {
    fn score(self) -> f64 {
        let beyond = |count: f64, free: f64| (count - free).max(0.0).powi(2);
        let against = 10.0 * self.invalid.powi(2)
            + beyond(self.broken, BROKEN)
            + 5.0 * beyond(self.disorderly, DISORDERLY);
        self.first.min(20.0) * 0.5 - against
    }

    fn decay(&mut self) {
        self.first *= 0.97;
        self.invalid *= 0.99;
        self.broken *= 0.97;
        self.disorderly *= 0.95;
    }

    fn is_nothing(self) -> bool {
        self.first < 0.1 && self.invalid < 0.1 && self.broken < 0.1 && self.disorderly < 0.1
    }
}

/// Records outlive connections: who comes back is known.
#[derive(Debug, Default)]
pub(super) struct Scores(BTreeMap<NodeId, Record>);

impl Scores {
    pub(super) fn score(&self, peer: &NodeId) -> f64 {
        self.0.get(peer).map_or(0.0, |record| record.score())
    }

    /// It was the first with a message that was good.
    pub(super) fn first(&mut self, peer: NodeId) {
        self.change(peer, |record| record.first = (record.first + 1.0).min(50.0));
    }

    /// A message of it was forged, or refused by the application.
    pub(super) fn invalid(&mut self, peer: NodeId) {
        self.change(peer, |record| record.invalid += 1.0);
    }

    /// It had something, it said, and did not give it.
    pub(super) fn broken(&mut self, peer: NodeId) {
        self.change(peer, |record| record.broken += 1.0);
    }

    /// It sends too much, or joins where it was sent away.
    pub(super) fn disorderly(&mut self, peer: NodeId) {
        self.change(peer, |record| record.disorderly += 1.0);
    }

    /// A second is over.
    pub(super) fn decay(&mut self) {
        self.0.values_mut().for_each(Record::decay);
        self.0.retain(|_, record| !record.is_nothing());
    }

    fn change(&mut self, peer: NodeId, change: impl FnOnce(&mut Record)) {
        if self.0.len() >= PEERS && !self.0.contains_key(&peer) {
            // Whoever has the least to lose by being forgotten.
            let least = |record: &Record| record.score().abs();
            let by_least = self.0.iter().min_by(|(_, one), (_, other)| least(one).total_cmp(&least(other)));
            if let Some(node) = by_least.map(|(node, _)| *node) {
                self.0.remove(&node);
            }
        }
        change(self.0.entry(peer).or_default());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_le_bytes());
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn few_forgeries_are_enough_and_few_losses_are_not() {
        let mut scores = Scores::default();
        (0..100).for_each(|_| scores.first(id(1)));
        assert!((9.0..=10.0).contains(&scores.score(&id(1))), "what is good has an end");
        (0..3).for_each(|_| scores.invalid(id(1)));
        assert!(scores.score(&id(1)) < IGNORED);
        (0..5).for_each(|_| scores.broken(id(2)));
        (0..2).for_each(|_| scores.disorderly(id(2)));
        assert!(scores.score(&id(2)) >= 0.0);
        (0..4).for_each(|_| scores.broken(id(2)));
        assert!(scores.score(&id(2)) < GOSSIP);
    }

    #[test]
    fn everything_is_forgotten_in_time_and_there_is_an_end_to_it() {
        let mut scores = Scores::default();
        scores.invalid(id(0));
        (0..=10_000).for_each(|number| scores.first(id(number)));
        assert_eq!(scores.len(), PEERS);
        assert!(scores.score(&id(0)) < 0.0, "who is good makes room first");
        (0..300).for_each(|_| scores.decay());
        assert_eq!(scores.len(), 0);
    }
}
