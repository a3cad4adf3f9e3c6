//! Nodes of stock libp2p in one process, with bytes that travel for a while.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{AsyncRead, AsyncWrite};
use libp2p::core::transport::{MemoryTransport, Transport as _};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Swarm, SwarmBuilder, noise, yamux};
use tokio::time::{Instant, Sleep, sleep_until};

/// A node with this behaviour, which listens at `/memory/PLACE`.
pub(crate) fn node<B: NetworkBehaviour>(
    place: u64,
    one_way: Duration,
    behaviour: impl FnOnce(&Keypair) -> B,
) -> Swarm<B> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|key| {
            MemoryTransport::default()
                .map(move |channel, _| Delayed::new(channel, one_way))
                .upgrade(Version::V1)
                .authenticate(noise::Config::new(key).expect("a key"))
                .multiplex(yamux::Config::default())
        })
        .expect("a transport")
        .with_behaviour(|key| behaviour(key))
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    swarm.listen_on(format!("/memory/{place}").parse().expect("an address")).expect("a place");
    swarm
}

/// A connection on which what comes is given a while later.
struct Delayed<T> {
    stream: T,
    one_way: Duration,
    coming: VecDeque<(Instant, Vec<u8>)>,
    timer: Pin<Box<Sleep>>,
}

impl<T> Delayed<T> {
    fn new(stream: T, one_way: Duration) -> Self {
        Self { stream, one_way, coming: VecDeque::new(), timer: Box::pin(sleep_until(Instant::now())) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Delayed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let mut piece = [0; 16 << 10];
        while this.coming.back().is_none_or(|(_, bytes)| !bytes.is_empty()) {
            match Pin::new(&mut this.stream).poll_read(cx, &mut piece) {
                Poll::Pending => break,
                Poll::Ready(read) => {
                    this.coming.push_back((Instant::now() + this.one_way, piece[..read?].to_vec()));
                }
            }
        }
        let Some((arrives, bytes)) = this.coming.front_mut() else { return Poll::Pending };
        if *arrives > Instant::now() {
            this.timer.as_mut().reset(*arrives);
            ready!(this.timer.as_mut().poll(cx));
        }
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        bytes.drain(..len);
        // The end stays.
        if bytes.is_empty() && len > 0 {
            this.coming.pop_front();
        }
        Poll::Ready(Ok(len))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Delayed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
