//! The half that reads: frames in, bytes out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use daa_crypto::{FRAME_TAG, FrameOpener};
use tokio::io::ReadBuf;
use tokio_util::io::poll_read_buf;

use super::Pipe;
use super::error::StreamError;
use super::frame::{HEADER, Header, Kind};

/// How much is read at once.
const READ: usize = 64 << 10;

pub(super) enum ReadError {
    Io(io::Error),
    Stream(StreamError),
}

impl From<StreamError> for ReadError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

pub(super) struct Reader {
    /// `None` where the connection protects the bytes.
    opener: Option<FrameOpener>,
    /// What came and was not looked at.
    came: BytesMut,
    /// What was opened and not given.
    plain: Bytes,
    is_over: bool,
    failed: Option<StreamError>,
}

impl Reader {
    pub(super) fn new(opener: FrameOpener) -> Self {
        Self {
            opener: Some(opener),
            came: BytesMut::new(),
            plain: Bytes::new(),
            is_over: false,
            failed: None,
        }
    }

    /// From now on what comes is not sealed.
    pub(super) fn leave_to_the_connection(&mut self) {
        self.opener = None;
    }

    const fn tag(&self) -> usize {
        if self.opener.is_some() { FRAME_TAG } else { 0 }
    }

    /// The next frame, if all of it has come.
    fn next(&mut self) -> Result<Option<(Kind, Bytes)>, StreamError> {
        let Some(head) = self.came.first_chunk::<HEADER>().copied() else { return Ok(None) };
        let header = Header::decode(head)?;
        let whole = HEADER + header.len + self.tag();
        if self.came.len() < whole {
            self.came.reserve(whole - self.came.len());
            return Ok(None);
        }
        let mut frame = self.came.split_to(whole);
        frame.advance(HEADER);
        if let Some(opener) = &mut self.opener {
            let tag = frame.split_off(header.len);
            let tag: &[u8; FRAME_TAG] = (&tag[..]).try_into().map_err(|_| StreamError::Forged)?;
            opener.open(&head, &mut frame, tag).map_err(|_| StreamError::Forged)?;
        }
        Ok(Some((header.kind, frame.freeze())))
    }

    /// The next frame, when it has come; `None` where the pipe ended.
    pub(super) fn poll_frame(
        &mut self,
        pipe: &mut dyn Pipe,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<(Kind, Bytes)>, ReadError>> {
        loop {
            if let Some(frame) = self.next()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            if self.came.capacity() - self.came.len() < READ / 2 {
                self.came.reserve(READ);
            }
            if ready!(poll_read_buf(Pin::new(&mut *pipe), cx, &mut self.came)).map_err(ReadError::Io)? == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    pub(super) fn poll_read(
        &mut self,
        pipe: &mut dyn Pipe,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), ReadError>> {
        if let Some(error) = self.failed {
            return Poll::Ready(Err(error.into()));
        }
        while self.plain.is_empty() {
            if self.is_over || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let frame = ready!(self.poll_frame(pipe, cx));
            let error = match frame {
                Ok(Some((Kind::Data, plain))) => {
                    self.plain = plain;
                    continue;
                }
                Ok(Some((Kind::End, _))) => {
                    self.is_over = true;
                    continue;
                }
                Ok(Some((Kind::Open, _))) => StreamError::Unexpected,
                Ok(None) => StreamError::CutOff,
                Err(ReadError::Stream(error)) => error,
                Err(ReadError::Io(error)) => return Poll::Ready(Err(ReadError::Io(error))),
            };
            self.failed = Some(error);
            return Poll::Ready(Err(error.into()));
        }
        let given = self.plain.split_to(self.plain.len().min(buffer.remaining()));
        buffer.put_slice(&given);
        Poll::Ready(Ok(()))
    }
}
