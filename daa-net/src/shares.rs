//! What peers use of a node at once, such as places or bytes: so much of it for all, and so much for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::node_id::NodeId;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) all: usize,
    pub(crate) of_peer: usize,
    /// This much each peer has, whatever the others use.
    pub(crate) sure: usize,
}

/// What is used. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    bounds: Bounds,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug, Default)]
struct Used {
    all: usize,
    of_peers: HashMap<NodeId, usize>,
}

/// What a peer uses; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    peer: NodeId,
    amount: usize,
}

impl Shares {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, used: Arc::default() }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing yet, for a peer.
    pub(crate) const fn share(self, peer: NodeId) -> Share {
        Share { shares: self, peer, amount: 0 }
    }

    /// So much for a peer, if it may have that.
    pub(crate) fn take(&self, peer: NodeId, amount: usize) -> Option<Share> {
        let mut share = self.clone().share(peer);
        share.grow(amount).then_some(share)
    }
}

impl Share {
    /// So much more, if the peer may have that; whether it has it now.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let Bounds { all, of_peer, sure } = self.shares.bounds;
        let mut used = self.shares.used();
        let of_this = used.of_peers.get(&self.peer).copied().unwrap_or_default().saturating_add(more);
        let of_all = used.all.saturating_add(more);
        if of_this > sure && (of_this > of_peer || of_all > all) {
            return false;
        }
        used.all = of_all;
        used.of_peers.insert(self.peer, of_this);
        drop(used);
        self.amount += more;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self.shares.used();
        used.all -= self.amount;
        if let Some(of_this) = used.of_peers.get_mut(&self.peer) {
            *of_this -= self.amount;
            if *of_this == 0 {
                used.of_peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { all: 10, of_peer: 4, sure: 2 };

    fn peer(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    /// How much, and by how many.
    fn in_use(shares: &Shares) -> (usize, usize) {
        let used = shares.used();
        (used.all, used.of_peers.len())
    }

    #[test]
    fn a_peer_has_its_part_and_what_is_sure_whatever_others_use() {
        let shares = Shares::new(BOUNDS);
        let mut taken = vec![shares.take(peer(1), 4).unwrap()];
        assert!(shares.take(peer(1), 1).is_none(), "one peer");
        taken.push(shares.take(peer(2), 4).unwrap());
        let mut last = shares.take(peer(3), 2).unwrap();
        assert!(!last.grow(1), "all");
        let sure = shares.take(peer(4), 2).unwrap();
        assert!(shares.take(peer(4), 1).is_none());
        drop((taken, sure));
        assert!(last.grow(2) && !last.grow(1));
        drop(last);
        assert_eq!(in_use(&shares), (0, 0), "all was given back");
    }

    #[test]
    fn what_is_refused_is_not_used() {
        let shares = Shares::new(BOUNDS);
        assert!(shares.take(peer(1), 5).is_none());
        assert!(shares.take(peer(1), usize::MAX).is_none());
        assert_eq!(in_use(&shares), (0, 0));
        assert!(shares.take(peer(1), 4).is_some());
    }
}
