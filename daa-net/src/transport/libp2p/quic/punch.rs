//! Holes in NATs: what this side does so that the other's call comes through.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use libp2p::PeerId;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Made, Making, QuicError};
use crate::transport::libp2p::tls::Refused;

/// The noise that is sent (the specification of DCUtR says: some bytes of it), and the pauses in between, in milliseconds.
const NOISE: usize = 64;
const PAUSE: std::ops::RangeInclusive<u64> = 10..=200;
/// How many calls from one address wait for their handshake: a source can be made up.
const CALLS: usize = 4;

/// The calls that are waited for, by where they come from.
#[derive(Debug, Default)]
pub(super) struct Punches(HashMap<SocketAddr, mpsc::Sender<Making>>);

impl Punches {
    /// Whoever calls from there may be the one.
    pub(super) fn expect(&mut self, remote: SocketAddr) -> Result<mpsc::Receiver<Making>, QuicError> {
        // Those that nobody waits for any more.
        self.0.retain(|_, awaited| !awaited.is_closed());
        if self.0.contains_key(&remote) {
            return Err(QuicError::Punching(remote));
        }
        let (awaited, arrivals) = mpsc::channel(CALLS);
        self.0.insert(remote, awaited);
        Ok(arrivals)
    }

    /// Whether a call from there is waited for. One place is left for who has proved that it is there.
    pub(super) fn of(&self, remote: &SocketAddr, is_proved: bool) -> Option<Hole<'_>> {
        let awaited = self.0.get(remote).filter(|awaited| !awaited.is_closed())?;
        let left = usize::from(!is_proved);
        let place = (awaited.capacity() > left).then(|| awaited.try_reserve().ok()).flatten();
        Some(place.map_or(Hole::Crowded, Hole::Open))
    }
}

/// Where a call is waited for.
#[derive(Debug)]
pub(super) enum Hole<'a> {
    /// It is handed over here.
    Open(mpsc::Permit<'a, Making>),
    /// There are too many of them, most of which are made up.
    Crowded,
}

/// Sends noise to an address until a call comes from there, and its handshake is done.
pub(super) async fn until_it_comes(
    socket: &UdpSocket,
    (remote, peer): (SocketAddr, PeerId),
    arrivals: mpsc::Receiver<Making>,
) -> Made {
    tokio::select! {
        made = the_one(arrivals, peer) => made,
        never = make_noise(socket, remote) => match never {},
    }
}

async fn the_one(mut arrivals: mpsc::Receiver<Making>, peer: PeerId) -> Made {
    while let Some(arrival) = arrivals.recv().await {
        match arrival.await {
            Ok((found, connection)) if found == peer => return Ok((found, connection)),
            Ok((found, _)) => return Err(Refused::WrongPeer { expected: peer, found }.into()),
            // Who has made that address up does not keep the peer out.
            Err(error) => tracing::debug!(%error, "a call through a hole has failed"),
        }
    }
    Err(QuicError::NoListener)
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
