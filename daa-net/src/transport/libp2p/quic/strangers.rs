//! Who is connected, and has not proved its node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::PeerId;
use quinn::{Connection, VarInt};

/// What a peer may send before somebody reads it, in bytes, while it is a stranger: enough for identify, ping, and the handshake.
pub(super) const STRANGER_WINDOW: u32 = 256 << 10;
/// The same, when it has proved itself: 1 Gbit/s over 130 ms.
const WINDOW: u32 = 16 << 20;
/// How many streams a stranger may have open.
pub(super) const STRANGER_STREAMS: u32 = 16;
/// The same, when it has proved itself: 128 are of this crate's protocol.
const STREAMS: u32 = 256;

/// The connections of strangers, by peer id.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Strangers(Arc<Mutex<HashMap<PeerId, Vec<Connection>>>>);

impl Strangers {
    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, Vec<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A peer is connected.
    pub(super) fn enter(&self, peer: PeerId, connection: Connection) -> Stranger {
        let id = connection.stable_id();
        self.lock().entry(peer).or_default().push(connection);
        Stranger { strangers: self.clone(), peer, id }
    }

    /// A peer has proved itself: all of its connections get room.
    pub(in super::super) fn proved(&self, peer: &PeerId) {
        for connection in self.lock().remove(peer).into_iter().flatten() {
            connection.set_receive_window(VarInt::from_u32(WINDOW));
            connection.set_max_concurrent_bi_streams(VarInt::from_u32(STREAMS));
        }
    }
}

/// Is dropped with its connection.
#[derive(Debug)]
pub(super) struct Stranger {
    strangers: Strangers,
    peer: PeerId,
    id: usize,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut all = self.strangers.lock();
        let Some(connections) = all.get_mut(&self.peer) else { return };
        let gone = connections.iter().position(|other| other.stable_id() == self.id);
        let gone = gone.map(|at| connections.swap_remove(at));
        if connections.is_empty() {
            all.remove(&self.peer);
        }
        // Its end may be dropped only when nobody else waits.
        drop(all);
        drop(gone);
    }
}
