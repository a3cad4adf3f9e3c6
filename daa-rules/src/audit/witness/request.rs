//! What a log asks of a witness: the body of `add-checkpoint` of C2SP tlog-witness.

use std::fmt;

use daa_core::fault::{Fault, Reaction, Retry};

use crate::audit::note::{MAX_NOTE, Note, NoteError};
use crate::audit::proof::{Proof, ProofError};

/// The largest request, in bytes: a note, and a proof of hashes in base64.
pub const MAX_REQUEST: usize = MAX_NOTE + 4096;

/// A checkpoint to be signed by a witness, and a proof that it goes on from one of size `old`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CosignRequest {
    /// The size that the witness signed last, as far as the log knows.
    pub old: u64,
    /// The proof from there.
    pub proof: Proof,
    /// The checkpoint.
    pub checkpoint: Note,
}

/// Bytes that are no request to a witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// More than [`MAX_REQUEST`] bytes.
    #[error("a request has at most {MAX_REQUEST} bytes, this one has {actual}")]
    TooLarge {
        /// How many it has.
        actual: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("a request is UTF-8")]
    Encoding,
    /// Not `old`, a number, hashes, and a blank line.
    #[error("line {line} of the request is not as tlog-witness has it")]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// Too many hashes.
    #[error("the proof of the request is too long")]
    Proof(#[from] ProofError),
    /// No note behind it.
    #[error("the request has no checkpoint")]
    Note(#[from] NoteError),
}

impl Reaction for RequestError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl CosignRequest {
    /// A request.
    #[must_use]
    pub const fn new(old: u64, proof: Proof, checkpoint: Note) -> Self {
        Self { old, proof, checkpoint }
    }

    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_REQUEST {
            return Err(RequestError::TooLarge { actual: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RequestError::Encoding)?;
        let (head, note) = text.split_once("\n\n").ok_or(RequestError::Line { line: 1 })?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).unwrap_or_default();
        let size: u64 = old.parse().map_err(|_| RequestError::Line { line: 1 })?;
        if size.to_string() != old {
            return Err(RequestError::Line { line: 1 });
        }
        let hash = |(at, line): (usize, &str)| line.parse().map_err(|_| RequestError::Line { line: at + 2 });
        let hashes: Vec<_> = lines.enumerate().map(hash).collect::<Result<_, _>>()?;
        Ok(Self { old: size, proof: Proof::new(hashes)?, checkpoint: Note::parse(note.as_bytes())? })
    }
}

/// The body of the request.
impl fmt::Display for CosignRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.hashes().iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
