//! The keys that a log had, one after the other, and the time of each.

use super::checkpoint::Checkpoint;
use super::key::PublicKey;
use super::note::Note;
use super::rotation::{Rotation, RotationError};
use super::trust::{Term, Trust, TrustError, Trusted};

/// How a log got its keys, as far as somebody believes it who trusts in one of them.
///
/// Each statement is signed by both its keys. So the chain is believed in both directions: who trusts the first key
/// believes in those that it led to, and who trusts the newest believes what it says of those before it.
///
/// A key counts for its own time: from the last checkpoint of the key before, to the one that it handed over with. What is
/// signed by an old key still counts, if it is proved to be a beginning of what was handed over; whoever steals the key
/// later can sign nothing else.
#[derive(Clone, Debug)]
pub struct Succession {
    trust: Trust,
    /// At least one.
    keys: Vec<PublicKey>,
    /// With which checkpoint each key but the last handed over.
    handed_over: Vec<Checkpoint>,
}

impl Trust {
    /// Reads the statements of a log, the first one first; the key that is trusted must be among those that they name, or
    /// there are none.
    ///
    /// # Errors
    /// [`TrustError::Rotation`] when one of them does not hand over what the one before did, or none of them names the
    /// key; [`TrustError::BeforeRotation`] and [`TrustError::Forked`] when one hands over what its key did not get;
    /// [`TrustError::OtherBeginning`] when this trust knows of another beginning of its key.
    pub fn succession(&self, rotations: &[Note]) -> Result<Succession, TrustError> {
        let (mut keys, mut handed_over) = (Vec::new(), Vec::<Checkpoint>::new());
        for note in rotations {
            let rotation = Rotation::read(note)?;
            let rotation = match keys.last() {
                Some(key) => rotation.hands_over_from(key)?,
                None => {
                    keys.push(rotation.old.clone());
                    rotation
                }
            };
            Term { first: handed_over.last(), last: None }.has(&rotation.last)?;
            keys.push(rotation.new);
            handed_over.push(rotation.last);
        }
        if keys.is_empty() {
            keys.push(self.log_key().clone());
        }
        let found = Succession { trust: self.clone(), keys, handed_over };
        found.is_trusted().map(|()| found)
    }
}

impl Succession {
    fn is_trusted(&self) -> Result<(), TrustError> {
        let trusted = self.trust.log_key();
        let Some(at) = self.keys.iter().position(|key| key == trusted) else {
            let actual = self.keys.first().map(ToString::to_string).unwrap_or_default();
            return Err(RotationError::OtherKey { expected: trusted.to_string(), actual }.into());
        };
        match (self.trust.handed_over(), self.term(at).first) {
            (Some(known), Some(here)) if known != here => {
                Term { first: Some(known), last: None }.has(here)?;
                Err(TrustError::OtherBeginning { expected: known.size, actual: here.size })
            }
            _ => Ok(()),
        }
    }

    /// The time of the key at a place of the chain.
    fn term(&self, at: usize) -> Term<'_> {
        let before = at.checked_sub(1).and_then(|before| self.handed_over.get(before));
        // Of the first key, more may be known than is said here.
        let known = self.trust.handed_over().filter(|_| self.keys.get(at) == Some(self.trust.log_key()));
        Term { first: before.or(known), last: self.handed_over.get(at) }
    }

    /// The checkpoints with which each key but the last handed over, the first one first.
    #[must_use]
    pub fn handed_over(&self) -> &[Checkpoint] {
        &self.handed_over
    }

    /// Trust in the newest key alone, and in nothing that an older one signed: what a witness needs, who goes on.
    ///
    /// # Errors
    /// [`TrustError::SameKey`] when that is the key of a witness.
    pub fn newest(&self) -> Result<Trust, TrustError> {
        let last = self.keys.len().saturating_sub(1);
        let key = self.keys.get(last).unwrap_or(self.trust.log_key()).clone();
        self.trust.clone().with_key(key, self.term(last).first.cloned())
    }

    /// Whether a checkpoint counts, of whichever key it is, and what it says. That it belongs to what its key handed over
    /// is for a proof to show.
    ///
    /// # Errors
    /// [`TrustError`] says why it does not.
    pub fn verify(&self, note: &Note) -> Result<(Trusted, &PublicKey), TrustError> {
        let (checkpoint, key) = self.verify_log(note)?;
        Ok((Trusted { checkpoint, witnesses: self.trust.verify_witnesses(note)? }, key))
    }

    /// Whether the log has signed a checkpoint, whatever witnesses say, and with which key.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_log(&self, note: &Note) -> Result<(Checkpoint, &PublicKey), TrustError> {
        let mut refused = None;
        for (at, key) in self.keys.iter().enumerate().rev() {
            match self.trust.verify_by(note, key, self.term(at)) {
                Ok(checkpoint) => return Ok((checkpoint, key)),
                Err(error @ TrustError::Unsigned { .. }) => {
                    refused.get_or_insert(error);
                }
                // It is of this key, and something is wrong with it.
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| TrustError::Unsigned { name: self.trust.origin().clone() }))
    }
}
