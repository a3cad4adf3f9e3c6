//! Streams between two nodes that have proved themselves to each other: bytes in order, sealed under the keys of their session.

mod error;
mod frame;
mod inbox;
mod lane;
mod open;
mod packing;
mod protocol;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use crate::node_id::NodeId;

pub use error::{ParseProtocolError, StreamError};
pub(crate) use lane::Lane;
#[cfg(any(test, feature = "test-util"))]
pub(crate) use open::read_any;
pub(crate) use open::{Numbers, Opening, accept, open};
pub use protocol::{Compression, Priority, Protection, Protocol, StreamOptions};
use read::Reader;
use write::Writer;

/// The most bytes of a frame, before it is sealed.
pub const MAX_FRAME: usize = 64 << 10;

/// What carries the bytes of a stream, in order, as long as it lives.
pub(crate) trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// Whoever looks after the connection of a stream.
pub(crate) trait Carrier: Send + Sync + fmt::Debug {
    /// The peer broke the protocol: the connection is to be closed.
    fn condemn(&self, why: StreamError);
}

/// A stream between this node and another one.
///
/// What is written is collected until there is a frame's worth of it or it is flushed; then it is sealed and sent. A write waits
/// while the other side does not read: streams have back-pressure, each its own. What is read was sealed by the peer, for this stream
/// and place. The end of what the peer writes is sealed too, so a stream that was cut off does not look finished: it ends with
/// [`io::ErrorKind::UnexpectedEof`].
///
/// Errors of reading and writing that are of the stream itself have a [`StreamError`] as their source.
///
/// # Cancel safety
/// As tokio's readers and writers: a `read` or `write` that is dropped has taken or lost nothing. To drop the stream before
/// [`shutdown`](tokio::io::AsyncWriteExt::shutdown) is to reset it: the peer learns that it did not end.
pub struct PeerStream(Box<Parts>);

/// What a stream is made of.
struct Parts {
    peer: NodeId,
    protocol: Protocol,
    options: StreamOptions,
    reader: Reader,
    writer: Writer,
    carried: Carried,
    turn: Turn,
}

/// Whether it waits to send, as one of control; or for those, as one of bulk.
#[derive(Default)]
struct Turn {
    waits: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What a stream runs on.
pub(crate) struct Carried {
    pub(crate) pipe: Box<dyn Pipe>,
    pub(crate) carrier: Arc<dyn Carrier>,
    /// What the streams of the connection share.
    pub(crate) lane: Arc<Lane>,
    /// Whether it is one of bulk, for the pipe to know.
    pub(crate) is_bulk: Arc<AtomicBool>,
    /// Its place among the streams of the connection, which is given back when the stream goes.
    #[expect(dead_code, reason = "it is given back when it is dropped")]
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

impl PeerStream {
    /// The node at the other end.
    #[must_use]
    pub fn peer(&self) -> NodeId {
        self.0.peer
    }

    /// What is spoken on it.
    #[must_use]
    pub fn protocol(&self) -> &Protocol {
        &self.0.protocol
    }

    /// How it was opened, by either side.
    #[must_use]
    pub fn options(&self) -> StreamOptions {
        self.0.options
    }

    /// Both halves, to read and to write at once.
    #[must_use]
    pub fn split(self) -> (tokio::io::ReadHalf<Self>, tokio::io::WriteHalf<Self>) {
        tokio::io::split(self)
    }
}

impl Parts {
    /// A stream whose first frame was written or read: it is as that says.
    fn new(
        peer: NodeId,
        (protocol, options): (Protocol, StreamOptions),
        (mut reader, mut writer): (Reader, Writer),
        carried: Carried,
    ) -> Self {
        reader.begin(options);
        writer.begin(options);
        carried.is_bulk.store(options.priority == Priority::Bulk, Ordering::Relaxed);
        Self { peer, protocol, options, reader, writer, carried, turn: Turn::default() }
    }

    /// Does something with the writer, when it is the stream's turn.
    fn in_turn<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Writer, &mut dyn Pipe, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let (lane, turn) = (&self.carried.lane, &mut self.turn);
        if self.options.priority == Priority::Bulk {
            ready!(lane.poll_bulk(cx, &mut turn.timer));
            return work(&mut self.writer, &mut *self.carried.pipe, cx);
        }
        let done = work(&mut self.writer, &mut *self.carried.pipe, cx);
        lane.control(&mut turn.waits, done.is_pending());
        done
    }

    fn failed(&self, error: StreamError) -> io::Error {
        if error.is_hostile() {
            self.carried.carrier.condemn(error);
        }
        error.into()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.carried.lane.control(&mut self.turn.waits, false);
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self.0;
        match this.reader.poll_read(&mut *this.carried.pipe, cx, buffer) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(match error {
                read::ReadError::Io(error) => error,
                read::ReadError::Stream(error) => this.failed(error),
            })),
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.in_turn(cx, |writer, pipe, cx| writer.poll_write(pipe, cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.in_turn(cx, Writer::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.in_turn(cx, Writer::poll_shutdown)
    }
}

impl fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStream")
            .field("peer", &self.0.peer)
            .field("protocol", &self.0.protocol)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
