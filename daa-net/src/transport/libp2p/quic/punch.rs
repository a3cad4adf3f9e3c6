//! Holes in NATs: what this side does so that the other's call comes through.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{Making, QuicError};

/// The noise that is sent (the specification of DCUtR says: some bytes of it), and the pauses in between, in milliseconds.
const NOISE: usize = 64;
const PAUSE: std::ops::RangeInclusive<u64> = 10..=200;

/// The calls that are waited for, by where they come from.
#[derive(Debug, Default)]
pub(super) struct Punches(HashMap<SocketAddr, oneshot::Sender<Making>>);

impl Punches {
    /// Whoever calls from there is the one.
    pub(super) fn expect(&mut self, remote: SocketAddr) -> Result<oneshot::Receiver<Making>, QuicError> {
        // Those that nobody waits for any more.
        self.0.retain(|_, awaited| !awaited.is_closed());
        if self.0.contains_key(&remote) {
            return Err(QuicError::Punching(remote));
        }
        let (awaited, arrival) = oneshot::channel();
        self.0.insert(remote, awaited);
        Ok(arrival)
    }

    /// Who waits for a call from there.
    pub(super) fn take(&mut self, remote: &SocketAddr) -> Option<oneshot::Sender<Making>> {
        self.0.remove(remote).filter(|awaited| !awaited.is_closed())
    }
}

/// Sends noise to an address until a call comes from there.
pub(super) async fn until_it_comes(
    socket: &UdpSocket,
    remote: SocketAddr,
    arrival: oneshot::Receiver<Making>,
) -> Result<Making, QuicError> {
    tokio::select! {
        biased;
        arrived = arrival => arrived.map_err(|_| QuicError::NoListener),
        never = make_noise(socket, remote) => match never {},
    }
}

async fn make_noise(socket: &UdpSocket, remote: SocketAddr) -> std::convert::Infallible {
    let mut rng = rand::make_rng::<StdRng>();
    loop {
        let noise: [u8; NOISE] = rng.random();
        // One that is lost, on this side too, is followed by another.
        if let Err(error) = socket.send_to(&noise, remote) {
            tracing::trace!(%remote, %error, "a datagram of noise was not sent");
        }
        sleep(Duration::from_millis(rng.random_range(PAUSE))).await;
    }
}
