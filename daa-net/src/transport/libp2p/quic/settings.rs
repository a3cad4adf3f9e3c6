//! How quinn is set.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use libp2p::PeerId;
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, NoneTokenStore, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::strangers::{STRANGER_STREAMS, STRANGER_WINDOW};
use crate::transport::libp2p::tls::Tls;

/// How long a connection is believed in on which nothing comes.
const IDLE: VarInt = VarInt::from_u32(10_000);
/// After so long without a packet one is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// What may come on one stream before somebody reads it, in bytes.
const STREAM_WINDOW: VarInt = VarInt::from_u32(4 << 20);
/// How many calls wait to be looked at, what each of them may send meanwhile, and all of them.
const WAITING: usize = 1_024;
const WAITING_BYTES: u64 = 16 << 10;
const ALL_WAITING_BYTES: u64 = 4 << 20;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    tls: Tls,
    transport: Arc<TransportConfig>,
    server: ServerConfig,
    endpoint: EndpointConfig,
}

impl Settings {
    pub(super) fn new(tls: Tls) -> Result<Self, NoInitialCipherSuite> {
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(STRANGER_STREAMS))
            // libp2p knows neither of them.
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .receive_window(VarInt::from_u32(STRANGER_WINDOW))
            .stream_receive_window(STREAM_WINDOW)
            .max_idle_timeout(Some(IdleTimeout::from(IDLE)))
            .keep_alive_interval(Some(KEEP_ALIVE))
            .allow_spin(false);
        let transport = Arc::new(transport);

        let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls.server())?));
        server
            .transport_config(Arc::clone(&transport))
            // The limits on subnets know a connection by the address from which it was made.
            .migration(false)
            .max_incoming(WAITING)
            .incoming_buffer_size(WAITING_BYTES)
            .incoming_buffer_size_total(ALL_WAITING_BYTES);
        server.validation_token.sent(0);

        let mut endpoint = EndpointConfig::default();
        endpoint.supported_versions(vec![1]);
        Ok(Self { tls, transport, server, endpoint })
    }

    /// For calling this peer, or anybody.
    pub(super) fn client(&self, expected: Option<PeerId>) -> Result<ClientConfig, NoInitialCipherSuite> {
        let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(self.tls.client(expected))?));
        client.transport_config(Arc::clone(&self.transport)).token_store(Arc::new(NoneTokenStore));
        Ok(client)
    }

    /// Can call and be called.
    pub(super) fn listener(&self, local: SocketAddr) -> io::Result<(Endpoint, UdpSocket)> {
        let socket = bind(local)?;
        let other = socket.try_clone()?;
        Ok((self.endpoint(Some(self.server.clone()), socket)?, other))
    }

    /// Can call that address, from any port.
    pub(super) fn caller(&self, remote: &SocketAddr) -> io::Result<Endpoint> {
        let any = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        self.endpoint(None, bind(SocketAddr::new(any, 0))?)
    }

    fn endpoint(&self, server: Option<ServerConfig>, socket: UdpSocket) -> io::Result<Endpoint> {
        Endpoint::new(self.endpoint.clone(), server, socket, Arc::new(TokioRuntime))
    }
}

fn bind(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    if local.is_ipv6() {
        // What listens to IPv4 is another listener.
        socket.set_only_v6(true)?;
    }
    socket.bind(&local.into())?;
    Ok(socket.into())
}
