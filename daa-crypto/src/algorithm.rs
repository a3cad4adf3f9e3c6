//! The algorithms on offer: their ids in encodings, their sizes.

use std::fmt;

use crate::error::DecodeError;

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ML-DSA-44 of FIPS 204, security category 2.
    MlDsa44,
    /// ML-DSA-65 of FIPS 204, security category 3: the one to take.
    MlDsa65,
    /// ML-DSA-87 of FIPS 204, security category 5.
    MlDsa87,
    /// SLH-DSA-SHA2-192s of FIPS 205, category 3: small signatures, half a second to sign. For root keys.
    SlhDsaSha2_192s,
    /// SLH-DSA-SHA2-192f of FIPS 205, category 3: faster to sign. The backup, should lattices fall.
    SlhDsaSha2_192f,
    /// Ed25519 of RFC 8032, with strict verification. Not post-quantum: no default policy accepts it.
    Ed25519,
    /// id-MLDSA44-Ed25519-SHA512 of draft-ietf-lamps-pq-composite-sigs: both must verify.
    MlDsa44Ed25519,
    /// id-MLDSA65-Ed25519-SHA512 of draft-ietf-lamps-pq-composite-sigs: both must verify.
    MlDsa65Ed25519,
}

impl SignatureAlgorithm {
    /// All of them, in the order of their ids.
    pub const ALL: &'static [Self] = &[
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
        Self::SlhDsaSha2_192s,
        Self::SlhDsaSha2_192f,
        Self::Ed25519,
        Self::MlDsa44Ed25519,
        Self::MlDsa65Ed25519,
    ];

    /// The id in encodings.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::MlDsa44 => 0x0101,
            Self::MlDsa65 => 0x0102,
            Self::MlDsa87 => 0x0103,
            Self::SlhDsaSha2_192s => 0x0111,
            Self::SlhDsaSha2_192f => 0x0112,
            Self::Ed25519 => 0x0121,
            Self::MlDsa44Ed25519 => 0x0131,
            Self::MlDsa65Ed25519 => 0x0132,
        }
    }

    /// The algorithm of this id, if there is one.
    #[must_use]
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.id() == id)
    }

    /// The algorithm of this id in bytes from outside.
    pub(crate) fn known(id: u16) -> Result<Self, DecodeError> {
        Self::from_id(id).ok_or(DecodeError::UnknownAlgorithm { found: id })
    }

    /// Bytes of the secret seed that a key is made of.
    #[must_use]
    pub const fn seed_len(self) -> usize {
        match self {
            Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 | Self::Ed25519 => 32,
            Self::SlhDsaSha2_192s | Self::SlhDsaSha2_192f => 72,
            Self::MlDsa44Ed25519 | Self::MlDsa65Ed25519 => 64,
        }
    }

    /// Bytes of a public key.
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::MlDsa44 => 1312,
            Self::MlDsa65 => 1952,
            Self::MlDsa87 => 2592,
            Self::SlhDsaSha2_192s | Self::SlhDsaSha2_192f => 48,
            Self::Ed25519 => 32,
            Self::MlDsa44Ed25519 => 1312 + 32,
            Self::MlDsa65Ed25519 => 1952 + 32,
        }
    }

    /// Bytes of a signature.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        match self {
            Self::MlDsa44 => 2420,
            Self::MlDsa65 => 3309,
            Self::MlDsa87 => 4627,
            Self::SlhDsaSha2_192s => 16_224,
            Self::SlhDsaSha2_192f => 35_664,
            Self::Ed25519 => 64,
            Self::MlDsa44Ed25519 => 2420 + 64,
            Self::MlDsa65Ed25519 => 3309 + 64,
        }
    }

    /// Whether it withstands a quantum computer, as far as is known.
    #[must_use]
    pub const fn is_post_quantum(self) -> bool {
        !matches!(self, Self::Ed25519)
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
            Self::SlhDsaSha2_192s => "SLH-DSA-SHA2-192s",
            Self::SlhDsaSha2_192f => "SLH-DSA-SHA2-192f",
            Self::Ed25519 => "Ed25519",
            Self::MlDsa44Ed25519 => "MLDSA44-Ed25519-SHA512",
            Self::MlDsa65Ed25519 => "MLDSA65-Ed25519-SHA512",
        })
    }
}

/// A key encapsulation mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KemAlgorithm {
    /// ML-KEM-768 of FIPS 203, security category 3.
    MlKem768,
    /// ML-KEM-1024 of FIPS 203, security category 5.
    MlKem1024,
    /// X-Wing, draft-connolly-cfrg-xwing-kem: X25519 and ML-KEM-768, safe while either holds. The one to take.
    XWing,
    /// X25519 and HQC-192, joined by the universal combiner of draft-irtf-cfrg-hybrid-kems. HQC is a draft (FIPS 207):
    /// a later version of it will have another id.
    #[cfg(feature = "hqc")]
    X25519Hqc192,
}

impl KemAlgorithm {
    /// All of them, in the order of their ids.
    pub const ALL: &'static [Self] = &[
        Self::MlKem768,
        Self::MlKem1024,
        Self::XWing,
        #[cfg(feature = "hqc")]
        Self::X25519Hqc192,
    ];

    /// The id in encodings.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::MlKem768 => 0x0201,
            Self::MlKem1024 => 0x0202,
            Self::XWing => 0x0211,
            #[cfg(feature = "hqc")]
            Self::X25519Hqc192 => 0x02f1,
        }
    }

    /// The algorithm of this id, if there is one.
    #[must_use]
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.id() == id)
    }

    /// The algorithm of this id in bytes from outside.
    pub(crate) fn known(id: u16) -> Result<Self, DecodeError> {
        Self::from_id(id).ok_or(DecodeError::UnknownAlgorithm { found: id })
    }

    /// Bytes of the secret seed that a key is made of.
    #[must_use]
    pub const fn seed_len(self) -> usize {
        match self {
            Self::MlKem768 | Self::MlKem1024 => 64,
            Self::XWing => 32,
            #[cfg(feature = "hqc")]
            Self::X25519Hqc192 => 64,
        }
    }

    /// Bytes of a public key.
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::MlKem768 => 1184,
            Self::MlKem1024 => 1568,
            Self::XWing => 1216,
            #[cfg(feature = "hqc")]
            Self::X25519Hqc192 => 4514 + 32,
        }
    }

    /// Bytes of a ciphertext.
    #[must_use]
    pub const fn ciphertext_len(self) -> usize {
        match self {
            Self::MlKem768 => 1088,
            Self::MlKem1024 => 1568,
            Self::XWing => 1120,
            #[cfg(feature = "hqc")]
            Self::X25519Hqc192 => 8978 + 32,
        }
    }
}

impl fmt::Display for KemAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MlKem768 => "ML-KEM-768",
            Self::MlKem1024 => "ML-KEM-1024",
            Self::XWing => "X-Wing",
            #[cfg(feature = "hqc")]
            Self::X25519Hqc192 => "X25519-HQC-192",
        })
    }
}

/// Ids of what has no choice yet, and is named in encodings so that it can have one.
pub(crate) mod id {
    /// ChaCha20-Poly1305 of RFC 8439, one message.
    pub(crate) const CHACHA20_POLY1305: u16 = 0x0301;
    /// The same in STREAM with a 32-bit big-endian counter, chunks of 64 KiB.
    pub(crate) const CHACHA20_POLY1305_STREAM: u16 = 0x0302;
    /// HKDF-SHA-256 of RFC 5869.
    pub(crate) const HKDF_SHA256: u16 = 0x0401;
    /// Argon2id, version 1.3, of RFC 9106.
    pub(crate) const ARGON2ID: u16 = 0x0402;
    /// Shamir's scheme over GF(256), with hash commitments.
    pub(crate) const SHAMIR_GF256: u16 = 0x0601;
}
