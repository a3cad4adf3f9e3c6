//! A port that is listened on, and the addresses at which that is.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};

use if_watch::IfEvent;
use if_watch::tokio::IfWatcher;
use libp2p::Multiaddr;
use libp2p::core::transport::ListenerId;
use quinn::{Endpoint, Incoming};

use super::multiaddr;
use super::settings::Settings;

/// What a listener has to say.
#[derive(Debug)]
pub(super) enum Noticed {
    /// It listens there.
    Address(Multiaddr),
    /// There it does not listen any more.
    AddressGone(Multiaddr),
    /// Somebody calls.
    Came(Incoming),
    /// The addresses of this machine could not be learnt.
    Error(io::Error),
    /// The last thing that is said.
    Closed(io::Result<()>),
}

type Accept = Pin<Box<dyn Future<Output = Option<Incoming>> + Send>>;

pub(super) struct Listener {
    id: ListenerId,
    local: SocketAddr,
    endpoint: Endpoint,
    /// The same one as the endpoint's.
    socket: UdpSocket,
    accept: Accept,
    /// Where this listens on all addresses, who tells which these are.
    watcher: Option<IfWatcher>,
    addresses: BTreeSet<IpAddr>,
    noticed: VecDeque<Noticed>,
    is_closed: bool,
}

impl Listener {
    pub(super) fn new(id: ListenerId, local: SocketAddr, settings: &Settings) -> io::Result<Self> {
        let (endpoint, socket) = settings.listener(local)?;
        let local = socket.local_addr()?;
        let watcher = local.ip().is_unspecified().then(IfWatcher::new).transpose()?;
        let accept = accept(endpoint.clone());
        let mut listener = Self {
            id,
            local,
            endpoint,
            socket,
            accept,
            watcher,
            addresses: BTreeSet::new(),
            noticed: VecDeque::new(),
            is_closed: false,
        };
        if listener.watcher.is_none() {
            listener.up(local.ip());
        }
        Ok(listener)
    }

    pub(super) const fn id(&self) -> ListenerId {
        self.id
    }

    /// Where it listens, as the socket has it.
    pub(super) const fn place(&self) -> SocketAddr {
        self.local
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One more handle to the socket.
    pub(super) fn socket(&self) -> io::Result<UdpSocket> {
        self.socket.try_clone()
    }

    /// The address that somebody has called.
    pub(super) fn local(&self, incoming: &Incoming) -> SocketAddr {
        SocketAddr::new(incoming.local_ip().unwrap_or(self.local.ip()), self.local.port())
    }

    /// Whether an address can be called from here.
    pub(super) fn reaches(&self, remote: &SocketAddr) -> bool {
        let is_loopback = |ip: &IpAddr| ip.is_loopback();
        let reaches = if remote.ip().is_loopback() {
            self.addresses.iter().any(is_loopback)
        } else {
            !self.local.ip().is_loopback()
        };
        !self.is_closed && self.local.is_ipv4() == remote.is_ipv4() && reaches
    }

    /// Listens no more. The connections that came this way stay.
    pub(super) fn close(&mut self) {
        self.end(Ok(()));
    }

    fn end(&mut self, reason: io::Result<()>) {
        if self.is_closed {
            return;
        }
        self.is_closed = true;
        self.endpoint.set_server_config(None);
        self.watcher = None;
        self.noticed.clear();
        self.noticed.push_back(Noticed::Closed(reason));
    }

    fn up(&mut self, ip: IpAddr) {
        if is_callable(ip) && ip.is_ipv4() == self.local.is_ipv4() && self.addresses.insert(ip) {
            self.noticed.push_back(Noticed::Address(self.at(ip)));
        }
    }

    fn down(&mut self, ip: IpAddr) {
        if self.addresses.remove(&ip) {
            self.noticed.push_back(Noticed::AddressGone(self.at(ip)));
        }
    }

    fn at(&self, ip: IpAddr) -> Multiaddr {
        multiaddr(SocketAddr::new(ip, self.local.port()))
    }

    fn watch(&mut self, cx: &mut Context<'_>) {
        while let Some(watcher) = &mut self.watcher {
            match watcher.poll_if_event(cx) {
                Poll::Ready(Ok(IfEvent::Up(net))) => self.up(net.addr()),
                Poll::Ready(Ok(IfEvent::Down(net))) => self.down(net.addr()),
                Poll::Ready(Err(error)) => {
                    // It would say the same again.
                    self.watcher = None;
                    self.noticed.push_back(Noticed::Error(error));
                }
                Poll::Pending => return,
            }
        }
    }

    /// What is new. After [`Noticed::Closed`] it is not to be asked.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Noticed> {
        self.watch(cx);
        if let Some(noticed) = self.noticed.pop_front() {
            return Poll::Ready(noticed);
        }
        match self.accept.as_mut().poll(cx) {
            Poll::Ready(Some(incoming)) => {
                self.accept = accept(self.endpoint.clone());
                Poll::Ready(Noticed::Came(incoming))
            }
            Poll::Ready(None) => {
                self.end(Err(io::ErrorKind::NotConnected.into()));
                self.noticed.pop_front().map_or(Poll::Pending, Poll::Ready)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("id", &self.id)
            .field("local", &self.local)
            .field("addresses", &self.addresses)
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}

fn accept(endpoint: Endpoint) -> Accept {
    Box::pin(async move { endpoint.accept().await })
}

/// Whether somebody can call it as it stands: an address of a link needs to say of which, and an address of libp2p does not.
fn is_callable(ip: IpAddr) -> bool {
    !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}
