//! Where nodes are, as their records say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use multiaddr::Multiaddr;

use crate::node_id::NodeId;

/// How many nodes are remembered; beyond it any of them is forgotten, and found again where it is needed.
const MAX: usize = 8_192;

/// Where nodes are. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<NodeId, Vec<Multiaddr>>>>);

impl Places {
    pub(super) fn of(&self, node: &NodeId) -> Vec<Multiaddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(node).cloned().unwrap_or_default()
    }

    pub(super) fn set(&self, node: NodeId, addresses: Vec<Multiaddr>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX
            && !places.contains_key(&node)
            && let Some(any) = places.keys().next().copied()
        {
            places.remove(&any);
        }
        places.insert(node, addresses);
    }

    pub(super) fn forget(&self, node: &NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
    }
}
