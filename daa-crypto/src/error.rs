//! Errors, by who is to blame.

use std::fmt;

use crate::algorithm::{KemAlgorithm, SignatureAlgorithm};
use crate::encoding::Kind;

/// Who is to blame for a failure. The same four as in the rest of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller asked for something that can never work as asked.
    Caller,
    /// Whoever made the bytes: a peer, a file, a stream.
    Peer,
    /// The machine: no randomness, no disk, a signing device that does not answer.
    Environment,
    /// This library: please report it.
    Bug,
}

/// The reaction that an error calls for. Every error of this crate implements it.
pub trait Reaction {
    /// Who is to blame.
    fn fault(&self) -> Fault;

    /// Whether the same call may succeed later: only where the environment failed.
    fn may_succeed_later(&self) -> bool {
        self.fault() == Fault::Environment
    }
}

/// An algorithm that a policy accepts or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// One that signs.
    Signature(SignatureAlgorithm),
    /// One that encapsulates.
    Kem(KemAlgorithm),
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature(algorithm) => algorithm.fmt(f),
            Self::Kem(algorithm) => algorithm.fmt(f),
        }
    }
}

/// The policy does not accept this algorithm: a downgrade, or a policy that is too narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy does not accept {algorithm}")]
#[non_exhaustive]
pub struct NotAccepted {
    /// The algorithm that was refused.
    pub algorithm: Algorithm,
}

impl Reaction for NotAccepted {
    /// By itself the fault of the caller, who asked for the algorithm; the error around it says so when it came in bytes.
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

/// Bytes to be wrapped, of another length than the algorithm has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {what} has {expected} bytes, not {found}")]
#[non_exhaustive]
pub struct LengthError {
    /// What they were to be.
    pub what: &'static str,
    /// How many bytes it has.
    pub expected: usize,
    /// How many were given.
    pub found: usize,
}

impl Reaction for LengthError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl From<LengthError> for DecodeError {
    fn from(LengthError { what, expected, found }: LengthError) -> Self {
        Self::Length { field: what, expected, found }
    }
}

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct RandomnessError(#[from] pub(crate) getrandom::Error);

impl Reaction for RandomnessError {
    fn fault(&self) -> Fault {
        Fault::Environment
    }
}

/// Bytes that are not what they should be. Always the fault of whoever made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It ends too early.
    #[error("{missing} bytes are missing at least")]
    Truncated {
        /// How many bytes are missing at least.
        missing: usize,
    },
    /// It goes on after its end.
    #[error("{count} bytes follow the end")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// It is something else.
    #[error("expected a {expected}, found kind {found}")]
    WrongKind {
        /// What was asked for.
        expected: Kind,
        /// The first byte.
        found: u8,
    },
    /// It was written by a later version, or is damaged.
    #[error("version {found} of the encoding is not known")]
    UnknownVersion {
        /// The second byte.
        found: u8,
    },
    /// An algorithm that this build does not have, or that does not belong here.
    #[error("algorithm {found:#06x} is not known here")]
    UnknownAlgorithm {
        /// Its id.
        found: u16,
    },
    /// The policy refuses the algorithm.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// A field of another length than the algorithm fixes.
    #[error("{field} has {found} bytes and must have {expected}")]
    Length {
        /// Which field.
        field: &'static str,
        /// How many bytes it must have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// A field beyond its bound.
    #[error("{field} has {found} bytes, more than {max}")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// How many bytes it may have.
        max: usize,
        /// How many it says it has.
        found: usize,
    },
    /// A number outside its bounds.
    #[error("{field} is {found} and must be between {min} and {max}")]
    OutOfBounds {
        /// Which number.
        field: &'static str,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
        /// What it is.
        found: u64,
    },
    /// Bytes of the right length that are no public key: a coordinate that is not reduced, a point that is not on the
    /// curve or of small order.
    #[error("this is not a public key of {algorithm}")]
    InvalidKey {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// Fields that contradict each other.
    #[error("{field} contradicts what comes before it")]
    Inconsistent {
        /// The later of them.
        field: &'static str,
    },
}

impl Reaction for DecodeError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// A signature was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The provider failed at what cannot fail.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The device or service that holds the key failed.
    #[error("the signer failed")]
    Signer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Reaction for SignError {
    fn fault(&self) -> Fault {
        match self {
            Self::Randomness(_) | Self::Signer(_) => Fault::Environment,
            Self::Provider(_) => Fault::Bug,
        }
    }
}

/// A signature that does not hold. The fault of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The policy refuses the algorithm of the key.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// The signature is of another algorithm than the key.
    #[error("a signature of {signature} cannot be of a key of {key}")]
    OtherAlgorithm {
        /// The key's.
        key: SignatureAlgorithm,
        /// The signature's.
        signature: SignatureAlgorithm,
    },
    /// Key, context, message and signature do not belong together.
    #[error("the signature does not verify")]
    Invalid,
}

impl Reaction for VerifyError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// A key was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The policy refuses the algorithm.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// A seed of another length than the algorithm has.
    #[error("a seed of {algorithm} has {expected} bytes, not {found}")]
    SeedLength {
        /// The algorithm.
        algorithm: Algorithm,
        /// How many bytes a seed has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The provider failed at what cannot fail.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl Reaction for KeyError {
    fn fault(&self) -> Fault {
        match self {
            Self::NotAccepted(_) | Self::SeedLength { .. } => Fault::Caller,
            Self::Randomness(_) => Fault::Environment,
            Self::Provider(_) => Fault::Bug,
        }
    }
}

/// A provider failed at what fails only by a mistake in it, or in how it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider {provider} failed at {operation}")]
#[non_exhaustive]
pub struct ProviderError {
    /// The provider's name.
    pub provider: &'static str,
    /// What it was doing.
    pub operation: &'static str,
}

impl ProviderError {
    /// For implementers of [`Provider`](crate::provider::Provider).
    #[must_use]
    pub const fn new(provider: &'static str, operation: &'static str) -> Self {
        Self { provider, operation }
    }
}

impl Reaction for ProviderError {
    fn fault(&self) -> Fault {
        Fault::Bug
    }
}

/// A secret was not encapsulated or decapsulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KemError {
    /// The policy refuses the algorithm of the key.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// The ciphertext is of another algorithm than the key.
    #[error("a ciphertext of {ciphertext} cannot be for a key of {key}")]
    OtherAlgorithm {
        /// The key's.
        key: KemAlgorithm,
        /// The ciphertext's.
        ciphertext: KemAlgorithm,
    },
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The provider failed at what cannot fail.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl Reaction for KemError {
    fn fault(&self) -> Fault {
        match self {
            Self::NotAccepted(_) => Fault::Caller,
            Self::OtherAlgorithm { .. } => Fault::Peer,
            Self::Randomness(_) => Fault::Environment,
            Self::Provider(_) => Fault::Bug,
        }
    }
}
