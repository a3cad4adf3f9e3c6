//! The half that writes: bytes in, frames out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use daa_crypto::{FRAME_TAG, FrameSealer};

use super::frame::{HEADER, Header, Kind};
use super::packing::Packer;
use super::protocol::{Compression, Protection, StreamOptions};
use super::{MAX_FRAME, Pipe};

/// The first room for a frame: most are small.
const SMALL: usize = 1 << 10;
/// So much is collected of what is written at once: each write to the connection costs more than a frame does.
const BATCH: usize = 4 * MAX_FRAME;

pub(super) struct Writer {
    /// `None` where the connection protects the bytes.
    sealer: Option<FrameSealer>,
    packer: Option<Packer>,
    /// Frames that were not sent yet; then, if it was begun, the frame that is being filled, with room for its header.
    frames: BytesMut,
    /// How many of these bytes are frames that are whole.
    whole: usize,
    has_ended: bool,
}

impl Writer {
    pub(super) fn new(sealer: FrameSealer) -> Self {
        Self { sealer: Some(sealer), packer: None, frames: BytesMut::new(), whole: 0, has_ended: false }
    }

    /// After the first frame: what is written is treated as the stream was opened.
    pub(super) fn begin(&mut self, options: StreamOptions) {
        if options.protection == Protection::Connection {
            self.sealer = None;
        }
        self.packer = (options.compression == Compression::Lz4).then(Packer::default);
    }

    /// Bytes that go before all frames.
    pub(super) fn put_raw(&mut self, bytes: &[u8]) {
        self.frames.extend_from_slice(bytes);
        self.whole = self.frames.len();
    }

    /// A frame by itself, behind those that were written.
    pub(super) fn put(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        self.finish_frame()?;
        self.begin_frame(bytes.len());
        self.frames.extend_from_slice(bytes);
        self.seal(kind)
    }

    /// The bytes of the frame that is being filled.
    fn filled(&self) -> usize {
        self.frames.len().saturating_sub(self.whole + HEADER)
    }

    fn begin_frame(&mut self, wanted: usize) {
        if self.frames.len() == self.whole {
            self.frames.reserve(wanted.clamp(SMALL, MAX_FRAME) + HEADER + FRAME_TAG);
            self.frames.extend_from_slice(&[0; HEADER]);
        }
    }

    fn finish_frame(&mut self) -> io::Result<()> {
        if self.filled() > 0 { self.seal(Kind::Data) } else { Ok(()) }
    }

    /// Makes the frame that was filled whole.
    fn seal(&mut self, mut kind: Kind) -> io::Result<()> {
        if let Some(packer) = self.packer.as_mut().filter(|_| kind == Kind::Data)
            && let Some(packed) = packer.pack(self.frames.get(self.whole + HEADER..).unwrap_or_default())
        {
            self.frames.truncate(self.whole + HEADER);
            self.frames.extend_from_slice(packed);
            kind = Kind::Packed;
        }
        let header = Header { kind, len: self.filled() }.encode();
        let frame = self.frames.get_mut(self.whole..).unwrap_or_default();
        if let Some((head, body)) = frame.split_first_chunk_mut::<HEADER>() {
            *head = header;
            if let Some(sealer) = &mut self.sealer {
                let tag = sealer.seal(&header, body).map_err(io::Error::other)?;
                self.frames.extend_from_slice(&tag);
            }
        }
        self.whole = self.frames.len();
        Ok(())
    }

    /// Sends the frames that are whole.
    fn poll_send(&mut self, pipe: &mut dyn Pipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.whole > 0 {
            let whole = self.frames.get(..self.whole).unwrap_or_default();
            let sent = ready!(Pin::new(&mut *pipe).poll_write(cx, whole))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.frames.advance(sent);
            self.whole -= sent;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write(
        &mut self,
        pipe: &mut dyn Pipe,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.has_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.whole >= BATCH {
            ready!(self.poll_send(pipe, cx))?;
        }
        let mut left = bytes;
        while !left.is_empty() && self.whole < BATCH {
            self.begin_frame(left.len());
            let room = MAX_FRAME.saturating_sub(self.filled());
            let (taken, rest) = left.split_at_checked(room).unwrap_or((left, &[]));
            self.frames.extend_from_slice(taken);
            left = rest;
            if self.filled() == MAX_FRAME {
                self.seal(Kind::Data)?;
            }
        }
        // If the pipe is not ready, that is told with the next write.
        if let Poll::Ready(Err(error)) = self.poll_send(pipe, cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len() - left.len()))
    }

    pub(super) fn poll_flush(&mut self, pipe: &mut dyn Pipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish_frame()?;
        ready!(self.poll_send(pipe, cx))?;
        Pin::new(&mut *pipe).poll_flush(cx)
    }

    pub(super) fn poll_shutdown(
        &mut self,
        pipe: &mut dyn Pipe,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.has_ended {
            self.put(Kind::End, &[])?;
            self.has_ended = true;
        }
        ready!(self.poll_send(pipe, cx))?;
        Pin::new(&mut *pipe).poll_shutdown(cx)
    }
}
