//! The names that a node keeps for the network: who came first stays.

use std::collections::BTreeMap;

use daa_core::clock::Timestamp;

use super::name::Name;
use super::record::{Descent, NAME_GRACE, SignedName};
use crate::discovery::Key;
use crate::network::NetworkName;
use crate::node_id::NodeId;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) names: usize,
    pub(super) bytes: usize,
    /// Names that one peer has brought.
    pub(super) per_peer: usize,
}

/// Some 25 MB of names that never changed hands.
const BOUNDS: Bounds = Bounds { names: 2_048, bytes: 32 << 20, per_peer: 64 };

#[derive(Debug)]
struct Held {
    name: SignedName,
    brought_by: NodeId,
    /// Others near the place were asked.
    is_firm: bool,
}

/// What became of a name that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Kept,
    /// It is kept, but nothing was known of it: others are to be asked before it is told to anybody.
    Unsure,
    Refused,
}

#[derive(Debug)]
pub(crate) struct NameStore {
    own: Key,
    network: NetworkName,
    bounds: Bounds,
    /// By their places.
    names: BTreeMap<Key, Held>,
    bytes: usize,
}

impl NameStore {
    pub(crate) const fn new(own: Key, network: NetworkName) -> Self {
        Self::bounded(own, network, BOUNDS)
    }

    pub(super) const fn bounded(own: Key, network: NetworkName, bounds: Bounds) -> Self {
        Self { own, network, bounds, names: BTreeMap::new(), bytes: 0 }
    }

    /// Keeps a record, if the name is nobody else's as far as is known, nothing newer is known, and there is room.
    pub(crate) fn put(&mut self, name: SignedName, brought_by: NodeId, now: Timestamp) -> Put {
        self.expire(now);
        let key = self.key(&name.record().name);
        let held = self.names.get(&key).map(|held| (name.descent(&held.name), held.is_firm));
        let (is_firm, put) = match held {
            Some((Descent::Same, _)) => return Put::Kept,
            Some((Descent::Newer, is_firm)) => (is_firm, Put::Kept),
            Some(_) => return Put::Refused,
            None => (false, Put::Unsure),
        };
        let size = name.as_bytes().len();
        let has_room = match held {
            None => self.make_room(&key, size, &brought_by),
            // What comes after may be larger, and is not refused for that while there are bytes.
            Some(_) => self.bytes + size <= self.bounds.bytes + self.size(&key),
        };
        if !has_room {
            return Put::Refused;
        }
        let brought_by = self.remove(&key).map_or(brought_by, |held| held.brought_by);
        self.bytes += size;
        self.names.insert(key, Held { name, brought_by, is_firm });
        put
    }

    /// Others were asked: most of them have this, or there is nothing that most have.
    pub(crate) fn confirm(&mut self, name: &Name, found: Option<SignedName>) {
        let key = self.key(name);
        let room = (self.bounds.bytes + self.size(&key)).saturating_sub(self.bytes);
        let Some(held) = self.names.get_mut(&key) else { return };
        held.is_firm = true;
        if let Some(found) = found
            && matches!(found.descent(&held.name), Descent::Newer | Descent::Stranger)
            && found.as_bytes().len() <= room
        {
            self.bytes = self.bytes + found.as_bytes().len() - held.name.as_bytes().len();
            held.name = found;
        }
    }

    /// What is known of a name, and can be told.
    pub(crate) fn name(&self, name: &Name, now: Timestamp) -> Option<&SignedName> {
        self.at(&self.key(name), now)
    }

    /// The same by the place of the name.
    pub(crate) fn at(&self, key: &Key, now: Timestamp) -> Option<&SignedName> {
        let held = self.names.get(key)?;
        (held.is_firm && held.name.is_current(now)).then_some(&held.name)
    }

    /// What is held of a name, whether or not it may be told.
    pub(crate) fn held(&self, name: &Name) -> Option<&SignedName> {
        self.names.get(&self.key(name)).map(|held| &held.name)
    }

    pub(crate) fn forget(&mut self, name: &Name) {
        self.remove(&self.key(name));
    }

    /// Whether exactly these bytes are kept already.
    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        let held = SignedName::peek(bytes).and_then(|name| self.names.get(&self.key(&name)));
        held.is_some_and(|held| held.name.as_bytes() == bytes)
    }

    pub(crate) fn expire(&mut self, now: Timestamp) {
        let is_over = |held: &Held| held.name.record().expires + NAME_GRACE <= now;
        let over: Vec<_> = self.names.iter().filter(|(_, held)| is_over(held)).map(|(key, _)| *key).collect();
        for key in over {
            self.remove(&key);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    fn key(&self, name: &Name) -> Key {
        Key::of_name(&self.network, name.label())
    }

    fn size(&self, key: &Key) -> usize {
        self.names.get(key).map_or(0, |held| held.name.as_bytes().len())
    }

    fn remove(&mut self, key: &Key) -> Option<Held> {
        let held = self.names.remove(key)?;
        self.bytes -= held.name.as_bytes().len();
        Some(held)
    }

    /// When there is no room, the name that is farthest from this node makes room: others are nearer to it.
    fn make_room(&mut self, key: &Key, size: usize, brought_by: &NodeId) -> bool {
        if self.names.values().filter(|held| held.brought_by == *brought_by).count() >= self.bounds.per_peer {
            return false;
        }
        while self.names.len() >= self.bounds.names || self.bytes + size > self.bounds.bytes {
            let distance = |key: &Key| key.distance(&self.own);
            let farthest = self.names.keys().copied().max_by_key(distance);
            let far = farthest.filter(|far| distance(far) > distance(key));
            let Some(far) = far else { return false };
            self.remove(&far);
        }
        true
    }
}
