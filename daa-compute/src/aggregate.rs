//! Robust aggregation: one update out of many, some of which may be hostile.

mod centered_clip;
mod coordinate;
mod krum;
mod norm;

use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::AgentId;
use serde::{Deserialize, Serialize};

use crate::parameters::Layout;

pub use centered_clip::CenteredClip;

/// The most contributions to one aggregate.
pub const MAX_PEERS: usize = 4096;

/// A member's decoded update, dense, in the model's layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution {
    /// Whose.
    pub agent: AgentId,
    /// The update.
    pub update: Vec<f32>,
}

/// How updates become one.
///
/// Every method takes the average over *all* peers, those that left a coordinate out included: otherwise a lone
/// attacker would own each coordinate that nobody else sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregation {
    /// The plain mean. One attacker steers it anywhere.
    Mean,
    /// The norm of each tensor is clipped to the median over the peers, then [`CenteredClip`].
    CenteredClip(CenteredClip),
    /// The median of every coordinate (Yin et al., 2018). With sparse updates most medians are zero.
    Median,
    /// The mean of every coordinate without this share of its lowest and of its highest values (Yin et al., 2018).
    TrimmedMean {
        /// Share cut at each end, below one half.
        share: f64,
    },
    /// The mean of the `keep` updates that are closest to their neighbours (Blanchard et al., 2017); `keep` = 1 is
    /// Krum, more is Multi-Krum.
    Krum {
        /// How many attackers to withstand, `f`; needs more than `2f + 2` peers.
        attackers: usize,
        /// How many updates to average.
        keep: usize,
    },
}

/// The outcome of an aggregation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Aggregate {
    /// The aggregated update, in the model's layout; finite.
    pub values: Vec<f32>,
    /// How each peer compares with the others, sorted by agent.
    pub peers: Vec<PeerStatistics>,
}

/// How one peer's update compares with the others: what suspicion starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeerStatistics {
    /// Who.
    pub agent: AgentId,
    /// Euclidean norm of the update as it was sent.
    pub norm: f64,
    /// That norm over the median norm of all; infinite when the median is zero and this norm is not.
    pub norm_ratio: f64,
    /// Distance between the update as it was sent and the aggregate, over the median of these distances.
    pub distance_ratio: f64,
    /// The factor by which clipping shortened it (1: not at all); norm clipping and centred clipping together.
    pub clip: f64,
}

impl PeerStatistics {
    /// For those who aggregate in other ways.
    #[must_use]
    pub const fn new(agent: AgentId, norm: f64, norm_ratio: f64, distance_ratio: f64, clip: f64) -> Self {
        Self { agent, norm, norm_ratio, distance_ratio, clip }
    }
}

/// Why updates were not aggregated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AggregateError {
    /// There are none.
    #[error("there is nothing to aggregate")]
    Empty,
    /// More than [`MAX_PEERS`].
    #[error("at most {MAX_PEERS} updates can be aggregated, there are {found}")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// Two updates of one agent.
    #[error("{agent} contributes twice")]
    Twice {
        /// Who.
        agent: AgentId,
    },
    /// An update of another length.
    #[error("the update of {agent} has {found} values, expected {expected}")]
    Length {
        /// Whose.
        agent: AgentId,
        /// Its length.
        found: usize,
        /// The layout's.
        expected: usize,
    },
    /// An update with a NaN or an infinity in it, or updates whose aggregate overflows.
    #[error("an update or the aggregate is not finite")]
    NotFinite,
    /// A method that cannot work on so few peers or with these numbers.
    #[error("this method needs at least {needed} updates, there are {found}")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many it needs.
        needed: usize,
    },
    /// A parameter of the method that is out of range.
    #[error("{field} of the aggregation is out of range")]
    Parameter {
        /// Which.
        field: &'static str,
    },
}

impl Reaction for AggregateError {
    fn fault(&self) -> Fault {
        match self {
            Self::Parameter { .. } | Self::Empty => Fault::Caller,
            _ => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Aggregation {
    /// Aggregates.
    ///
    /// The order of `contributions` does not matter: they are sorted by agent, and sums are in `f64` in that order,
    /// so that every peer finds the same bits. `previous` is the last round's aggregate, from which
    /// [`CenteredClip`] starts; without it, zero.
    ///
    /// # Errors
    /// [`AggregateError`].
    pub fn aggregate(
        &self,
        layout: &Layout,
        mut contributions: Vec<Contribution>,
        previous: Option<&[f32]>,
    ) -> Result<Aggregate, AggregateError> {
        contributions.sort_by(|a, b| a.agent.cmp(&b.agent));
        check(layout, &contributions)?;
        let norms: Vec<f64> = contributions.iter().map(|c| norm::norm(&c.update)).collect();
        let raw: Vec<&[f32]> = contributions.iter().map(|c| c.update.as_slice()).collect();
        let mut clip = vec![1.0; raw.len()];
        let values = match self {
            Self::Mean => coordinate::mean(&raw),
            Self::Median => coordinate::trimmed_mean(&raw, raw.len().saturating_sub(1) / 2),
            Self::TrimmedMean { share } => {
                if !(0.0..0.5).contains(share) {
                    return Err(AggregateError::Parameter { field: "share" });
                }
                coordinate::trimmed_mean(&raw, (share * raw.len() as f64) as usize)
            }
            Self::Krum { attackers, keep } => {
                let needed = attackers.saturating_mul(2).saturating_add(3);
                if raw.len() < needed {
                    return Err(AggregateError::TooFew { found: raw.len(), needed });
                }
                if *keep == 0 || *keep > raw.len() {
                    return Err(AggregateError::Parameter { field: "keep" });
                }
                krum::krum(&raw, *attackers, *keep)
            }
            Self::CenteredClip(method) => method.run(layout, &raw, previous, &mut clip)?,
        };
        let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
        if !values.iter().all(|v| v.is_finite()) {
            return Err(AggregateError::NotFinite);
        }
        let distances: Vec<f64> = raw.iter().map(|update| norm::distance(update, &values)).collect();
        let agents = contributions.iter().map(|c| c.agent.clone());
        let ratios = norm::ratios(&norms).into_iter().zip(norm::ratios(&distances));
        let peers = agents
            .zip(norms.iter().zip(ratios).zip(clip))
            .map(|(agent, ((norm, (norm_ratio, distance_ratio)), clip))| {
                PeerStatistics::new(agent, *norm, norm_ratio, distance_ratio, clip)
            })
            .collect();
        Ok(Aggregate { values, peers })
    }

    /// Identifies the method and its parameters.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let start = Digest::builder("daa aggregation v1");
        match self {
            Self::Mean => start.number(0).finish(),
            Self::CenteredClip(method) => {
                start.number(1).number(u64::from(method.iterations)).number(method.radius.to_bits()).finish()
            }
            Self::Median => start.number(2).finish(),
            Self::TrimmedMean { share } => start.number(3).number(share.to_bits()).finish(),
            Self::Krum { attackers, keep } => {
                start.number(4).number(*attackers as u64).number(*keep as u64).finish()
            }
        }
    }
}

fn check(layout: &Layout, sorted: &[Contribution]) -> Result<(), AggregateError> {
    if sorted.is_empty() {
        return Err(AggregateError::Empty);
    }
    if sorted.len() > MAX_PEERS {
        return Err(AggregateError::TooMany { found: sorted.len() });
    }
    for (contribution, next) in sorted.iter().zip(sorted.iter().skip(1).map(Some).chain([None])) {
        let agent = contribution.agent.clone();
        if next.is_some_and(|next| next.agent == agent) {
            return Err(AggregateError::Twice { agent });
        }
        let (found, expected) = (contribution.update.len(), layout.len());
        if found != expected {
            return Err(AggregateError::Length { agent, found, expected });
        }
        if !contribution.update.iter().all(|v| v.is_finite()) {
            return Err(AggregateError::NotFinite);
        }
    }
    Ok(())
}
