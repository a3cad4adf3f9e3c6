//! Fetching from several peers at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::io;
use std::time::Duration;

use daa_core::digest::Digest;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::asking::{self, Failure};
use super::{FetchError, FetchOptions, Fetched, Outline, PeerEnd, PeerReport, Sink};
use crate::node_id::NodeId;
use crate::stream::PeerStream;

/// How many peers of a fetch are looked at.
const PEERS: usize = 64;
/// How many are asked for the outline at first; and after so long without an answer each time one more, so that many who say nothing
/// do not hold it up.
const OUTLINES: usize = 3;
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a peer may fail in a row.
const STRIKES: u32 = 3;
/// How many peers a group is asked of at once, when nothing else is left to ask.
const TAKERS: usize = 3;
/// Before a peer that has failed is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// One stream to a peer, with one request at a time.
struct Lane {
    peer: NodeId,
    stream: Option<PeerStream>,
    pause: Duration,
}

impl Lane {
    const fn new(peer: NodeId) -> Self {
        Self { peer, stream: None, pause: Duration::ZERO }
    }

    async fn stream<F>(&mut self, open: &impl Fn(NodeId) -> F) -> io::Result<&mut PeerStream>
    where
        F: Future<Output = io::Result<PeerStream>>,
    {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => open(self.peer).await?,
        };
        Ok(self.stream.insert(stream))
    }
}

/// What is known of the peers.
#[derive(Default)]
struct Peers {
    /// As the caller has named them: nobody is first because of its id.
    order: Vec<NodeId>,
    reports: BTreeMap<NodeId, PeerReport>,
    strikes: BTreeMap<NodeId, u32>,
}

impl Peers {
    fn is_out(&self, peer: &NodeId) -> bool {
        self.reports.get(peer).is_none_or(|report| report.ended.is_some())
    }

    fn gave(&mut self, peer: NodeId, bytes: u64) {
        self.strikes.remove(&peer);
        let report = self.reports.entry(peer).or_default();
        report.bytes = report.bytes.saturating_add(bytes);
    }

    /// Gives the error that ends the fetch, if it does.
    fn failed(&mut self, peer: NodeId, failure: Failure) -> Option<FetchError> {
        let (end, is_final) = match failure {
            Failure::Sink(error) => return Some(FetchError::Sink(error)),
            Failure::Missing => (PeerEnd::Missing, true),
            Failure::TooLarge(size) => (PeerEnd::TooLarge { size }, true),
            Failure::Misbehaved(how) => (PeerEnd::Misbehaved(how), true),
            Failure::Busy => (PeerEnd::Busy, false),
            Failure::Lost(error) => (PeerEnd::Lost(error.to_string()), false),
            Failure::Slow => (PeerEnd::Slow, false),
        };
        let strikes = self.strikes.entry(peer).or_default();
        *strikes += 1;
        if is_final || *strikes >= STRIKES {
            tracing::debug!(%peer, ?end, "a peer is asked no more in this fetch");
            self.reports.entry(peer).or_default().ended.get_or_insert(end);
        }
        None
    }
}

pub(crate) async fn fetch<F>(
    open: impl Fn(NodeId) -> F + Sync,
    digest: Digest,
    from: &[NodeId],
    sink: &dyn Sink,
    options: FetchOptions,
) -> Result<Fetched, FetchError>
where
    F: Future<Output = io::Result<PeerStream>> + Send,
{
    let mut peers = Peers::default();
    for peer in from {
        if peers.order.len() < PEERS && !peers.order.contains(peer) {
            peers.order.push(*peer);
            peers.reports.insert(*peer, PeerReport::default());
        }
    }
    let (outline, lane, last) = outline(&open, &digest, &mut peers, &options).await?;
    let had = sink.begin(&outline).await.map_err(FetchError::Sink)?;
    let mut left: BTreeSet<u64> = (0..outline.groups()).filter(|number| !had.contains(number)).collect();
    if let Some(number) = outline.groups().checked_sub(1).filter(|number| left.contains(number)) {
        peers.gave(lane.peer, last.len() as u64);
        sink.write(&outline, number, last).await.map_err(FetchError::Sink)?;
        left.remove(&number);
    }
    groups(&open, &outline, lane, left, &mut peers, sink, &options).await?;
    sink.finish(&outline).await.map_err(FetchError::Sink)?;
    Ok(Fetched { size: outline.size(), resumed: had.len() as u64, peers: peers.reports })
}

/// The outline that the first peer gives.
async fn outline<F>(
    open: &(impl Fn(NodeId) -> F + Sync),
    digest: &Digest,
    peers: &mut Peers,
    options: &FetchOptions,
) -> Result<(Outline, Lane, bytes::Bytes), FetchError>
where
    F: Future<Output = io::Result<PeerStream>> + Send,
{
    let mut waiting: VecDeque<Lane> = peers.order.iter().copied().map(Lane::new).collect();
    let (mut asked, mut width) = (FuturesUnordered::new(), OUTLINES);
    loop {
        while asked.len() < width
            && let Some(mut lane) = waiting.pop_front()
        {
            asked.push(async move {
                sleep(lane.pause).await;
                let asking =
                    async { asking::outline(lane.stream(open).await?, digest, options.max_size).await };
                let answer = timeout(options.timeout, asking).await.unwrap_or(Err(Failure::Slow));
                (lane, answer)
            });
        }
        let Ok(next) = timeout(PATIENCE, asked.next()).await else {
            width = width.saturating_add(1);
            continue;
        };
        let Some((mut lane, answer)) = next else {
            return Err(FetchError::NoPeer { peers: std::mem::take(&mut peers.reports) });
        };
        match answer {
            Ok((outline, last)) => return Ok((outline, lane, last)),
            Err(failure) => {
                if let Some(error) = peers.failed(lane.peer, failure) {
                    return Err(error);
                }
                if !peers.is_out(&lane.peer) {
                    lane = Lane { pause: PAUSE, ..Lane::new(lane.peer) };
                    waiting.push_back(lane);
                }
            }
        }
    }
}

/// What is left to fetch, and who is at it.
struct Work {
    /// Of which nobody was asked.
    todo: VecDeque<u64>,
    /// Whom those that are not there yet were asked of.
    left: BTreeMap<u64, BTreeSet<NodeId>>,
}

impl Work {
    /// The next group for a peer: one that nobody was asked for, or else one that the fewest others are at.
    fn take(&mut self, peer: NodeId) -> Option<u64> {
        let number = self.todo.pop_front().or_else(|| {
            let others = self.left.iter().filter(|(_, at)| at.len() < TAKERS && !at.contains(&peer));
            others.min_by_key(|(_, at)| at.len()).map(|(number, _)| *number)
        })?;
        self.left.entry(number).or_default().insert(peer);
        Some(number)
    }

    fn failed(&mut self, peer: &NodeId, number: u64) {
        if let Some(at) = self.left.get_mut(&number) {
            at.remove(peer);
        }
    }
}

async fn groups<F>(
    open: &(impl Fn(NodeId) -> F + Sync),
    outline: &Outline,
    first: Lane,
    left: BTreeSet<u64>,
    peers: &mut Peers,
    sink: &dyn Sink,
    options: &FetchOptions,
) -> Result<(), FetchError>
where
    F: Future<Output = io::Result<PeerStream>> + Send,
{
    let mut work = Work {
        todo: left.iter().copied().collect(),
        left: left.into_iter().map(|number| (number, BTreeSet::new())).collect(),
    };
    let mut lanes = BTreeMap::from([(first.peer, 1)]);
    let mut idle = vec![first];
    let mut running = FuturesUnordered::new();
    while !work.left.is_empty() {
        add_lanes(&mut lanes, &mut idle, peers, options);
        let mut without_work = Vec::new();
        for mut lane in idle.drain(..) {
            let Some(number) = work.take(lane.peer) else {
                without_work.push(lane);
                continue;
            };
            running.push(async move {
                sleep(std::mem::take(&mut lane.pause)).await;
                let asking = async { asking::group(lane.stream(open).await?, outline, number).await };
                let answer = match timeout(options.timeout, asking).await {
                    Ok(Ok(bytes)) => {
                        let len = bytes.len() as u64;
                        sink.write(outline, number, bytes).await.map(|()| len).map_err(Failure::Sink)
                    }
                    Ok(Err(failure)) => Err(failure),
                    Err(_) => Err(Failure::Slow),
                };
                (lane, number, answer)
            });
        }
        idle = without_work;
        let Some((lane, number, answer)) = running.next().await else {
            return Err(FetchError::NoPeer { peers: std::mem::take(&mut peers.reports) });
        };
        let mut lane = lane;
        match answer {
            Ok(len) => {
                peers.gave(lane.peer, len);
                work.left.remove(&number);
            }
            Err(failure) => {
                work.failed(&lane.peer, number);
                if let Some(error) = peers.failed(lane.peer, failure) {
                    return Err(error);
                }
                lane = Lane { pause: PAUSE, ..Lane::new(lane.peer) };
            }
        }
        idle.push(lane);
        idle.retain(|lane| !peers.is_out(&lane.peer));
        lanes.retain(|peer, _| !peers.is_out(peer));
    }
    Ok(())
}

/// Streams to peers that have fewer than they may have, while there may be more.
fn add_lanes(
    lanes: &mut BTreeMap<NodeId, usize>,
    idle: &mut Vec<Lane>,
    peers: &Peers,
    options: &FetchOptions,
) {
    for round in 1..=options.per_peer {
        for peer in peers.order.iter().filter(|peer| !peers.is_out(peer)) {
            let all: usize = lanes.values().sum();
            let of_peer = lanes.entry(*peer).or_default();
            if *of_peer < round && all < options.outstanding {
                *of_peer += 1;
                idle.push(Lane::new(*peer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_say_nothing_do_not_hold_it_up() {
        let asked = AtomicUsize::new(0);
        let open = |_| async {
            asked.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        };
        let order = (0..64).map(|peer| NodeId::from_bytes([peer; 32])).collect();
        let mut peers = Peers { order, ..Peers::default() };
        let (digest, options) = (Digest::of(b""), FetchOptions::default());
        let fetching = outline(&open, &digest, &mut peers, &options);
        assert!(timeout(Duration::from_secs(20), fetching).await.is_err());
        let asked = asked.load(Ordering::Relaxed);
        assert!((OUTLINES + 39..=OUTLINES + 40).contains(&asked), "{asked}");
    }
}
