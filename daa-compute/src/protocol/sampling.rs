//! Who is audited: by lot, from what nobody could know before all had committed.

use daa_core::digest::Digest;
use daa_core::id::AgentId;
use daa_core::seed::Seed;

use crate::commitment::{Commitment, RunId};
use crate::sampling::shuffle;

/// Draws `count` of the submissions; the seed is the digest of the run and of all commitments.
pub(super) fn draw<'a>(
    run: RunId,
    commitments: impl Iterator<Item = &'a Commitment> + Clone,
    count: usize,
) -> Vec<AgentId> {
    let mut digest = Digest::builder("daa audit lot v1").field(run.0.as_bytes());
    for commitment in commitments.clone() {
        digest.add(commitment.digest().as_bytes());
    }
    let mut agents: Vec<AgentId> = commitments.map(|c| c.agent.clone()).collect();
    shuffle(&mut Seed::from_digest(digest.finish()).rng(), &mut agents);
    agents.truncate(count);
    agents
}
