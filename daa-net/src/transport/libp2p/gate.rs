//! A behaviour of libp2p behind a gate: on a connection whose peer has not proved itself, it neither offers nor asks for anything.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, ConnectionHandlerEvent, FullyNegotiatedInbound, InboundUpgradeSend, ListenUpgradeError,
    SendWrapper,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
    SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use super::candidates::Candidates;
use super::whereabouts::is_candidate;

/// Whether the peer of a connection has proved itself.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_answering: AtomicBool,
    is_open: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// The peer has proved itself, and is answered. It may not answer yet: nothing is asked of it.
    pub(super) fn answer(&self) {
        self.is_answering.store(true, Ordering::Release);
    }

    /// The peer has proved itself, and answers too.
    pub(super) fn open(&self) {
        self.answer();
        self.is_open.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_open() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // All handlers of a connection are polled by one task.
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.clear();
            waiting.push(cx.waker().clone());
        }
        // It may have been opened in between.
        if self.is_open() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The gates of all connections; all behaviours of a node share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Gates(Arc<Mutex<HashMap<ConnectionId, Arc<Gate>>>>);

impl Gates {
    /// The gate of a connection that is being made, or is there.
    pub(super) fn of(&self, connection: ConnectionId) -> Arc<Gate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(connection).or_default().clone()
    }

    /// The connection is gone, or was never made.
    pub(super) fn forget(&self, connection: ConnectionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&connection);
    }
}

/// A behaviour behind the gate.
pub(super) struct Gated<B> {
    pub(super) inner: B,
    gates: Gates,
    candidates: Candidates,
}

impl<B> Gated<B> {
    pub(super) fn new(inner: B, gates: Gates) -> Self {
        Self { inner, gates, candidates: Candidates::new() }
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Gated<B> {
    type ConnectionHandler = GatedHandler<THandler<B>>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self.inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(GatedHandler { inner, gate: self.gates.of(connection) })
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner =
            self.inner.handle_established_outbound_connection(connection, peer, address, role, port)?;
        Ok(GatedHandler { inner, gate: self.gates.of(connection) })
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::NewExternalAddrCandidate(seen)
                if !is_candidate(seen.addr) || !self.candidates.takes(seen.addr) => {}
            event => self.inner.on_swarm_event(event),
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

/// A handler behind the gate: until it opens, no protocol is spoken, and what it wants to ask waits.
pub(super) struct GatedHandler<H> {
    inner: H,
    gate: Arc<Gate>,
}

impl<H: ConnectionHandler> ConnectionHandler for GatedHandler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = GatedUpgrade<H::InboundProtocol>;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        let is_open = self.gate.is_answering.load(Ordering::Acquire);
        self.inner.listen_protocol().map_upgrade(|inner| GatedUpgrade { inner: SendWrapper(inner), is_open })
    }

    fn connection_keep_alive(&self) -> bool {
        self.gate.is_open() && self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        match self.gate.poll(cx) {
            Poll::Ready(()) => self.inner.poll(cx),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.inner.on_connection_event(match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info }) => {
                ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info })
            }
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }) => {
                ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error })
            }
            ConnectionEvent::FullyNegotiatedOutbound(event) => {
                ConnectionEvent::FullyNegotiatedOutbound(event)
            }
            ConnectionEvent::DialUpgradeError(event) => ConnectionEvent::DialUpgradeError(event),
            ConnectionEvent::AddressChange(event) => ConnectionEvent::AddressChange(event),
            ConnectionEvent::LocalProtocolsChange(event) => ConnectionEvent::LocalProtocolsChange(event),
            ConnectionEvent::RemoteProtocolsChange(event) => ConnectionEvent::RemoteProtocolsChange(event),
            // Of a later version of libp2p: nothing that was asked for.
            _ => return,
        });
    }
}

/// The protocols of a handler, or none.
pub(super) struct GatedUpgrade<U> {
    inner: SendWrapper<U>,
    is_open: bool,
}

impl<U: InboundUpgradeSend> UpgradeInfo for GatedUpgrade<U> {
    type Info = <SendWrapper<U> as UpgradeInfo>::Info;
    type InfoIter = std::iter::Flatten<std::option::IntoIter<<SendWrapper<U> as UpgradeInfo>::InfoIter>>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.is_open.then(|| self.inner.protocol_info()).into_iter().flatten()
    }
}

impl<U: InboundUpgradeSend> InboundUpgrade<Stream> for GatedUpgrade<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_inbound(self, stream: Stream, info: Self::Info) -> Self::Future {
        InboundUpgrade::upgrade_inbound(self.inner, stream, info)
    }
}
