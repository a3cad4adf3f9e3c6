//! QUIC, by quinn, as a transport of libp2p.
//!
//! One connection is one of quinn's; each of its bidirectional streams is one of libp2p's. Who calls is let in by [`Admission`]
//! before anything is computed for it: past a few, an address has to be proved first, by a retry (RFC 9000, 8.1.2). A peer that has
//! not proved its node gets small windows ([`Strangers`]).
//!
//! The one of two callers that plays the listener when both make a hole into their NATs does not call: it sends datagrams of noise
//! to the other until that one's call comes through ([`punch`]).

mod admission;
mod connection;
mod listener;
mod punch;
mod settings;
mod strangers;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use libp2p::core::Endpoint as Role;
use libp2p::core::multiaddr::Protocol as Part;
use libp2p::core::transport::{
    DialOpts, ListenerId, PortUse, Transport, TransportError as Failure, TransportEvent as Event,
};
use libp2p::{Multiaddr, PeerId};
use quinn::{Endpoint, Incoming};
use tokio::time::{Instant, timeout};

use super::tls::{Refused, Tls, proved};
use admission::{Admission, Answer, Place};
use connection::QuicConnection;
use listener::{Listener, Noticed};
use punch::{Hole, Punches};
use settings::Settings;

pub(super) use strangers::Strangers;

/// How long the handshake of who calls may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a call may take: its first packets may be lost, and an address has to be proved, perhaps.
const CALL: Duration = Duration::from_secs(10);
/// How many calls are answered before others have their turn.
const ANSWERS: usize = 64;

type Made = Result<(PeerId, QuicConnection), QuicError>;

/// A connection in the making.
pub(super) struct Making(Pin<Box<dyn Future<Output = Made> + Send>>);

impl Making {
    fn of(making: impl Future<Output = Made> + Send + 'static) -> Self {
        Self(Box::pin(making))
    }
}

impl Future for Making {
    type Output = Made;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Made> {
        self.0.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for Making {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Making").finish_non_exhaustive()
    }
}

/// QUIC, as libp2p needs it.
#[derive(Debug)]
pub(super) struct QuicTransport {
    settings: Settings,
    listeners: Vec<Listener>,
    /// From where peers are called while nothing listens that could be called from: of IPv4, of IPv6.
    callers: [Option<Endpoint>; 2],
    punches: Punches,
    admission: Admission,
    strangers: Strangers,
    waker: Option<Waker>,
}

impl QuicTransport {
    pub(super) fn new(tls: Tls, strangers: Strangers) -> Result<Self, QuicError> {
        Ok(Self {
            settings: Settings::new(tls)?,
            listeners: Vec::new(),
            callers: [None, None],
            punches: Punches::default(),
            admission: Admission::new(),
            strangers,
            waker: None,
        })
    }

    /// A listener from whose port that address can be called: always the same one, so that a NAT sees one port.
    fn listener_for(&self, remote: &SocketAddr) -> Option<&Listener> {
        self.listeners
            .iter()
            .filter(|listener| listener.reaches(remote))
            .min_by_key(|listener| listener.place())
    }

    /// Where to call an address from.
    fn endpoint_for(&mut self, remote: &SocketAddr, port: PortUse) -> io::Result<Endpoint> {
        if port == PortUse::New {
            return self.settings.caller(remote);
        }
        if let Some(listener) = self.listener_for(remote) {
            return Ok(listener.endpoint().clone());
        }
        let [four, six] = &mut self.callers;
        let caller = if remote.is_ipv4() { four } else { six };
        match caller {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Ok(caller.insert(self.settings.caller(remote)?).clone()),
        }
    }

    fn call(&mut self, remote: SocketAddr, peer: Option<PeerId>, port: PortUse) -> Result<Making, QuicError> {
        let endpoint = self.endpoint_for(&remote, port)?;
        let (settings, strangers) = (self.settings.clone(), self.strangers.clone());
        Ok(Making::of(async move {
            // What stands for the name is not sent.
            let name = remote.ip().to_string();
            let connecting = endpoint.connect_with(settings.client(peer)?, remote, &name)?;
            let connection = timeout(CALL, connecting).await.map_err(|_| QuicError::TimedOut)??;
            authenticated(connection, &strangers)
        }))
    }

    /// Lets a peer in that this node is to be called by, through two NATs.
    fn punch(&mut self, remote: SocketAddr, peer: PeerId) -> Result<Making, QuicError> {
        let listener = self.listener_for(&remote).ok_or(QuicError::NoListener)?;
        let socket = listener.socket()?;
        let arrivals = self.punches.expect(remote)?;
        Ok(Making::of(async move {
            let made = timeout(CALL, punch::until_it_comes(&socket, (remote, peer), arrivals));
            made.await.map_err(|_| QuicError::TimedOut)?
        }))
    }

    /// What becomes of somebody who calls.
    fn came(&mut self, incoming: Incoming) -> Option<Making> {
        let remote = incoming.remote_address();
        let is_proved = incoming.remote_address_validated();
        let admitted = match self.punches.of(&remote, is_proved) {
            Some(Hole::Open(awaited)) => {
                awaited.send(answer(incoming, None, self.strangers.clone()));
                return None;
            }
            Some(Hole::Crowded) if !is_proved => Answer::Retry,
            _ => self.admission.admit(remote, is_proved, Instant::now()),
        };
        match admitted {
            Answer::Accept(place) => Some(answer(incoming, Some(place), self.strangers.clone())),
            Answer::Retry => {
                if incoming.retry().is_err() {
                    tracing::debug!(%remote, "a call that was let in by a retry cannot be sent another one");
                }
                None
            }
            Answer::Refuse => {
                incoming.refuse();
                None
            }
            Answer::Ignore => {
                incoming.ignore();
                None
            }
        }
    }
}

/// The handshake with who called. Nothing is computed for it before this is polled: libp2p asks its limits before.
fn answer(incoming: Incoming, place: Option<Place>, strangers: Strangers) -> Making {
    Making::of(async move {
        let connecting = incoming.accept()?;
        let connection = timeout(HANDSHAKE, connecting).await.map_err(|_| QuicError::TimedOut)??;
        drop(place);
        authenticated(connection, &strangers)
    })
}

fn authenticated(connection: quinn::Connection, strangers: &Strangers) -> Made {
    let shown = connection.peer_identity().and_then(|shown| shown.downcast::<Vec<_>>().ok());
    let peer = proved(shown.as_deref().map_or(&[][..], Vec::as_slice))?;
    let stranger = strangers.enter(peer, connection.clone());
    Ok((peer, QuicConnection::new(connection, stranger)))
}

impl Transport for QuicTransport {
    type Output = (PeerId, QuicConnection);
    type Error = QuicError;
    type ListenerUpgrade = Making;
    type Dial = Making;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), Failure<QuicError>> {
        let Some((local, None)) = parse(&address) else {
            return Err(Failure::MultiaddrNotSupported(address));
        };
        let listener =
            Listener::new(id, local, &self.settings).map_err(|error| Failure::Other(error.into()))?;
        self.listeners.push(listener);
        // From now on it is the port that others see.
        let [four, six] = &mut self.callers;
        *(if local.is_ipv4() { four } else { six }) = None;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id() == id) else {
            return false;
        };
        listener.close();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Making, Failure<QuicError>> {
        let reachable = parse(&address).filter(|(ip, _)| ip.port() != 0 && !ip.ip().is_unspecified());
        let Some((remote, peer)) = reachable else { return Err(Failure::MultiaddrNotSupported(address)) };
        let making = match (options.role, peer) {
            (Role::Dialer, _) => self.call(remote, peer, options.port_use),
            (Role::Listener, Some(peer)) => self.punch(remote, peer),
            (Role::Listener, None) => return Err(Failure::MultiaddrNotSupported(address)),
        };
        making.map_err(Failure::Other)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event<Making, QuicError>> {
        let this = &mut *self;
        let mut answers = 0;
        let mut at = 0;
        while let Some(listener) = this.listeners.get_mut(at) {
            let id = listener.id();
            match listener.poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Noticed::Address(listen_addr)) => {
                    return Poll::Ready(Event::NewAddress { listener_id: id, listen_addr });
                }
                Poll::Ready(Noticed::AddressGone(listen_addr)) => {
                    return Poll::Ready(Event::AddressExpired { listener_id: id, listen_addr });
                }
                Poll::Ready(Noticed::Error(error)) => {
                    return Poll::Ready(Event::ListenerError { listener_id: id, error: error.into() });
                }
                Poll::Ready(Noticed::Closed(reason)) => {
                    this.listeners.swap_remove(at);
                    let reason = reason.map_err(QuicError::from);
                    return Poll::Ready(Event::ListenerClosed { listener_id: id, reason });
                }
                Poll::Ready(Noticed::Came(incoming)) => {
                    let local = listener.local(&incoming);
                    let remote = incoming.remote_address();
                    if let Some(upgrade) = this.came(incoming) {
                        // Who is flooded on one port listens on the others, too.
                        this.listeners.rotate_left(1);
                        let (local_addr, send_back_addr) = (multiaddr(local), multiaddr(remote));
                        return Poll::Ready(Event::Incoming {
                            listener_id: id,
                            upgrade,
                            local_addr,
                            send_back_addr,
                        });
                    }
                    answers += 1;
                    if answers == ANSWERS {
                        cx.waker().wake_by_ref();
                        break;
                    }
                }
            }
        }
        this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The address and the peer of `/ip4/…/udp/…/quic-v1`, with the peer or without.
fn parse(address: &Multiaddr) -> Option<(SocketAddr, Option<PeerId>)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Part::Ip4(ip) => ip.into(),
        Part::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let (Some(Part::Udp(port)), Some(Part::QuicV1)) = (parts.next(), parts.next()) else { return None };
    let peer = match (parts.next(), parts.next()) {
        (None, _) => None,
        (Some(Part::P2p(peer)), None) => Some(peer),
        _ => return None,
    };
    Some((SocketAddr::new(ip, port), peer))
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Part::Udp(address.port())).with(Part::QuicV1)
}

/// Why there is no connection, or not any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum QuicError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Connect(#[from] quinn::ConnectError),
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("there is no cipher for the first packets")]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    #[error("the handshake took too long")]
    TimedOut,
    #[error("nothing listens from which a hole could be made")]
    NoListener,
    #[error("a hole to {0} is being made already")]
    Punching(SocketAddr),
}

#[cfg(test)]
mod tests;
