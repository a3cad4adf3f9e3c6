//! What carries the bytes of a stream in memory, at once or after a while.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::time::{Instant, Sleep, sleep_until};

/// How many bytes are on their way in one direction of a stream.
const WINDOW: usize = 256 << 10;
/// How many bytes of a window travel together.
const PIECE: usize = 16 << 10;

/// One end of a wire.
pub(super) struct Wire {
    stream: DuplexStream,
    delay: Duration,
    /// What is on its way here, and when it arrives; an empty piece is the end.
    coming: VecDeque<(Instant, Bytes)>,
    /// How many bytes these are.
    len: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// Both ends of a wire on which bytes travel for so long.
    pub(super) fn new(delay: Duration) -> (Self, Self) {
        let (one, other) = duplex(WINDOW);
        let end = |stream| Self { stream, delay, coming: VecDeque::new(), len: 0, timer: None };
        (end(one), end(other))
    }

    /// Sees what was sent, so that it is known when it arrives.
    fn see(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut piece = [0; PIECE];
        while self.len < WINDOW && self.coming.back().is_none_or(|(_, bytes)| !bytes.is_empty()) {
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(read) => read?,
            }
            self.len += buffer.filled().len();
            self.coming.push_back((Instant::now() + self.delay, Bytes::copy_from_slice(buffer.filled())));
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.delay.is_zero() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        self.see(cx)?;
        let this = &mut *self;
        let Some((arrives, bytes)) = this.coming.front_mut() else { return Poll::Pending };
        if *arrives > Instant::now() {
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(*arrives)));
            if timer.deadline() != *arrives {
                timer.as_mut().reset(*arrives);
            }
            ready!(timer.as_mut().poll(cx));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let given = bytes.split_to(bytes.len().min(buffer.remaining()));
        buffer.put_slice(&given);
        this.len -= given.len();
        if bytes.is_empty() {
            this.coming.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_travel_for_as_long_as_the_wire_says_and_follow_each_other_at_once() {
        let (mut here, mut there) = Wire::new(Duration::from_millis(25));
        let began = Instant::now();
        let write = async {
            here.write_all(b"one").await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            here.write_all(&vec![7; 100_000]).await.unwrap();
            here.shutdown().await.unwrap();
        };
        let read = async {
            let mut first = [0; 3];
            there.read_exact(&mut first).await.unwrap();
            assert_eq!((&first, began.elapsed().as_millis()), (b"one", 25));
            let mut rest = Vec::new();
            there.read_to_end(&mut rest).await.unwrap();
            assert_eq!((rest, began.elapsed().as_millis()), (vec![7; 100_000], 35));
        };
        tokio::join!(write, read);
        // The other direction too.
        let (mut here, mut there) = Wire::new(Duration::from_millis(25));
        let began = Instant::now();
        there.write_all(b"back").await.unwrap();
        drop(there);
        let mut all = Vec::new();
        here.read_to_end(&mut all).await.unwrap();
        assert_eq!((&all[..], began.elapsed().as_millis()), (&b"back"[..], 25));
    }
}
