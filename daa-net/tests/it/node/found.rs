//! What is said of nodes that nobody has named.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use daa_net::stream::{PeerStream, Protocol, StreamOptions};
use daa_net::transport::{ConnectError, SharedTransport, Transport, TransportError, TransportEvent};
use daa_net::{Node, NodeId, NodeOptions};
use libp2p::Multiaddr;
use tokio::sync::{Mutex, Notify, mpsc};

use crate::support::{World, auth};

/// A transport on which somebody says all the time that there are nodes, and nobody answers.
#[derive(Debug)]
struct Rumours {
    inner: SharedTransport,
    said: Mutex<mpsc::Receiver<Vec<Multiaddr>>>,
    calls: AtomicUsize,
    called: Notify,
}

#[async_trait]
impl Transport for Rumours {
    fn node(&self) -> NodeId {
        self.inner.node()
    }

    fn addresses(&self) -> Vec<Multiaddr> {
        self.inner.addresses()
    }

    fn peers(&self) -> Vec<NodeId> {
        self.inner.peers()
    }

    fn address_of(&self, node: &NodeId) -> Option<Multiaddr> {
        self.inner.address_of(node)
    }

    async fn connect(&self, _: Option<NodeId>, _: &[Multiaddr]) -> Result<NodeId, ConnectError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.called.notify_one();
        std::future::pending().await
    }

    async fn open(
        &self,
        node: NodeId,
        protocol: Protocol,
        options: StreamOptions,
    ) -> Result<PeerStream, TransportError> {
        self.inner.open(node, protocol, options).await
    }

    async fn disconnect(&self, node: NodeId) {
        self.inner.disconnect(node).await;
    }

    async fn next(&self) -> Option<TransportEvent> {
        match self.said.lock().await.recv().await {
            Some(found) => Some(TransportEvent::Found(found)),
            None => self.inner.next().await,
        }
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[tokio::test]
async fn whoever_is_said_to_be_there_is_called_a_few_at_a_time() {
    let auth = auth();
    let (say, said) = mpsc::channel(1);
    let (calls, called) = (AtomicUsize::new(0), Notify::new());
    let inner = World::memory().join(auth.clone()).await;
    let rumours = Arc::new(Rumours { inner, said: Mutex::new(said), calls, called });
    let node = Node::start(&auth, rumours.clone(), NodeOptions::new()).await.unwrap();
    let everywhere = |number: usize| format!("/ip4/10.0.0.{}/tcp/{}", number % 250, 1 + number / 250);
    for round in 0..100 {
        let found = (0..64).map(|number| everywhere(round * 64 + number).parse().unwrap()).collect();
        say.send(found).await.unwrap();
    }
    rumours.called.notified().await;
    // Those that were begun are tasks of this thread.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    drop(node);
    assert!(rumours.calls.load(Ordering::SeqCst) <= 16, "{}", rumours.calls.load(Ordering::SeqCst));
}
