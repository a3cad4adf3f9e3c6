//! What can be wrong with names.

use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_crypto::{DecodeError, SignError, VerifyError};

use super::name::Name;
use super::record::{MAX_NAME_LIFE, MAX_NAME_RECORD, MAX_PROPERTIES, MAX_PROPERTY};
use super::title::MAX_TRANSFERS;
use crate::fault::fault_of;
use crate::identity::IdentityError;
use crate::node_id::NodeId;

/// A text that is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseNameError {
    /// It does not end as names do.
    #[error("a name ends with .dark")]
    Suffix,
    /// Too short or too long.
    #[error("a name has 3 to 40 characters before .dark, not {len}")]
    Length {
        /// How many bytes there are before the suffix.
        len: usize,
    },
    /// A character that names do not have.
    #[error("a name has only a-z, 0-9 and hyphens, not {found:?}")]
    Character {
        /// The first of them.
        found: char,
    },
    /// A hyphen where there may be none.
    #[error("a name neither begins nor ends with a hyphen, and has no two in a row")]
    Hyphen,
}

impl Reaction for ParseNameError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// A record of a name from outside that is not to be believed, or a title that does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is too large.
    #[error("a record of a name has at most {MAX_NAME_RECORD} bytes, not {len}")]
    Size {
        /// Its length in bytes.
        len: usize,
    },
    /// It is not the encoding of one.
    #[error("not the encoding of a record of a name: {0}")]
    Encoding(#[from] prost::DecodeError),
    /// A field of another length than it has.
    #[error("the {field} of a record of a name has another length than it must have")]
    Length {
        /// Which.
        field: &'static str,
    },
    /// What it names is no name.
    #[error(transparent)]
    Name(#[from] ParseNameError),
    /// It is of another network.
    #[error("the record of a name is of another network")]
    Network,
    /// A key or a signature in it is none, or of an algorithm that is refused.
    #[error("a key or a signature of the record of a name: {0}")]
    Key(#[from] DecodeError),
    /// A key in it cannot be that of an owner.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A signature is not of this key over this.
    #[error("a signature of the record of a name: {0}")]
    Signature(#[from] VerifyError),
    /// Nobody worked for the claim.
    #[error("the claim of {owner} to {name} has not the work behind it that it must have")]
    Work {
        /// To what.
        name: Name,
        /// Whose.
        owner: NodeId,
    },
    /// Whoever gives, or signs, is not the owner.
    #[error("{found} is not the owner of the name, {owner} is")]
    NotOwner {
        /// Who is.
        owner: NodeId,
        /// Who acted.
        found: NodeId,
    },
    /// The transfers are not one after the other, of this name and network.
    #[error("the transfers of the name do not follow each other")]
    Chain,
    /// Too many transfers in a row.
    #[error("a title has at most {MAX_TRANSFERS} transfers: the owner is to claim it anew")]
    TooManyTransfers,
    /// Too many properties, or too large ones.
    #[error("a name has at most {MAX_PROPERTIES} properties, of at most {MAX_PROPERTY} bytes each")]
    Properties,
    /// It is good for no time, or for too long.
    #[error("a name is registered for up to {MAX_NAME_LIFE:?}, not for {life:?}")]
    Life {
        /// How long it says that it is.
        life: Duration,
    },
    /// Its owner's clock is ahead of ours by more than it may.
    #[error("the record of a name was issued {} ms after now", .issued.since(*.now).as_millis())]
    Early {
        /// When it was issued, it says.
        issued: Timestamp,
        /// When it was looked at.
        now: Timestamp,
    },
    /// It has expired.
    #[error("the record of a name has expired {} ms ago", .now.since(*.expired).as_millis())]
    Expired {
        /// When.
        expired: Timestamp,
        /// When it was looked at.
        now: Timestamp,
    },
}

impl Reaction for NameError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// A record or a transfer that cannot be issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameIssueError {
    /// It is beyond a bound, or not the signer's to issue.
    #[error(transparent)]
    Content(#[from] NameError),
    /// Whoever holds the key does not sign.
    #[error("the record of the name could not be signed")]
    Sign(#[source] SignError),
}

impl From<SignError> for NameIssueError {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

impl Reaction for NameIssueError {
    fn fault(&self) -> Fault {
        match self {
            Self::Content(_) => Fault::Caller,
            Self::Sign(error) => fault_of(error),
        }
    }

    fn retry(&self) -> Retry {
        if self.fault() == Fault::Environment { Retry::Later } else { Retry::Never }
    }
}
