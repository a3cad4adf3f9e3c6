//! Opening what is read.

use std::fmt;
use std::io::{self, Read};

use zeroize::{Zeroize as _, Zeroizing};

use super::opener::{HEADER_PREFIX, header_len};
use super::{OpenError, SEALED_CHUNK, StreamOpener};
use crate::context::Context;
use crate::kem::DecapsulationKey;
use crate::policy::Policy;

/// Opens what is read from it, in bounded memory.
///
/// Each byte that it gives is authentic and in its place. That the stream is complete is certain only when `read` gives 0:
/// do not act on the beginning of a stream whose end was refused. An error is final: later reads fail too.
pub struct OpenReader<R> {
    opener: Option<StreamOpener>,
    inner: R,
    /// Sealed bytes: one chunk, and the first byte of the next, which tells that it is not the last.
    sealed: Vec<u8>,
    opened: Zeroizing<Vec<u8>>,
    given: usize,
    failed: Option<OpenError>,
}

impl<R: Read> OpenReader<R> {
    pub(crate) fn new(
        policy: &Policy,
        key: &DecapsulationKey,
        context: Context,
        mut inner: R,
    ) -> io::Result<Self> {
        let mut header = read_at_most(&mut inner, HEADER_PREFIX)?;
        let rest = header_len(policy, &header).map_err(OpenError::from)?.saturating_sub(HEADER_PREFIX);
        header.append(&mut read_at_most(&mut inner, rest)?);
        let opener = StreamOpener::new(policy, key, context, &header)?;
        let sealed = Vec::with_capacity(SEALED_CHUNK + 1);
        Ok(Self { opener: Some(opener), inner, sealed, opened: Zeroizing::default(), given: 0, failed: None })
    }

    /// Opens the next chunk into `opened`. The opener is gone after the last one.
    fn advance(&mut self) -> io::Result<()> {
        let Some(mut opener) = self.opener.take() else { return Ok(()) };
        let missing = (SEALED_CHUNK + 1).saturating_sub(self.sealed.len());
        if let Err(error) = append(&mut self.inner, &mut self.sealed, missing) {
            // Not the stream's fault: what was read is kept, and reading may go on.
            self.opener = Some(opener);
            return Err(error);
        }
        self.opened.zeroize();
        self.given = 0;
        let opened = if self.sealed.len() > SEALED_CHUNK {
            let opened = opener.next(self.sealed.get(..SEALED_CHUNK).unwrap_or_default());
            self.sealed.drain(..SEALED_CHUNK);
            self.opener = Some(opener);
            opened
        } else {
            opener.last(&self.sealed)
        };
        match opened {
            Ok(opened) => *self.opened = opened,
            Err(error) => {
                self.opener = None;
                self.failed = Some(error);
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.given >= self.opened.len() && self.opener.is_some() {
            self.advance()?;
        }
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        let rest = self.opened.get(self.given..).unwrap_or_default();
        let taken = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..taken), rest.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.given = self.given.saturating_add(taken);
        Ok(taken)
    }
}

fn read_at_most(from: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    append(from, &mut bytes, len)?;
    Ok(bytes)
}

/// Appends up to `len` bytes; fewer only at the end.
fn append(from: &mut impl Read, bytes: &mut Vec<u8>, len: usize) -> io::Result<()> {
    from.take(len as u64).read_to_end(bytes).map(drop)
}

impl<R> fmt::Debug for OpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenReader(..)")
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        let kind = match error {
            OpenError::Truncated => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
