//! A connection, and its streams.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{AsyncRead, AsyncWrite};
use libp2p::core::StreamMuxer;
use libp2p::core::muxing::StreamMuxerEvent;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};

use super::QuicError;
use super::strangers::Stranger;

type Opening = Pin<Box<dyn Future<Output = Result<(SendStream, RecvStream), ConnectionError>> + Send>>;
type Closing = Pin<Box<dyn Future<Output = ConnectionError> + Send>>;

/// A connection whose other end has proved its peer id.
pub(in super::super) struct QuicConnection {
    connection: Connection,
    incoming: Option<Opening>,
    outgoing: Option<Opening>,
    closing: Option<Closing>,
    _stranger: Stranger,
}

impl QuicConnection {
    pub(super) const fn new(connection: Connection, stranger: Stranger) -> Self {
        Self { connection, incoming: None, outgoing: None, closing: None, _stranger: stranger }
    }
}

impl std::fmt::Debug for QuicConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicConnection").field("connection", &self.connection).finish_non_exhaustive()
    }
}

fn poll_opening(
    slot: &mut Option<Opening>,
    begin: impl FnOnce() -> Opening,
    cx: &mut Context<'_>,
) -> Poll<Result<QuicStream, QuicError>> {
    let opened = ready!(slot.get_or_insert_with(begin).as_mut().poll(cx));
    *slot = None;
    let (send, receive) = opened?;
    Poll::Ready(Ok(QuicStream { send, receive, is_closed: false }))
}

impl StreamMuxer for QuicConnection {
    type Substream = QuicStream;
    type Error = QuicError;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<QuicStream, QuicError>> {
        let Self { connection, incoming, .. } = self.get_mut();
        let begin = || {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_bi().await }) as Opening
        };
        poll_opening(incoming, begin, cx)
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<QuicStream, QuicError>> {
        let Self { connection, outgoing, .. } = self.get_mut();
        let begin = || {
            let connection = connection.clone();
            Box::pin(async move { connection.open_bi().await }) as Opening
        };
        poll_opening(outgoing, begin, cx)
    }

    /// The connection runs by itself, and its address stays as it is.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, QuicError>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), QuicError>> {
        let Self { connection, closing, .. } = self.get_mut();
        let closing = closing.get_or_insert_with(|| {
            connection.close(VarInt::from_u32(0), b"");
            let connection = connection.clone();
            Box::pin(async move { connection.closed().await })
        });
        match ready!(closing.as_mut().poll(cx)) {
            ConnectionError::LocallyClosed => Poll::Ready(Ok(())),
            error => Poll::Ready(Err(error.into())),
        }
    }
}

/// A stream in both directions.
#[derive(Debug)]
pub(in super::super) struct QuicStream {
    send: SendStream,
    receive: RecvStream,
    is_closed: bool,
}

impl AsyncRead for QuicStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.receive.poll_read(cx, buffer).map_err(io::Error::from)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.send).poll_write(cx, bytes).map_err(io::Error::from)
    }

    /// What was written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closed {
            self.send.finish()?;
            self.is_closed = true;
        }
        Poll::Ready(Ok(()))
    }
}
