//! Claims that ride on probes, each so many times.

use std::collections::BTreeMap;

use super::wire::Claim;
use crate::node_id::NodeId;

/// A claim is sent so many times for each power of ten of members.
const TIMES: u32 = 4;

/// The latest claim about each member that is still to be spread. There is one for each member at most.
#[derive(Debug, Default)]
pub(super) struct Rumours(BTreeMap<NodeId, (Claim, u32)>);

impl Rumours {
    pub(super) fn put(&mut self, claim: Claim) {
        self.0.insert(claim.node, (claim, 0));
    }

    pub(super) fn remove(&mut self, node: &NodeId) {
        self.0.remove(node);
    }

    /// The claims that were sent the fewest times, which does not count.
    pub(super) fn look(&self, count: usize) -> Vec<Claim> {
        let claim = |node: NodeId| self.0.get(&node).map(|(claim, _)| *claim);
        self.least(count).into_iter().filter_map(claim).collect()
    }

    fn least(&self, count: usize) -> Vec<NodeId> {
        let mut all: Vec<_> = self.0.iter().map(|(node, (_, times))| (*times, *node)).collect();
        all.sort_unstable();
        all.into_iter().take(count).map(|(_, node)| node).collect()
    }

    /// The claims that were sent the fewest times.
    pub(super) fn take(&mut self, count: usize, members: usize) -> Vec<Claim> {
        let powers = u32::try_from(members + 1).unwrap_or(u32::MAX).ilog10() + 1;
        let mut taken = Vec::new();
        for node in self.least(count) {
            let Some((claim, times)) = self.0.get_mut(&node) else { continue };
            taken.push(*claim);
            *times += 1;
            if *times >= TIMES * powers {
                self.0.remove(&node);
            }
        }
        taken
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Standing;
    use super::*;

    fn claim(node: u8, incarnation: u64) -> Claim {
        let node = NodeId::from_bytes([node; 32]);
        Claim { node, incarnation, record: 0, standing: Standing::Alive }
    }

    #[test]
    fn each_is_sent_so_many_times_and_the_newest_begins_again() {
        let mut rumours = Rumours::default();
        rumours.put(claim(1, 1));
        assert_eq!(rumours.take(5, 3).len(), 1);
        rumours.put(claim(2, 1));
        assert_eq!(rumours.take(1, 3), [claim(2, 1)], "the one that was sent less");
        rumours.put(claim(1, 2));
        let sent: Vec<_> = std::iter::from_fn(|| rumours.take(1, 3).pop()).collect();
        assert_eq!(sent.iter().filter(|sent| **sent == claim(1, 2)).count(), 4);
        assert_eq!(sent.iter().filter(|sent| **sent == claim(2, 1)).count(), 3);
        assert_eq!(rumours.len(), 0);
    }
}
