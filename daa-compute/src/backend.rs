//! Where the arithmetic of training runs.

use std::fmt;

use async_trait::async_trait;
use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::seed::Seed;
use serde::{Deserialize, Serialize};

use crate::dataset::Shard;
use crate::inner::{InnerConfig, InnerConfigError};
use crate::parameters::{Layout, Parameters};
use crate::wire::DecodeError;

/// Trains and evaluates one model.
///
/// # Contract
///
/// - [`ComputeBackend::train`] is a pure function of its arguments and the backend's model: same arguments and same
///   [`ComputePath`], same bits, whatever else runs on the machine. The optimiser starts fresh in every call, so
///   there is no state to carry from round to round: a verifier needs nothing but the arguments.
/// - Parameters go in and come out as host memory; a backend on an accelerator reads them back asynchronously.
/// - Calls may run at the same time from several threads.
///
/// # Blocking
///
/// A backend on the processor computes inside the returned future. Await it where a long computation hurts nobody,
/// such as on a thread of its own or in `spawn_blocking`.
#[async_trait]
pub trait ComputeBackend: Send + Sync + fmt::Debug {
    /// The layout of the model's parameters.
    fn layout(&self) -> &Layout;

    /// How this backend computes: results are comparable bit for bit only when this is equal.
    fn path(&self) -> ComputePath;

    /// Takes a shard in, and returns the digest by which the other calls name it. A shard that is loaded twice must
    /// be unloaded twice.
    ///
    /// # Errors
    /// [`ComputeError::WrongTask`] when the model cannot learn from it, [`ComputeError::ShardTooSmall`].
    async fn load_shard(&self, shard: &Shard) -> Result<Digest, ComputeError>;

    /// Undoes one `load_shard`, and says whether the shard is gone now.
    async fn unload_shard(&self, shard: &Digest) -> bool;

    /// Takes the inner steps from `base`; the batches are drawn from `seed`.
    ///
    /// # Errors
    /// [`ComputeError`]; in particular [`ComputeError::Diverged`] when loss or parameters stop being finite.
    async fn train(
        &self,
        base: &Parameters,
        shard: &Digest,
        inner: &InnerConfig,
        seed: &Seed,
    ) -> Result<Trained, ComputeError>;

    /// Measures parameters on a whole shard.
    ///
    /// # Errors
    /// [`ComputeError`].
    async fn evaluate(&self, parameters: &Parameters, shard: &Digest) -> Result<Evaluation, ComputeError>;

    /// Continues a prompt by `count` bytes, sampled at temperature 1 with draws from `seed`.
    ///
    /// # Errors
    /// [`ComputeError::WrongTask`] for a model that does not predict bytes.
    async fn generate(
        &self,
        parameters: &Parameters,
        prompt: &[u8],
        count: usize,
        seed: &Seed,
    ) -> Result<Vec<u8>, ComputeError>;
}

/// What a round of local steps gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trained {
    /// The parameters after the last step.
    pub parameters: Parameters,
    /// Mean loss over all steps, in nats an example (a byte, for text).
    pub mean_loss: f64,
    /// Images or windows seen, repetitions included.
    pub examples: u64,
}

impl Trained {
    /// For implementers.
    #[must_use]
    pub const fn new(parameters: Parameters, mean_loss: f64, examples: u64) -> Self {
        Self { parameters, mean_loss, examples }
    }
}

/// How good parameters are on a shard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// Mean cross-entropy, in nats a prediction; may be infinite for a ruined model.
    pub loss: f64,
    /// Share of predictions whose likeliest answer is right, 0..=1.
    pub accuracy: f64,
    /// How many predictions: images, or bytes.
    pub predictions: u64,
}

impl Evaluation {
    /// For implementers.
    #[must_use]
    pub const fn new(loss: f64, accuracy: f64, predictions: u64) -> Self {
        Self { loss, accuracy, predictions }
    }

    /// The loss in bits: for text, bits per byte.
    #[must_use]
    pub fn bits(&self) -> f64 {
        self.loss / std::f64::consts::LN_2
    }
}

/// How a backend computes, in words: library and version, device, processor architecture, vector extensions. At most
/// [`ComputePath::MAX`] bytes, also when it comes from outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ComputePath(String);

impl ComputePath {
    /// The longest path, in bytes.
    pub const MAX: usize = 300;

    /// Wraps a description; what is beyond [`ComputePath::MAX`] bytes is cut.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut kept = String::new();
        for c in text.chars() {
            if kept.len() + c.len_utf8() > Self::MAX {
                break;
            }
            kept.push(c);
        }
        Self(kept)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ComputePath {
    type Error = DecodeError;

    fn try_from(text: String) -> Result<Self, DecodeError> {
        let (found, limit) = (text.len() as u64, Self::MAX as u64);
        if found > limit {
            return Err(DecodeError::TooLarge { what: "compute path", found, limit });
        }
        Ok(Self(text))
    }
}

impl fmt::Display for ComputePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a computation was not done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// No such shard was loaded.
    #[error("shard {digest} is not loaded")]
    UnknownShard {
        /// Which.
        digest: Digest,
    },
    /// The shard or the call does not suit the model.
    #[error("this model has no use for {asked}")]
    WrongTask {
        /// What was asked.
        asked: &'static str,
    },
    /// Nothing to learn from.
    #[error("a shard needs at least {needed} examples or bytes, this one has {found}")]
    ShardTooSmall {
        /// How many it has.
        found: usize,
        /// How many it needs.
        needed: usize,
    },
    /// Parameters of another layout.
    #[error("the parameters are of layout {found}, the model has {expected}")]
    WrongLayout {
        /// Theirs.
        found: Digest,
        /// The model's.
        expected: Digest,
    },
    /// The inner configuration cannot work.
    #[error(transparent)]
    Inner(#[from] InnerConfigError),
    /// Loss or parameters stopped being finite.
    #[error("training diverged at step {step}")]
    Diverged {
        /// At which step, from 0.
        step: u32,
    },
    /// The device failed, or is not there.
    #[error("the compute device failed: {reason}")]
    Device {
        /// What it said.
        reason: String,
    },
    /// A result does not have the shape that it must have.
    #[error("a result has the wrong shape")]
    Shape(#[from] DecodeError),
}

impl Reaction for ComputeError {
    fn fault(&self) -> Fault {
        match self {
            Self::Device { .. } => Fault::Environment,
            Self::Shape(_) => Fault::Bug,
            _ => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Device { .. } => Retry::Later,
            _ => Retry::Never,
        }
    }
}
