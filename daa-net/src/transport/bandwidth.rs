//! How many bytes a second go over the streams of a node.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::stream::Pipe;

/// What may be sent or received at once: that of so much time, and at least so many bytes.
const BURST: Duration = Duration::from_millis(100);
const LEAST_BURST: u64 = 16 << 10;

/// How many bytes a second go over the streams of a node, with their seals; what TLS, QUIC and the handshake add is not counted.
/// Without limits by default.
///
/// Streams of control go on for a second's worth of bytes after those of bulk have to wait. What a peer sends beyond the limit waits
/// with the peer: its streams have back-pressure.
///
/// ```
/// use daa_net::transport::Bandwidth;
///
/// let limits = Bandwidth::unlimited().with_upload(1_000_000).with_upload_of_each(200_000);
/// # let _ = limits;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    all: Rates,
    each: Rates,
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rates {
    up: Option<u64>,
    down: Option<u64>,
}

impl Bandwidth {
    /// As fast as it goes.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Sends at most so many bytes a second; at least 1.
    #[must_use]
    pub fn with_upload(mut self, bytes_per_second: u64) -> Self {
        self.all.up = Some(bytes_per_second.max(1));
        self
    }

    /// Receives at most so many bytes a second; at least 1.
    #[must_use]
    pub fn with_download(mut self, bytes_per_second: u64) -> Self {
        self.all.down = Some(bytes_per_second.max(1));
        self
    }

    /// Sends at most so many bytes a second on each connection; at least 1.
    #[must_use]
    pub fn with_upload_of_each(mut self, bytes_per_second: u64) -> Self {
        self.each.up = Some(bytes_per_second.max(1));
        self
    }

    /// Receives at most so many bytes a second on each connection; at least 1.
    #[must_use]
    pub fn with_download_of_each(mut self, bytes_per_second: u64) -> Self {
        self.each.down = Some(bytes_per_second.max(1));
        self
    }
}

/// What is counted for all connections of a node.
#[derive(Clone, Debug)]
pub(super) struct Meters {
    all: Buckets,
    each: Rates,
}

impl Meters {
    pub(super) fn new(limits: Bandwidth) -> Self {
        Self { all: Buckets::new(limits.all), each: limits.each }
    }

    /// Those of a new connection.
    pub(super) fn of_connection(&self) -> Metering {
        let Self { all, each } = self;
        let each = Buckets::new(*each);
        let both = |all: &Option<_>, each: Option<_>| all.iter().cloned().chain(each).collect();
        Metering { up: both(&all.up, each.up), down: both(&all.down, each.down) }
    }
}

#[derive(Clone, Debug)]
struct Buckets {
    up: Option<Arc<Bucket>>,
    down: Option<Arc<Bucket>>,
}

impl Buckets {
    fn new(Rates { up, down }: Rates) -> Self {
        let bucket = |rate: u64| Arc::new(Bucket::new(rate));
        Self { up: up.map(bucket), down: down.map(bucket) }
    }
}

/// What the streams of one connection have to keep to.
#[derive(Clone, Debug, Default)]
pub(super) struct Metering {
    up: Vec<Arc<Bucket>>,
    down: Vec<Arc<Bucket>>,
}

impl Metering {
    /// The same pipe, within the limits. It is one of bulk as soon as `is_bulk` says so.
    pub(super) fn over(&self, pipe: Box<dyn Pipe>, is_bulk: &Arc<AtomicBool>) -> Box<dyn Pipe> {
        if self.up.is_empty() && self.down.is_empty() {
            return pipe;
        }
        let (up, down) = (Gauge::new(&self.up), Gauge::new(&self.down));
        Box::new(Metered { pipe, is_bulk: is_bulk.clone(), up, down })
    }
}

/// Bytes that may go, which come back at a rate. More than there are can be spent: then others wait longer.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    burst: u64,
    /// In thousand-millionths of a byte, and when it was counted.
    state: Mutex<(i128, Instant)>,
}

const NANO: i128 = 1_000_000_000;

impl Bucket {
    fn new(rate: u64) -> Self {
        let burst = u64::try_from(u128::from(rate) * BURST.as_millis() / 1_000).unwrap_or(u64::MAX);
        let burst = burst.max(LEAST_BURST);
        Self { rate, burst, state: Mutex::new((i128::from(burst) * NANO, Instant::now())) }
    }

    /// How much one stream takes at a time, so that those who share come by turns.
    fn turn(&self) -> usize {
        usize::try_from(self.burst / 4).unwrap_or(usize::MAX)
    }

    /// With what has come back until now.
    fn changed(&self, change: impl FnOnce(i128) -> i128) -> (i128, Instant) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let came = i128::try_from(now.saturating_duration_since(state.1).as_nanos()).unwrap_or(i128::MAX);
        let full = i128::from(self.burst) * NANO;
        let left = state.0.saturating_add(came.saturating_mul(self.rate.into())).min(full);
        *state = (change(left), now);
        *state
    }

    /// When there is so much of what is left, if it is not there yet.
    fn when(&self, (left, now): (i128, Instant), wanted: i128) -> Instant {
        let missing = wanted.saturating_sub(left).max(0);
        let rate = i128::from(self.rate);
        let nanos = missing / rate + i128::from(missing % rate != 0);
        now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Takes bytes before they go, and says when they may: `credit` of them before they have come back.
    fn reserve(&self, bytes: usize, credit: u64) -> Instant {
        let left = self.changed(|left| left.saturating_sub(nanos(bytes)));
        self.when(left, -i128::from(credit) * NANO)
    }

    fn give_back(&self, bytes: usize) {
        self.changed(|left| left.saturating_add(nanos(bytes)));
    }
}

fn nanos(bytes: usize) -> i128 {
    i128::try_from(bytes).unwrap_or(i128::MAX / NANO).saturating_mul(NANO)
}

/// One direction of one stream.
#[derive(Debug)]
struct Gauge {
    buckets: Vec<Arc<Bucket>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// What was taken for bytes that have not gone yet, and when they may.
    reserved: (usize, Option<Instant>),
}

impl Gauge {
    fn new(buckets: &[Arc<Bucket>]) -> Self {
        Self { buckets: buckets.to_vec(), timer: None, reserved: (0, None) }
    }

    fn turn(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.turn()).min().unwrap_or(usize::MAX)
    }

    fn credit(bucket: &Bucket, is_bulk: bool) -> u64 {
        if is_bulk { 0 } else { bucket.rate }
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, when: Option<Instant>) -> Poll<()> {
        let Some(when) = when.filter(|when| *when > Instant::now()) else { return Poll::Ready(()) };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(when)));
        if timer.deadline() != when {
            timer.as_mut().reset(when);
        }
        timer.as_mut().poll(cx)
    }

    /// How many of these bytes may be sent, when some may. They are taken at once, so streams that share take turns.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: usize, is_bulk: bool) -> Poll<usize> {
        if self.reserved.0 == 0 {
            let bytes = bytes.min(self.turn());
            let due = |bucket: &Arc<Bucket>| bucket.reserve(bytes, Self::credit(bucket, is_bulk));
            self.reserved = (bytes, self.buckets.iter().map(due).max());
        }
        ready!(self.poll_until(cx, self.reserved.1));
        Poll::Ready(self.reserved.0)
    }

    fn sent(&mut self, bytes: usize) {
        self.reserved.0 = self.reserved.0.saturating_sub(bytes);
    }

    /// How many bytes may be received, when some may. What comes is counted then: nobody knows when it does.
    fn poll_receive(&mut self, cx: &mut Context<'_>, is_bulk: bool) -> Poll<usize> {
        let turn = self.turn();
        let when = |bucket: &Arc<Bucket>| {
            let wanted = i128::from(Self::credit(bucket, is_bulk)) * NANO;
            bucket.when(bucket.changed(|left| left), nanos(turn).saturating_sub(wanted))
        };
        let when = self.buckets.iter().map(when).max();
        ready!(self.poll_until(cx, when));
        Poll::Ready(turn)
    }

    fn received(&self, bytes: usize) {
        for bucket in &self.buckets {
            bucket.reserve(bytes, 0);
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.buckets.iter().for_each(|bucket| bucket.give_back(self.reserved.0));
    }
}

/// A pipe within limits.
struct Metered {
    pipe: Box<dyn Pipe>,
    is_bulk: Arc<AtomicBool>,
    up: Gauge,
    down: Gauge,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let room = ready!(this.down.poll_receive(cx, this.is_bulk.load(Ordering::Relaxed)));
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room.min(buffer.remaining())));
        ready!(Pin::new(&mut this.pipe).poll_read(cx, &mut part))?;
        let came = part.filled().len();
        buffer.advance(came);
        this.down.received(came);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let room = ready!(this.up.poll_send(cx, bytes.len(), this.is_bulk.load(Ordering::Relaxed)));
        let sent = ready!(Pin::new(&mut this.pipe).poll_write(cx, bytes.get(..room).unwrap_or(bytes)))?;
        this.up.sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Seconds that it takes to send and receive so many bytes on each of these streams.
    async fn seconds(streams: &[(&Metering, usize, bool)]) -> Vec<f64> {
        let began = Instant::now();
        let one = |(metering, len, is_bulk): &(&Metering, usize, bool)| {
            let (here, there) = duplex(1 << 20);
            let is_bulk = Arc::new(AtomicBool::new(*is_bulk));
            let (mut here, mut there) =
                (metering.over(Box::new(here), &is_bulk), metering.over(Box::new(there), &is_bulk));
            let len = *len;
            async move {
                let write = async {
                    here.write_all(&vec![1; len]).await.unwrap();
                    here.shutdown().await.unwrap();
                };
                let read = async {
                    let mut all = Vec::new();
                    there.read_to_end(&mut all).await.unwrap();
                    all.len()
                };
                let ((), read) = tokio::join!(write, read);
                assert_eq!(read, len);
                began.elapsed().as_secs_f64()
            }
        };
        futures_util::future::join_all(streams.iter().map(one)).await
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_sent_or_received_than_the_limit_and_a_burst() {
        for limits in [
            Bandwidth::unlimited().with_upload(100_000),
            Bandwidth::unlimited().with_download(100_000),
            Bandwidth::unlimited().with_upload_of_each(100_000),
            Bandwidth::unlimited().with_download_of_each(100_000).with_upload(10_000_000),
        ] {
            let metering = Meters::new(limits).of_connection();
            let took = seconds(&[(&metering, 1_016_384, true)]).await[0];
            assert!((9.9..10.2).contains(&took), "{limits:?} {took}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_all_is_shared_and_one_of_each_is_not() {
        let limits = Bandwidth::unlimited().with_upload(200_000).with_upload_of_each(150_000);
        let meters = Meters::new(limits);
        let (one, other) = (meters.of_connection(), meters.of_connection());
        let took = seconds(&[(&one, 1_000_000, true), (&other, 1_000_000, true)]).await;
        assert!(took.iter().all(|took| (9.0..10.1).contains(took)), "{took:?}");
        let alone = seconds(&[(&meters.of_connection(), 1_500_000, true)]).await[0];
        assert!((9.7..10.1).contains(&alone), "{alone}");
    }

    #[tokio::test(start_paused = true)]
    async fn control_goes_on_where_bulk_waits_and_is_paid_for_by_bulk() {
        let limits = Bandwidth::unlimited().with_upload(100_000);
        let metering = Meters::new(limits).of_connection();
        let took = seconds(&[(&metering, 1_000_000, true), (&metering, 90_000, false)]).await;
        assert!(took[1] < 0.1, "{took:?}");
        assert!((10.5..11.0).contains(&took[0]), "{took:?}");
        // It has its bounds too.
        let alone = seconds(&[(&metering, 1_000_000, false)]).await[0];
        assert!((8.8..10.1).contains(&alone), "{alone}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_second_is_a_limit_too() {
        let limits = Bandwidth::unlimited().with_upload(0);
        let metering = Meters::new(limits).of_connection();
        let took = seconds(&[(&metering, 16_384 + 5, true)]).await[0];
        assert!((4.9..6.1).contains(&took), "{took}");
    }
}
