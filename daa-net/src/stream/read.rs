//! The half that reads: frames in, bytes out.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use daa_crypto::{FRAME_TAG, FrameOpener};
use tokio::io::ReadBuf;

use super::Pipe;
use super::error::StreamError;
use super::frame::{HEADER, Header, Kind};
use super::inbox::Inbox;
use super::packing::unpack;
use super::protocol::{Compression, Protection, StreamOptions};

pub(super) enum ReadError {
    Io(io::Error),
    Stream(StreamError),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StreamError> for ReadError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

pub(super) struct Reader {
    /// `None` where the connection protects the bytes.
    opener: Option<FrameOpener>,
    is_packed: bool,
    /// The first frame has not come: nothing else is waited for.
    is_new: bool,
    came: Inbox,
    /// How much of what came, and is to come, is of the frame that was begun: opened, and not given.
    plain: usize,
    /// The tag behind it.
    tag: usize,
    /// What was in a frame that was compressed, and how much of it was given.
    unpacked: (Vec<u8>, usize),
    is_over: bool,
    failed: Option<StreamError>,
}

/// What is there to be begun.
enum Next {
    Frame(Kind),
    /// So many bytes have to be there first.
    Wanted(usize),
}

impl Reader {
    pub(super) fn new(opener: FrameOpener) -> Self {
        Self {
            opener: Some(opener),
            is_packed: false,
            is_new: true,
            came: Inbox::default(),
            plain: 0,
            tag: 0,
            unpacked: (Vec::new(), 0),
            is_over: false,
            failed: None,
        }
    }

    /// After the first frame: what comes is treated as the stream was opened.
    pub(super) fn begin(&mut self, options: StreamOptions) {
        if options.protection == Protection::Connection {
            self.opener = None;
        }
        self.is_packed = options.compression == Compression::Lz4;
        self.is_new = false;
    }

    /// Begins the next frame, if as much of it has come as is needed: what is sealed or compressed is looked at as a whole.
    fn next(&mut self) -> Result<Next, StreamError> {
        let Some(head) = self.came.bytes().first_chunk::<HEADER>().copied() else {
            return Ok(Next::Wanted(HEADER));
        };
        let header = Header::decode(head)?;
        if self.is_new != (header.kind == Kind::Open) {
            return Err(StreamError::Unexpected);
        }
        let whole = HEADER + header.len;
        if let Some(opener) = &mut self.opener {
            let whole = whole + FRAME_TAG;
            let Some(frame) = self.came.bytes_mut().get_mut(HEADER..whole) else {
                return Ok(Next::Wanted(whole));
            };
            let (frame, tag) = frame.split_last_chunk_mut::<FRAME_TAG>().ok_or(StreamError::Forged)?;
            opener.open(&head, frame, tag).map_err(|_| StreamError::Forged)?;
            self.tag = FRAME_TAG;
        }
        if header.kind == Kind::Packed {
            let Some(frame) = self.came.bytes().get(HEADER..whole) else { return Ok(Next::Wanted(whole)) };
            if !self.is_packed {
                return Err(StreamError::Unexpected);
            }
            unpack(frame, &mut self.unpacked.0).ok_or(StreamError::Unexpected)?;
            self.unpacked.1 = 0;
            self.came.use_up(whole + std::mem::take(&mut self.tag));
        } else {
            self.came.use_up(HEADER);
            self.plain = header.len;
            self.leave_frame();
        }
        Ok(Next::Frame(header.kind))
    }

    /// Leaves a frame of which all is given.
    fn leave_frame(&mut self) {
        if self.plain == 0 {
            self.came.use_up(std::mem::take(&mut self.tag));
        }
    }

    /// Begins the next frame, when it has come; `None` where the pipe ended.
    pub(super) fn poll_frame(
        &mut self,
        pipe: &mut dyn Pipe,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Kind>, ReadError>> {
        loop {
            let wanted = match self.next()? {
                Next::Frame(kind) => return Poll::Ready(Ok(Some(kind))),
                Next::Wanted(wanted) => wanted,
            };
            if !ready!(self.came.poll_fill(pipe, cx, wanted))? {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// All of the first frame, which was sealed.
    pub(super) fn take_frame(&mut self) -> Bytes {
        let frame = Bytes::copy_from_slice(self.there());
        self.use_up(frame.len());
        frame
    }

    /// What is there to be given.
    fn there(&self) -> &[u8] {
        let (unpacked, given) = &self.unpacked;
        match unpacked.get(*given..).unwrap_or_default() {
            [] => self.came.bytes().get(..self.plain).unwrap_or(self.came.bytes()),
            unpacked => unpacked,
        }
    }

    /// What is there was given, so much of it.
    fn use_up(&mut self, len: usize) {
        let (unpacked, given) = &mut self.unpacked;
        if *given < unpacked.len() {
            *given += len;
        } else {
            self.came.use_up(len);
            self.plain -= len;
            self.leave_frame();
        }
    }

    /// What a frame after the first one means.
    fn begun(&mut self, kind: Kind) {
        self.is_over |= kind == Kind::End;
    }

    /// Ready when there is something to give, or nothing more to come.
    fn poll_plain(&mut self, pipe: &mut dyn Pipe, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        while !self.is_over && self.there().is_empty() {
            if self.plain > 0 {
                if !ready!(self.came.poll_fill(pipe, cx, 1))? {
                    return Poll::Ready(Err(StreamError::CutOff.into()));
                }
            } else {
                let kind = ready!(self.poll_frame(pipe, cx))?.ok_or(StreamError::CutOff)?;
                self.begun(kind);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives what is there, of as many frames as have come and have room.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        while !self.is_over && self.failed.is_none() && buffer.remaining() > 0 {
            let there = self.there();
            let given = there.get(..buffer.remaining()).unwrap_or(there);
            if given.is_empty() {
                return;
            }
            let len = given.len();
            buffer.put_slice(given);
            self.use_up(len);
            if self.plain > 0 || !self.there().is_empty() {
                continue;
            }
            // What is wrong with the next frame is told by the next read.
            match self.next() {
                Ok(Next::Frame(kind)) => self.begun(kind),
                Ok(Next::Wanted(_)) => {}
                Err(error) => self.failed = Some(error),
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
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let there = ready!(self.poll_plain(pipe, cx));
        if let Err(ReadError::Stream(error)) = &there {
            self.failed = Some(*error);
        }
        there?;
        self.give(buffer);
        Poll::Ready(Ok(()))
    }
}
