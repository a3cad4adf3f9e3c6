//! What a run is held to: every submission is checked against it.

use daa_core::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::codec::{Residual, max_bytes};
use crate::commitment::RunId;
use crate::config::RunConfig;
use crate::wire::DecodeError;

use super::ProtocolConfig;

/// The terms of a run, taken from its [`RunConfig`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunTerms {
    /// The name of the run.
    pub run: RunId,
    /// Digest of the whole configuration.
    pub config: Digest,
    /// Digest of the parameter layout.
    pub layout: Digest,
    /// Digest of the parameters that round 0 starts from.
    pub model: Digest,
    /// Digest of the checkpoint that holds them.
    pub checkpoint: Digest,
    /// Digest of the residual of who has sent nothing yet.
    pub zero_residual: Digest,
    /// Examples in one round of one member.
    pub examples: u64,
    /// The longest update, in bytes.
    pub max_update: u64,
    /// How many rounds.
    pub rounds: u32,
    /// Quorum, audits, bounds.
    pub protocol: ProtocolConfig,
}

impl RunTerms {
    /// The terms of a configuration whose initial parameters are in the checkpoint of that digest.
    ///
    /// # Errors
    /// [`DecodeError`] for a model that cannot be.
    pub fn new(config: &RunConfig, checkpoint: Digest) -> Result<Self, DecodeError> {
        let initial = config.initial()?;
        let layout = initial.layout().clone();
        Ok(Self {
            run: config.run_id(),
            config: config.digest(),
            layout: layout.digest(),
            model: initial.digest(),
            checkpoint,
            max_update: max_bytes(&layout, &config.codec) as u64,
            zero_residual: Residual::zero(layout).digest(),
            examples: config.inner.examples(),
            rounds: config.rounds,
            protocol: config.protocol,
        })
    }
}
