//! Sealing what is written.

use std::fmt;
use std::io::{self, Write};

use zeroize::Zeroizing;

use super::{CHUNK, SealError, StreamSealer};

/// Seals what is written to it, in bounded memory.
///
/// Only [`finish`](Self::finish) makes the stream complete: one that was dropped before opens with
/// [`OpenError::Truncated`](super::OpenError::Truncated) or [`OpenError::Rejected`](super::OpenError::Rejected) at its
/// end.
pub struct SealWriter<W> {
    sealer: StreamSealer,
    /// Up to one chunk that is not sealed yet: whether it is the last is known when more comes.
    waiting: Zeroizing<Vec<u8>>,
    inner: W,
    /// A write failed half-way: what was written cannot be told, so nothing may follow.
    broken: bool,
}

impl<W: Write> SealWriter<W> {
    pub(crate) fn new(sealer: StreamSealer, mut inner: W) -> io::Result<Self> {
        inner.write_all(sealer.header())?;
        Ok(Self { sealer, waiting: Zeroizing::new(Vec::with_capacity(CHUNK)), inner, broken: false })
    }

    /// Seals what waits as the last chunk, flushes, and gives back what was written to.
    ///
    /// # Errors
    /// Those of the writer underneath; [`SealError`] inside an [`io::Error`].
    pub fn finish(self) -> io::Result<W> {
        let Self { sealer, waiting, mut inner, broken } = self;
        if broken {
            return Err(already_failed());
        }
        inner.write_all(&sealer.last(&waiting).map_err(io::Error::other)?)?;
        inner.flush()?;
        Ok(inner)
    }

    fn seal_waiting(&mut self) -> io::Result<()> {
        let sealed = self.sealer.next(&self.waiting).map_err(io::Error::other)?;
        self.broken = true;
        self.inner.write_all(&sealed)?;
        self.broken = false;
        self.waiting.clear();
        Ok(())
    }
}

fn already_failed() -> io::Error {
    io::Error::other("an earlier write failed: the stream cannot be continued")
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.broken {
            return Err(already_failed());
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.waiting.len() == CHUNK {
            self.seal_waiting()?;
        }
        let room = CHUNK.saturating_sub(self.waiting.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.waiting.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// Flushes the writer underneath. What waits for its chunk to fill goes on waiting.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> fmt::Debug for SealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealWriter(..)")
    }
}

impl From<SealError> for io::Error {
    fn from(error: SealError) -> Self {
        Self::other(error)
    }
}
