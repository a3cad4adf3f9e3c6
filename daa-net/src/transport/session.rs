//! A connection whose both ends have proved themselves: what its streams need.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bandwidth::Metering;
use crate::auth::Session;
use crate::node_id::NodeId;
use crate::stream::{
    self, Carried, Carrier, Lane, Numbers, Opening, PeerStream, Pipe, Protocol, StreamOptions,
};

/// The most streams of one connection, in each direction. QUIC has room for 256, which those of libp2p need too.
pub(super) const MAX_STREAMS: usize = 128;

#[derive(Clone, Debug)]
pub(super) struct Live {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    peer: NodeId,
    opening: Opening,
    carrier: Arc<dyn Carrier>,
    lane: Arc<Lane>,
    metering: Metering,
    next: AtomicU64,
    numbers: Mutex<Numbers>,
    ours: Arc<Semaphore>,
    theirs: Arc<Semaphore>,
}

impl Live {
    pub(super) fn new(session: &Session, carrier: Arc<dyn Carrier>, metering: Metering) -> Self {
        let places = || Arc::new(Semaphore::new(MAX_STREAMS));
        let (peer, opening) = (session.peer(), Opening::new(session));
        let (next, numbers) = (AtomicU64::new(0), Mutex::default());
        Self {
            inner: Arc::new(Inner {
                peer,
                opening,
                carrier,
                lane: Arc::default(),
                metering,
                next,
                numbers,
                ours: places(),
                theirs: places(),
            }),
        }
    }

    pub(super) fn peer(&self) -> NodeId {
        self.inner.peer
    }

    fn carried(&self, pipe: Box<dyn Pipe>, place: OwnedSemaphorePermit) -> Carried {
        let is_bulk = Arc::default();
        Carried {
            pipe: self.inner.metering.over(pipe, &is_bulk),
            carrier: self.inner.carrier.clone(),
            lane: self.inner.lane.clone(),
            is_bulk,
            place: Some(place),
        }
    }

    /// Room for one more stream of ours.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.ours.clone().try_acquire_owned().ok()
    }

    pub(super) fn open(
        &self,
        pipe: Box<dyn Pipe>,
        place: OwnedSemaphorePermit,
        protocol: Protocol,
        options: StreamOptions,
    ) -> io::Result<PeerStream> {
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        stream::open(&self.inner.opening, number, self.carried(pipe, place), protocol, options)
    }

    /// What the peer opened; an error where there is no room for it.
    pub(super) async fn accept(&self, pipe: Box<dyn Pipe>) -> io::Result<PeerStream> {
        let place = self.inner.theirs.clone().try_acquire_owned();
        let place = place.map_err(|_| io::Error::from(io::ErrorKind::QuotaExceeded))?;
        stream::accept(&self.inner.opening, &self.inner.numbers, self.carried(pipe, place)).await
    }
}
