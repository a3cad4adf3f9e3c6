//! Keys that were verified, so that they travel but once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use daa_crypto::VerifyingKey;

use crate::node_id::NodeId;

/// How many keys are remembered: about 4 KB each.
const MAX: usize = 4_096;

/// Keys by node; who was used longest ago is forgotten first.
#[derive(Debug, Default)]
pub(crate) struct KeyBook(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    keys: HashMap<NodeId, (VerifyingKey, u64)>,
    turns: BTreeMap<u64, NodeId>,
    turn: u64,
}

impl KeyBook {
    /// The key of a node.
    pub(crate) fn key(&self, node: &NodeId) -> Option<VerifyingKey> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = keys.keys.get(node)?.0.clone();
        keys.put(*node, key.clone());
        Some(key)
    }

    pub(crate) fn put(&self, key: &VerifyingKey) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.put(NodeId::of(key), key.clone());
    }
}

impl Keys {
    fn put(&mut self, node: NodeId, key: VerifyingKey) {
        self.turn += 1;
        if let Some((_, before)) = self.keys.insert(node, (key, self.turn)) {
            self.turns.remove(&before);
        }
        self.turns.insert(self.turn, node);
        while self.keys.len() > MAX
            && let Some((_, oldest)) = self.turns.pop_first()
        {
            self.keys.remove(&oldest);
        }
    }
}
