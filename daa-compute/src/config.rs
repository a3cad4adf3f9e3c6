//! Everything that the members of a run must agree on, and presets.

use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::seed::Seed;
use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregation, CenteredClip};
use crate::codec::CodecConfig;
use crate::commitment::{Round, RunId};
use crate::inner::{InnerConfig, InnerConfigError};
use crate::model::{ByteTransformer, DigitsNet, ModelSpec};
use crate::parameters::Parameters;
use crate::protocol::ProtocolConfig;
use crate::wire::DecodeError;

/// The most rounds of a run.
pub const MAX_ROUNDS: u32 = 1_000_000;

/// A run, as its members agree on it: same digest, same run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// What every random choice of the run derives from.
    pub seed: u64,
    /// How many rounds.
    pub rounds: u32,
    /// What is trained.
    pub model: ModelSpec,
    /// How members train, in the first round; see [`RunConfig::inner_at`].
    pub inner: InnerConfig,
    /// The share of the learning rate that is left in the last round; it falls linearly.
    pub final_rate: f32,
    /// How updates are compressed.
    pub codec: CodecConfig,
    /// How they become one.
    pub aggregation: Aggregation,
    /// How far every round goes along the aggregate, `α` in `θ ← θ − α·v`.
    pub outer_rate: f32,
    /// Quorum, audits, membership.
    pub protocol: ProtocolConfig,
}

/// A run configuration that cannot work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RunConfigError {
    /// The inner configuration.
    #[error(transparent)]
    Inner(#[from] InnerConfigError),
    /// The model.
    #[error("the model cannot be built")]
    Model(#[from] DecodeError),
    /// Another field.
    #[error("{field} of the run configuration is out of range")]
    Range {
        /// Which.
        field: &'static str,
    },
}

impl Reaction for RunConfigError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl RunConfig {
    /// Five members or so learn the UCI digits: a convolutional net of 149,194 parameters.
    ///
    /// The numbers were chosen by `examples/digits_rounds.rs`, which repeats the measurement: five members, one of
    /// which turns on the others in the second third, one dead from half-time, against one node that sees the same
    /// number of examples.
    #[must_use]
    pub fn digits(seed: u64) -> Self {
        Self {
            seed,
            rounds: 24,
            model: ModelSpec::Digits(DigitsNet { channels: 32, hidden: 128 }),
            inner: InnerConfig::new(30, 32, 3e-3),
            final_rate: 0.1,
            codec: CodecConfig::small_model(),
            aggregation: Aggregation::CenteredClip(CenteredClip::default()),
            outer_rate: 1.0,
            protocol: ProtocolConfig::default(),
        }
    }

    /// A byte-level language model of half a million parameters.
    #[must_use]
    pub fn text(seed: u64) -> Self {
        Self {
            seed,
            rounds: 20,
            model: ModelSpec::Bytes(ByteTransformer { layers: 2, width: 128, heads: 4, context: 64 }),
            inner: InnerConfig { micro_batches: 2, ..InnerConfig::new(15, 16, 2e-3) },
            final_rate: 0.2,
            codec: CodecConfig::small_model(),
            aggregation: Aggregation::CenteredClip(CenteredClip::default()),
            outer_rate: 1.0,
            protocol: ProtocolConfig::default(),
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`RunConfigError`] with the first that is out of range.
    pub fn check(&self) -> Result<(), RunConfigError> {
        self.inner.check()?;
        self.model.layout()?;
        let checks = [
            ("rounds", (1..=MAX_ROUNDS).contains(&self.rounds)),
            ("final_rate", self.final_rate > 0.0 && self.final_rate <= 1.0),
            ("outer_rate", self.outer_rate > 0.0 && self.outer_rate <= 10.0),
        ];
        if let Some((field, _)) = checks.into_iter().find(|(_, sound)| !sound) {
            return Err(RunConfigError::Range { field });
        }
        self.protocol.check().map_err(|field| RunConfigError::Range { field })
    }

    /// The root of the run's randomness.
    #[must_use]
    pub fn root(&self) -> Seed {
        Seed::from_u64(self.seed)
    }

    /// The name of the run: its configuration's digest.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        RunId(self.digest())
    }

    /// The parameters that round 0 starts from.
    ///
    /// # Errors
    /// [`DecodeError`] for a model that cannot be.
    pub fn initial(&self) -> Result<Parameters, DecodeError> {
        self.model.initial(&self.root())
    }

    /// The inner configuration of a round: the learning rate falls linearly to `final_rate` of its start.
    #[must_use]
    pub fn inner_at(&self, round: Round) -> InnerConfig {
        let last = self.rounds.saturating_sub(1).max(1);
        let progress = round.0.min(last) as f32 / last as f32;
        let share = 1.0 - (1.0 - self.final_rate) * progress;
        InnerConfig { learning_rate: self.inner.learning_rate * share, ..self.inner }
    }

    /// One outer step: `θ − α·aggregate`.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] for an aggregate of another length; [`DecodeError::NotFinite`] when the sum is not.
    pub fn outer_step(&self, base: &Parameters, aggregate: &[f32]) -> Result<Parameters, DecodeError> {
        if aggregate.len() != base.values().len() {
            return Err(DecodeError::Invalid { what: "length of the aggregate" });
        }
        let values =
            base.values().iter().zip(aggregate).map(|(theta, v)| theta - self.outer_rate * v).collect();
        Parameters::new(base.layout().clone(), values)
    }

    /// Identifies the run: every field.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::builder("daa run config v1")
            .number(self.seed)
            .number(u64::from(self.rounds))
            .field(self.model.digest().as_bytes())
            .field(self.inner.digest().as_bytes())
            .number(u64::from(self.final_rate.to_bits()))
            .field(self.codec.digest().as_bytes())
            .field(self.aggregation.digest().as_bytes())
            .number(u64::from(self.outer_rate.to_bits()))
            .field(self.protocol.digest().as_bytes())
            .finish()
    }
}
