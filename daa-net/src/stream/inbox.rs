//! What came on a pipe and was not used yet: one piece of memory, which grows with how much comes at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::Pipe;

/// The room of a stream on which little comes.
const SMALL: usize = 4 << 10;
/// The most room, unless a caller needs more for one piece.
const LARGE: usize = 256 << 10;

/// The bytes between `start` and `end` of `room` came and were not used.
///
/// All of `room` is initialised, once: whoever reads into memory that is not has to zero it first, each time, for what then may be
/// a few bytes.
#[derive(Default)]
pub(super) struct Inbox {
    room: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(super) fn bytes(&self) -> &[u8] {
        self.room.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.room.get_mut(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn use_up(&mut self, len: usize) {
        self.start = self.end.min(self.start.saturating_add(len));
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads some more; `false` where the pipe has ended. There will be room for `wanted` bytes in one piece.
    pub(super) fn poll_fill(
        &mut self,
        pipe: &mut dyn Pipe,
        cx: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<io::Result<bool>> {
        self.make_room(wanted);
        let mut room = ReadBuf::new(self.room.get_mut(self.end..).unwrap_or_default());
        ready!(Pin::new(pipe).poll_read(cx, &mut room))?;
        let came = room.filled().len();
        self.end += came;
        Poll::Ready(Ok(came > 0))
    }

    fn make_room(&mut self, wanted: usize) {
        let has = self.end - self.start;
        // What fills all the room there is comes fast.
        let grown =
            if self.end == self.room.len() { (self.room.len() * 2).min(LARGE) } else { self.room.len() };
        let len = grown.max(wanted).max(SMALL);
        if len > self.room.len() {
            let mut room = Vec::with_capacity(len);
            room.extend_from_slice(self.bytes());
            room.resize(len, 0);
            self.room = room;
        } else if self.start + wanted.max(has + 1) > self.room.len() {
            self.room.copy_within(self.start..self.end, 0);
        } else {
            return;
        }
        (self.start, self.end) = (0, has);
    }
}
