//! TLS over a stream of bytes: TCP, WebSocket, a relay.

use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;

use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use futures_util::{AsyncRead, AsyncWrite};
use libp2p::PeerId;
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use rustls::pki_types::ServerName;

use super::verifier::{Refused, proved};
use super::{ALPN, Tls};

/// How a connection of libp2p comes to TLS. Whom it reaches is compared by libp2p afterwards: it is not told before.
#[derive(Clone, Debug)]
pub(in super::super) struct TlsUpgrade(Tls);

impl TlsUpgrade {
    pub(in super::super) const fn new(tls: Tls) -> Self {
        Self(tls)
    }
}

/// Why a connection does not come to TLS.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum UpgradeError {
    #[error("the handshake of TLS has failed")]
    Handshake(#[from] io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
}

type Upgrade<C> = Pin<Box<dyn Future<Output = Result<(PeerId, TlsStream<C>), UpgradeError>> + Send>>;

impl UpgradeInfo for TlsUpgrade {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/tls/1.0.0")
    }
}

impl<C> InboundConnectionUpgrade<C> for TlsUpgrade
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, TlsStream<C>);
    type Error = UpgradeError;
    type Future = Upgrade<C>;

    fn upgrade_inbound(self, stream: C, _: Self::Info) -> Self::Future {
        Box::pin(async move {
            let stream = TlsAcceptor::from(self.0.server()).accept(stream).await?;
            authenticated(stream.into())
        })
    }
}

impl<C> OutboundConnectionUpgrade<C> for TlsUpgrade
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, TlsStream<C>);
    type Error = UpgradeError;
    type Future = Upgrade<C>;

    fn upgrade_outbound(self, stream: C, _: Self::Info) -> Self::Future {
        Box::pin(async move {
            // It is not sent.
            let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::UNSPECIFIED));
            let stream = TlsConnector::from(self.0.client(None)).connect(name, stream).await?;
            authenticated(stream.into())
        })
    }
}

fn authenticated<C>(stream: TlsStream<C>) -> Result<(PeerId, TlsStream<C>), UpgradeError> {
    let (_, state) = stream.get_ref();
    if state.alpn_protocol() != Some(ALPN) {
        return Err(Refused::Protocol.into());
    }
    let peer = proved(state.peer_certificates().unwrap_or_default())?;
    Ok((peer, stream))
}
