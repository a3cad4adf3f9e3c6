//! The inner optimisation: what one member does between two exchanges.

use daa_core::digest::Digest;
use serde::{Deserialize, Serialize};

/// The most steps in a round.
pub const MAX_STEPS: u32 = 100_000;
/// The most examples in a batch.
pub const MAX_BATCH: u32 = 65_536;
/// The most parts of a batch.
pub const MAX_MICRO_BATCHES: u32 = 256;

/// AdamW (Loshchilov and Hutter, 2019), with its state fresh at the start of every round, so that a round's result
/// is a pure function of base, shard, seed and this.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InnerConfig {
    /// Local steps in a round, `H`.
    pub steps: u32,
    /// Examples in a step: images, or windows of text.
    pub batch: u32,
    /// In how many parts the gradient of a batch is computed. They may run on as many threads, and are summed in
    /// order, so that the number of threads never changes the result; this number does.
    pub micro_batches: u32,
    /// Step size.
    pub learning_rate: f32,
    /// Decay of the gradient's mean.
    pub beta1: f32,
    /// Decay of the gradient's square.
    pub beta2: f32,
    /// What is added to the root of the square.
    pub epsilon: f32,
    /// Decoupled decay of matrices (tensors of one row, biases, are spared), as a share of the step size.
    pub weight_decay: f32,
}

/// An inner configuration that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} of the inner configuration is out of range")]
#[non_exhaustive]
pub struct InnerConfigError {
    /// Which field.
    pub field: &'static str,
}

impl daa_core::fault::Reaction for InnerConfigError {
    fn fault(&self) -> daa_core::fault::Fault {
        daa_core::fault::Fault::Caller
    }

    fn retry(&self) -> daa_core::fault::Retry {
        daa_core::fault::Retry::Never
    }
}

impl InnerConfig {
    /// AdamW with β (0.9, 0.95), ε 1e-8, weight decay 0.1 (SparseLoCo), on whole batches.
    #[must_use]
    pub const fn new(steps: u32, batch: u32, learning_rate: f32) -> Self {
        Self {
            steps,
            batch,
            micro_batches: 1,
            learning_rate,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`InnerConfigError`] with the first field that is out of range.
    pub fn check(&self) -> Result<(), InnerConfigError> {
        let unit = |x: f32| (0.0..1.0).contains(&x);
        let checks = [
            ("steps", (1..=MAX_STEPS).contains(&self.steps)),
            ("batch", (1..=MAX_BATCH).contains(&self.batch)),
            ("micro_batches", (1..=self.batch.min(MAX_MICRO_BATCHES)).contains(&self.micro_batches)),
            ("learning_rate", self.learning_rate.is_finite() && self.learning_rate > 0.0),
            ("beta1", unit(self.beta1)),
            ("beta2", unit(self.beta2)),
            ("epsilon", self.epsilon.is_finite() && self.epsilon > 0.0),
            ("weight_decay", self.weight_decay.is_finite() && self.weight_decay >= 0.0),
        ];
        match checks.into_iter().find(|(_, sound)| !sound) {
            Some((field, _)) => Err(InnerConfigError { field }),
            None => Ok(()),
        }
    }

    /// Examples that a round of this sees.
    #[must_use]
    pub fn examples(&self) -> u64 {
        u64::from(self.steps) * u64::from(self.batch)
    }

    /// Identifies the configuration.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let whole = [self.steps, self.batch, self.micro_batches];
        let real = [self.learning_rate, self.beta1, self.beta2, self.epsilon, self.weight_decay];
        let mut digest = Digest::builder("daa inner config v1");
        for number in whole.into_iter().chain(real.map(f32::to_bits)) {
            digest = digest.number(u64::from(number));
        }
        digest.finish()
    }
}

/// The state of AdamW over a flat vector, in one pass per step.
#[derive(Clone, Debug)]
pub struct AdamW {
    mean: Vec<f32>,
    square: Vec<f32>,
    decayed: Vec<bool>,
    power1: f64,
    power2: f64,
}

impl AdamW {
    /// Fresh state for parameters of this layout.
    #[must_use]
    pub fn new(layout: &crate::parameters::Layout) -> Self {
        let decayed = layout
            .tensors()
            .iter()
            .flat_map(|tensor| std::iter::repeat_n(tensor.shape()[0] > 1, tensor.len()))
            .collect();
        let zeros = vec![0.0; layout.len()];
        Self { mean: zeros.clone(), square: zeros, decayed, power1: 1.0, power2: 1.0 }
    }

    /// One step: `θ ← θ − lr·(m̂/(√v̂ + ε) + wd·θ)`.
    pub fn step(&mut self, config: &InnerConfig, parameters: &mut [f32], gradient: &[f32]) {
        self.power1 *= f64::from(config.beta1);
        self.power2 *= f64::from(config.beta2);
        let correct1 = (1.0 / (1.0 - self.power1)) as f32;
        let correct2 = (1.0 / (1.0 - self.power2)) as f32;
        let (keep1, keep2) = (config.beta1, config.beta2);
        let decay = 1.0 - config.learning_rate * config.weight_decay;
        let state = self.mean.iter_mut().zip(&mut self.square).zip(&self.decayed);
        for ((theta, &g), ((mean, square), &decayed)) in parameters.iter_mut().zip(gradient).zip(state) {
            *mean = keep1 * *mean + (1.0 - keep1) * g;
            *square = keep2 * *square + (1.0 - keep2) * g * g;
            let shrunk = if decayed { *theta * decay } else { *theta };
            let root = (*square * correct2).sqrt() + config.epsilon;
            *theta = shrunk - config.learning_rate * (*mean * correct1) / root;
        }
    }
}
