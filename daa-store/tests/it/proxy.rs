//! A network that fails: a TCP proxy that drops, delays and refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// Forwards connections to a server, until it is told otherwise.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    refuses: AtomicBool,
    delay: AtomicU64,
    loses_answers: AtomicBool,
    /// Changes when all connections are to be dropped.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            refuses: AtomicBool::new(false),
            delay: AtomicU64::new(0),
            loses_answers: AtomicBool::new(false),
            cuts: watch::Sender::new(0),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !shared.refuses.load(Ordering::Relaxed) {
                    tokio::spawn(forward(client, server, shared.clone()));
                }
            }
        });
        Self { address, state }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address().port()
    }

    /// Drops every connection, whatever is under way on it.
    pub(crate) fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Drops every connection, and closes new ones at once, or lets them through again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::Relaxed);
        if refuses {
            self.cut();
        }
    }

    /// Holds back what comes, in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.delay.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// Lets nothing come back from the server, or lets it through again.
    #[cfg(feature = "live-postgres")]
    pub(crate) fn lose_answers(&self, loses: bool) {
        self.state.loses_answers.store(loses, Ordering::Relaxed);
    }
}

async fn forward(client: TcpStream, server: SocketAddr, state: Arc<State>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut cuts = state.cuts.subscribe();
    cuts.borrow_and_update();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_lost = || state.loses_answers.load(Ordering::Relaxed);
    tokio::select! {
        _ = cuts.changed() => {}
        () = pump(&mut from_client, &mut to_server, &state, || false) => {}
        () = pump(&mut from_server, &mut to_client, &state, is_lost) => {}
    }
}

async fn pump(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    state: &State,
    is_lost: impl Fn() -> bool,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let delay = state.delay.load(Ordering::Relaxed);
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        if is_lost() {
            continue;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
