//! What a node remembers of its peers goes when they go.

use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::ManualClock;
use daa_crypto::CryptoSuite;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::broadcast;

use super::NodeOptions;
use super::control::CONTROL;
use super::run::{Task, prepare};
use crate::auth::Auth;
use crate::node_id::NodeId;
use crate::stream::{PeerStream, StreamOptions};
use crate::testing::{BEGIN, identity, network};
use crate::transport::{MemoryNetwork, MemoryTransport, Transport as _, TransportEvent};

fn auth(of: usize) -> Auth {
    Auth::new(CryptoSuite::new(), identity(of).clone(), network())
}

struct World {
    task: Task,
    clock: Arc<ManualClock>,
    memory: MemoryNetwork,
}

impl World {
    async fn new() -> Self {
        let (memory, clock) = (MemoryNetwork::new(), Arc::new(ManualClock::new(BEGIN)));
        let transport = Arc::new(memory.join(auth(0)));
        let options = NodeOptions::new().with_clock(clock.clone());
        let (_, task) = prepare(&auth(0), transport, options, broadcast::channel(16).0).await.unwrap();
        Self { task, clock, memory }
    }

    /// Another node, which has called this one.
    async fn peer(&mut self, of: usize) -> MemoryTransport {
        let peer = self.memory.join(auth(of));
        let addresses = self.task.shared.transport.addresses();
        peer.connect(Some(self.task.shared.transport.node()), &addresses).await.unwrap();
        self.hear(|event| matches!(event, TransportEvent::Connected(_))).await;
        peer
    }

    /// Hears of what happens, until this has happened too.
    async fn hear(&mut self, is_it: impl Fn(&TransportEvent) -> bool) {
        loop {
            let event = self.task.shared.transport.next().await.unwrap();
            let is_it = is_it(&event);
            self.task.happened(event);
            if is_it {
                return;
            }
        }
    }

    /// A peer opens a stream on which machines are spoken to.
    async fn speaks(&mut self, peer: &MemoryTransport) -> PeerStream {
        let us = self.task.shared.transport.node();
        let mut stream = peer.open(us, CONTROL, StreamOptions::default()).await.unwrap();
        stream.flush().await.unwrap();
        self.hear(|event| matches!(event, TransportEvent::Stream(_))).await;
        stream
    }

    fn says_what_is_wrong(&mut self, node: NodeId) {
        // Of membership, and nothing that it knows.
        self.task.receive(node, &[1, 0xff]);
    }

    fn sizes(&self) -> (usize, usize) {
        (self.task.readers.len(), self.task.wrong.len())
    }
}

#[tokio::test]
async fn a_peer_has_one_reader_and_none_when_it_is_gone() {
    let mut world = World::new().await;
    let (one, other) = (world.peer(1).await, world.peer(2).await);
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(world.speaks(&one).await);
        streams.push(world.speaks(&other).await);
    }
    assert_eq!(world.sizes(), (2, 0));
    one.disconnect(world.task.shared.transport.node()).await;
    world.hear(|event| matches!(event, TransportEvent::Disconnected(_))).await;
    assert_eq!(world.sizes(), (1, 0));
    assert!(world.task.readers.contains_key(&other.node()));
    other.close().await;
    world.hear(|event| matches!(event, TransportEvent::Disconnected(_))).await;
    assert_eq!(world.sizes(), (0, 0));
}

#[tokio::test]
async fn what_a_peer_said_wrongly_is_forgotten_in_time_and_when_it_is_gone() {
    let mut world = World::new().await;
    let (one, other) = (world.peer(1).await, world.peer(2).await);
    world.says_what_is_wrong(one.node());
    world.says_what_is_wrong(one.node());
    assert_eq!(world.task.wrong[&one.node()].0, 2);
    world.clock.advance(Duration::from_secs(61));
    world.says_what_is_wrong(other.node());
    assert_eq!(world.sizes(), (0, 1), "that was a minute ago");
    world.says_what_is_wrong(one.node());
    one.close().await;
    world.hear(|event| matches!(event, TransportEvent::Disconnected(_))).await;
    assert_eq!(world.sizes(), (0, 1));
    // What it has said before is read after that.
    world.says_what_is_wrong(one.node());
    assert_eq!(world.sizes(), (0, 1), "nobody would forget it");
    for _ in 0..16 {
        world.says_what_is_wrong(other.node());
    }
    assert_eq!(world.sizes(), (0, 0), "it is disconnected");
    world.hear(|event| matches!(event, TransportEvent::Disconnected(_))).await;
}
