//! Where nodes are, as their records say, and as this node was told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use multiaddr::Multiaddr;

use crate::node_id::NodeId;

/// How many nodes are remembered; beyond it any of them is forgotten, and found again where it is needed.
const MAX: usize = 8_192;

/// Where nodes are. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    recorded: HashMap<NodeId, Vec<Multiaddr>>,
    /// By who runs this node. It outlasts what records say: a node may be away and come back.
    told: HashMap<NodeId, Vec<Multiaddr>>,
}

fn set(places: &mut HashMap<NodeId, Vec<Multiaddr>>, node: NodeId, addresses: Vec<Multiaddr>) {
    if places.len() >= MAX
        && !places.contains_key(&node)
        && let Some(any) = places.keys().next().copied()
    {
        places.remove(&any);
    }
    places.insert(node, addresses);
}

impl Places {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was told comes first.
    pub(super) fn of(&self, node: &NodeId) -> Vec<Multiaddr> {
        let known = self.known();
        let mut addresses = known.told.get(node).cloned().unwrap_or_default();
        let recorded = known.recorded.get(node).into_iter().flatten();
        addresses.extend(
            recorded
                .filter(|address| !known.told.get(node).is_some_and(|told| told.contains(address)))
                .cloned(),
        );
        addresses
    }

    pub(super) fn set(&self, node: NodeId, addresses: Vec<Multiaddr>) {
        set(&mut self.known().recorded, node, addresses);
    }

    pub(super) fn tell(&self, node: NodeId, addresses: Vec<Multiaddr>) {
        set(&mut self.known().told, node, addresses);
    }

    /// What its record said.
    pub(super) fn forget(&self, node: &NodeId) {
        self.known().recorded.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_outlasts_what_records_say() {
        let (places, node) = (Places::default(), NodeId::from_bytes([1; 32]));
        let at = |port: u16| -> Multiaddr { format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap() };
        places.tell(node, vec![at(1)]);
        places.set(node, vec![at(2), at(1)]);
        assert_eq!(places.of(&node), [at(1), at(2)]);
        places.forget(&node);
        assert_eq!(places.of(&node), [at(1)]);
    }
}
