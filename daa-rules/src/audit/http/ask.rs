//! Asking *k* of *n* witnesses.

use std::collections::BTreeMap;

use daa_core::fault::{Fault, Reaction, Retry};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::client::{HttpWitness, HttpWitnessError, Said};
use crate::audit::checkpoint::{Checkpoint, CheckpointError};
use crate::audit::key::NoteVerifier;
use crate::audit::note::{KeyName, Note, SignatureState};
use crate::audit::reader::{LogReadError, LogReader};
use crate::audit::witness::CosignRequest;

/// How often a witness is asked that says each time that it signed another size last: others ask it too.
const TRIES: usize = 4;

/// A checkpoint with the signatures of enough witnesses.
#[derive(Debug)]
#[non_exhaustive]
pub struct Asked {
    /// The checkpoint, with all signatures that were on it, and those of the witnesses.
    pub note: Note,
    /// The new signatures, as lines.
    pub lines: String,
    /// The witnesses that did not sign, and why. One that says [`Declined::Ahead`] has seen more of the log than
    /// there is: look into that.
    pub declined: BTreeMap<KeyName, Declined>,
}

/// Too few witnesses signed, or none could be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// More are needed than are asked.
    #[error("a quorum of {quorum} of {witnesses} witnesses cannot be reached")]
    Quorum {
        /// How many are needed.
        quorum: usize,
        /// How many there are.
        witnesses: usize,
    },
    /// The note is no checkpoint.
    #[error("what is to be signed is no checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// Too few have signed.
    #[error("{signed} witnesses have signed, {quorum} are needed")]
    TooFew {
        /// How many are needed.
        quorum: usize,
        /// How many have.
        signed: usize,
        /// The others, and why they have not.
        declined: BTreeMap<KeyName, Declined>,
    },
}

impl Reaction for AskError {
    fn fault(&self) -> Fault {
        match self {
            Self::Quorum { .. } => Fault::Caller,
            Self::Checkpoint(error) => error.fault(),
            Self::TooFew { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::TooFew { .. } => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// Why a witness has not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Declined {
    /// It cannot be asked, or says no.
    #[error("it did not sign")]
    Witness(#[from] HttpWitnessError),
    /// The log's files do not have the proof that it wants.
    #[error("the proof for it cannot be made")]
    Files(#[from] LogReadError),
    /// It signed a larger log: this one was rolled back, or its checkpoint is not the last.
    #[error("it signed a log of {seen} records, and this one has {size}")]
    Ahead {
        /// What it signed.
        seen: u64,
        /// What there is.
        size: u64,
    },
    /// It says each time that it signed another size.
    #[error("it was asked {TRIES} times, and had signed another size each time")]
    Unsteady,
    /// What it answered is not its signature of this checkpoint.
    #[error("its signature is missing or wrong")]
    Signature,
}

/// Has a checkpoint of a log signed by witnesses, all at once; comes back when enough have, or all have answered.
///
/// Each is asked from the size that it says it signed last. What it answers is believed for its signature alone; lines of
/// other keys are left out.
///
/// # Errors
/// [`AskError`].
///
/// # Cancel safety
/// A dropped call may leave witnesses that have signed; they sign the same again.
pub async fn ask_witnesses(
    log: &LogReader,
    checkpoint: &Note,
    witnesses: &[HttpWitness],
    quorum: usize,
) -> Result<Asked, AskError> {
    if quorum > witnesses.len() {
        return Err(AskError::Quorum { quorum, witnesses: witnesses.len() });
    }
    let size = Checkpoint::parse(checkpoint.text())?.size;
    let asked =
        witnesses.iter().map(|witness| async move { (witness, one(log, checkpoint, size, witness).await) });
    let mut asked: FuturesUnordered<_> = asked.collect();
    let (mut note, mut lines, mut signed, mut declined) =
        (checkpoint.clone(), String::new(), 0, BTreeMap::new());
    while signed < quorum
        && let Some((witness, answer)) = asked.next().await
    {
        let name = NoteVerifier::name(witness.key()).clone();
        match answer {
            Ok(line) if note.add_signatures(&line).is_ok() => {
                lines.push_str(&line);
                signed += 1;
            }
            Ok(_) => drop(declined.insert(name, Declined::Signature)),
            Err(error) => drop(declined.insert(name, error)),
        }
    }
    if signed < quorum {
        return Err(AskError::TooFew { quorum, signed, declined });
    }
    Ok(Asked { note, lines, declined })
}

/// The line with the signature of one witness.
async fn one(
    log: &LogReader,
    checkpoint: &Note,
    size: u64,
    witness: &HttpWitness,
) -> Result<String, Declined> {
    let mut old = 0;
    for _ in 0..TRIES {
        let request = CosignRequest::new(old, log.consistency(old, size).await?, checkpoint.clone());
        match witness.add(&request).await? {
            Said::Signed(lines) => return own(checkpoint, &lines, witness),
            Said::LastSize(seen) if seen > size => return Err(Declined::Ahead { seen, size }),
            Said::LastSize(seen) => old = seen,
        }
    }
    Err(Declined::Unsteady)
}

/// Of the lines that a witness answered, the one with its signature.
fn own(checkpoint: &Note, lines: &str, witness: &HttpWitness) -> Result<String, Declined> {
    for line in lines.split_inclusive('\n') {
        let Ok(mut note) = Note::new(checkpoint.text().to_owned()) else { break };
        if note.add_signatures(line).is_ok() && note.state(witness.key()) == SignatureState::Verified {
            return Ok(note.last_line());
        }
    }
    Err(Declined::Signature)
}
