//! The half that writes: bytes in, frames out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use daa_crypto::{FRAME_TAG, FrameSealer};

use super::frame::{HEADER, Header, Kind};
use super::{MAX_FRAME, Pipe};

/// The first room for a frame: most are small.
const SMALL: usize = 1 << 10;

pub(super) struct Writer {
    /// `None` where the connection protects the bytes.
    sealer: Option<FrameSealer>,
    /// The frame that is being filled: room for its header, and bytes.
    filling: BytesMut,
    /// Frames that were not sent yet.
    sending: BytesMut,
    has_ended: bool,
}

impl Writer {
    pub(super) fn new(sealer: FrameSealer) -> Self {
        Self { sealer: Some(sealer), filling: BytesMut::new(), sending: BytesMut::new(), has_ended: false }
    }

    /// From now on what is written is not sealed.
    pub(super) fn leave_to_the_connection(&mut self) {
        self.sealer = None;
    }

    /// Bytes that go before all frames.
    pub(super) fn put_raw(&mut self, bytes: &[u8]) {
        self.sending.extend_from_slice(bytes);
    }

    /// A frame by itself, behind those that were written.
    pub(super) fn put(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        self.finish_frame()?;
        self.begin_frame(bytes.len());
        self.filling.extend_from_slice(bytes);
        self.seal(kind)
    }

    fn begin_frame(&mut self, wanted: usize) {
        if self.filling.is_empty() {
            self.filling.reserve(wanted.clamp(SMALL, MAX_FRAME) + HEADER + FRAME_TAG);
            self.filling.extend_from_slice(&[0; HEADER]);
        }
    }

    fn finish_frame(&mut self) -> io::Result<()> {
        if self.filling.len() > HEADER { self.seal(Kind::Data) } else { Ok(()) }
    }

    /// The frame that was filled, sealed, behind those that are to be sent.
    fn seal(&mut self, kind: Kind) -> io::Result<()> {
        let header = Header { kind, len: self.filling.len().saturating_sub(HEADER) }.encode();
        if let Some((head, body)) = self.filling.split_first_chunk_mut::<HEADER>() {
            *head = header;
            if let Some(sealer) = &mut self.sealer {
                let tag = sealer.seal(&header, body).map_err(io::Error::other)?;
                self.filling.extend_from_slice(&tag);
            }
        }
        if self.sending.is_empty() {
            // What was sent is free to be filled again.
            std::mem::swap(&mut self.sending, &mut self.filling);
        } else {
            self.sending.unsplit(self.filling.split());
        }
        self.filling.clear();
        Ok(())
    }

    fn poll_send(&mut self, pipe: &mut dyn Pipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sending.is_empty() {
            let sent = ready!(Pin::new(&mut *pipe).poll_write(cx, &self.sending))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sending.advance(sent);
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
        if self.filling.len() >= HEADER + MAX_FRAME {
            ready!(self.poll_send(pipe, cx))?;
            self.seal(Kind::Data)?;
        }
        self.begin_frame(bytes.len());
        let room = (HEADER + MAX_FRAME).saturating_sub(self.filling.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.filling.extend_from_slice(taken);
        if taken.len() == room && self.sending.is_empty() {
            self.seal(Kind::Data)?;
            // If it is not ready, that is told with the next write.
            if let Poll::Ready(Err(error)) = self.poll_send(pipe, cx) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(taken.len()))
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
