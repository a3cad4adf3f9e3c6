//! Nodes for tests.

use std::sync::Arc;

use daa_crypto::{CryptoSuite, SignatureAlgorithm};
use daa_net::auth::Auth;
use daa_net::stream::PeerStream;
use daa_net::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use daa_net::transport::{MemoryNetwork, SharedTransport, Transport, TransportEvent};
use daa_net::{NodeId, NodeIdentity};

pub(crate) fn suite() -> CryptoSuite {
    CryptoSuite::new()
}

pub(crate) fn identity() -> NodeIdentity {
    let key = suite().generate_signing_key(SignatureAlgorithm::MlDsa65).unwrap();
    NodeIdentity::new(Arc::new(key)).unwrap()
}

pub(crate) fn auth() -> Auth {
    auth_of(&identity(), "test")
}

pub(crate) fn auth_of(identity: &NodeIdentity, network: &str) -> Auth {
    Auth::new(suite(), identity.clone(), network.parse().unwrap())
}

/// Where nodes meet.
#[derive(Clone)]
pub(crate) enum World {
    Memory(MemoryNetwork),
    Libp2p(Vec<&'static str>),
}

impl World {
    pub(crate) fn memory() -> Self {
        Self::Memory(MemoryNetwork::new())
    }

    pub(crate) fn libp2p(listen: &[&'static str]) -> Self {
        Self::Libp2p(listen.to_vec())
    }

    pub(crate) async fn join(&self, auth: Auth) -> SharedTransport {
        match self {
            Self::Memory(network) => Arc::new(network.join(auth)),
            Self::Libp2p(listen) => {
                let options = listen.iter().fold(Libp2pOptions::new(), |options, address| {
                    options.listening_on(address.parse().unwrap())
                });
                Arc::new(Libp2pTransport::start(auth, options).await.unwrap())
            }
        }
    }

    /// Two nodes, the first of which has called the second.
    pub(crate) async fn pair(&self) -> (SharedTransport, SharedTransport) {
        let (a, b) = (self.join(auth()).await, self.join(auth()).await);
        assert_eq!(a.connect(Some(b.node()), &b.addresses()).await.unwrap(), b.node());
        connected(&*a, b.node()).await;
        connected(&*b, a.node()).await;
        (a, b)
    }
}

/// Waits until this node is connected.
pub(crate) async fn connected(transport: &dyn Transport, node: NodeId) {
    loop {
        match transport.next().await.unwrap() {
            TransportEvent::Connected(found) if found == node => return,
            TransportEvent::AddressesChanged | TransportEvent::Found(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn disconnected(transport: &dyn Transport, node: NodeId) {
    loop {
        match transport.next().await.unwrap() {
            TransportEvent::Disconnected(found) if found == node => return,
            TransportEvent::AddressesChanged | TransportEvent::Found(_) | TransportEvent::Stream(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Waits for a stream.
pub(crate) async fn stream(transport: &dyn Transport) -> PeerStream {
    loop {
        match transport.next().await.unwrap() {
            TransportEvent::Stream(stream) => return stream,
            TransportEvent::AddressesChanged | TransportEvent::Found(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
