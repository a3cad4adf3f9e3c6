//! Compressed updates: error feedback, the largest values of each chunk, two bits a value, entropy-coded indices.
//!
//! The scheme is SparseLoCo's (Sarfi et al., 2025): for the difference `Δ = base − local` of a round,
//!
//! ```text
//! e ← decay·e + Δ
//! c = Q2(top-k of each chunk of e)
//! e ← e − c
//! ```
//!
//! with `c` the *decoded* value, so that what quantisation loses is sent later. Everybody, the sender included,
//! applies the decoded bytes and nothing else.

mod feedback;
mod q2;
mod range_coder;
mod update;

pub use feedback::{Encoded, Residual};
pub use update::{SparseUpdate, max_bytes};

use daa_core::digest::Digest;
use serde::{Deserialize, Serialize};

/// The longest chunk.
pub const MAX_CHUNK: u32 = 1 << 15;

/// How updates are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawCodecConfig", into = "RawCodecConfig")]
pub struct CodecConfig {
    chunk: u32,
    keep: u32,
    decay: f32,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct RawCodecConfig {
    chunk: u32,
    keep: u32,
    decay: f32,
}

/// A codec configuration that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "a codec keeps 1..=chunk of at most {MAX_CHUNK} values and decays by 0..=1, not {keep} of {chunk} by {decay}"
)]
#[non_exhaustive]
pub struct CodecConfigError {
    /// The chunk that was asked for.
    pub chunk: u32,
    /// How many to keep.
    pub keep: u32,
    /// The decay.
    pub decay: f32,
}

impl daa_core::fault::Reaction for CodecConfigError {
    fn fault(&self) -> daa_core::fault::Fault {
        daa_core::fault::Fault::Caller
    }

    fn retry(&self) -> daa_core::fault::Retry {
        daa_core::fault::Retry::Never
    }
}

impl CodecConfig {
    /// Keeps the `keep` largest of every `chunk` values; the residual shrinks by `decay` a round.
    ///
    /// # Errors
    /// [`CodecConfigError`] when these make no sense.
    pub fn new(chunk: u32, keep: u32, decay: f32) -> Result<Self, CodecConfigError> {
        let sound =
            (1..=MAX_CHUNK).contains(&chunk) && (1..=chunk).contains(&keep) && (0.0..=1.0).contains(&decay);
        if sound { Ok(Self { chunk, keep, decay }) } else { Err(CodecConfigError { chunk, keep, decay }) }
    }

    /// The published density: 64 of 4096 values, decay 0.95 (SparseLoCo, for models of 500 M parameters and up).
    #[must_use]
    pub const fn sparse_loco() -> Self {
        Self { chunk: 4096, keep: 64, decay: 0.95 }
    }

    /// Sixteen times denser, 64 of 256 values: for models of well under a million parameters.
    #[must_use]
    pub const fn small_model() -> Self {
        Self { chunk: 256, keep: 64, decay: 0.95 }
    }

    /// Values in a chunk.
    #[must_use]
    pub const fn chunk(&self) -> u32 {
        self.chunk
    }

    /// Values kept of each chunk.
    #[must_use]
    pub const fn keep(&self) -> u32 {
        self.keep
    }

    /// What is left of the residual after a round.
    #[must_use]
    pub const fn decay(&self) -> f32 {
        self.decay
    }

    /// How many are kept of a chunk of `len` values: the same share, at least one.
    #[must_use]
    pub fn kept_of(&self, len: usize) -> usize {
        let share = len as u64 * u64::from(self.keep) / u64::from(self.chunk);
        usize::try_from(share).unwrap_or(len).clamp(1, len.max(1))
    }

    /// Identifies the configuration.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::builder("daa codec config v1")
            .number(u64::from(self.chunk))
            .number(u64::from(self.keep))
            .number(u64::from(self.decay.to_bits()))
            .finish()
    }
}

impl TryFrom<RawCodecConfig> for CodecConfig {
    type Error = CodecConfigError;

    fn try_from(raw: RawCodecConfig) -> Result<Self, CodecConfigError> {
        Self::new(raw.chunk, raw.keep, raw.decay)
    }
}

impl From<CodecConfig> for RawCodecConfig {
    fn from(config: CodecConfig) -> Self {
        Self { chunk: config.chunk, keep: config.keep, decay: config.decay }
    }
}
