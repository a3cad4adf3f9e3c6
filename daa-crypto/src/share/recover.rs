//! Recovering.

use subtle::ConstantTimeEq as _;
use vsss_rs::Gf256;
use zeroize::Zeroizing;

use super::{SALT, Share, ShareSetId, commit_to_secret};
use crate::error::{Fault, Reaction};

/// A secret was not recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// Too few different shares.
    #[error("{needed} shares are needed, and {found} are here")]
    TooFew {
        /// How many are needed; 2 where there is none.
        needed: u8,
        /// How many different ones there are.
        found: usize,
    },
    /// Shares of different sets.
    #[error("share {index} is of set {found}, and the first one of {expected}")]
    OtherSet {
        /// The set of the first share.
        expected: ShareSetId,
        /// The other share's set.
        found: ShareSetId,
        /// The other share's index.
        index: u8,
    },
    /// The shares are as they were committed to, and what comes of them is not: whoever split made a mistake or lied.
    #[error("the shares do not give the secret that they are committed to")]
    Inconsistent,
}

impl Reaction for RecoverError {
    fn fault(&self) -> Fault {
        match self {
            Self::TooFew { .. } => Fault::Caller,
            Self::OtherSet { .. } | Self::Inconsistent => Fault::Peer,
        }
    }
}

/// Recovers a secret from at least as many different shares of one set as are needed. A share that is given twice counts
/// once.
///
/// # Errors
/// [`RecoverError`].
pub fn recover(shares: &[Share]) -> Result<Zeroizing<Vec<u8>>, RecoverError> {
    let Some(first) = shares.first() else { return Err(RecoverError::TooFew { needed: 2, found: 0 }) };
    let needed = first.set.threshold;
    let mut used: Vec<&Share> = Vec::with_capacity(needed.into());
    for share in shares {
        if share.set != first.set {
            let (expected, found) = (first.set_id(), share.set_id());
            return Err(RecoverError::OtherSet { expected, found, index: share.index });
        }
        if !used.iter().any(|one| one.index == share.index) {
            used.push(share);
        }
    }
    if used.len() < usize::from(needed) {
        return Err(RecoverError::TooFew { needed, found: used.len() });
    }
    used.truncate(needed.into());
    let points = used.iter().map(|share| [&[share.index], share.value.as_slice()].concat());
    let points = Zeroizing::new(points.collect::<Vec<Vec<u8>>>());
    // It refuses points of different lengths, which can only come of forged commitments.
    let salted = Gf256::combine_bytes(points.as_slice()).map_err(|_| RecoverError::Inconsistent)?;
    let salted = Zeroizing::new(salted);
    if !bool::from(commit_to_secret(&salted).ct_eq(&first.set.secret)) {
        return Err(RecoverError::Inconsistent);
    }
    Ok(Zeroizing::new(salted.get(SALT..).unwrap_or_default().to_vec()))
}
