//! When something is tried again.

use std::time::Duration;

use rand::Rng as _;

use super::event::Task;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::RunId;
use crate::seed::Seed;
use crate::workflow::definition::Retry;

/// When a task that failed `tries` times is tried again; `None`: not at all.
///
/// Exponential backoff, shortened at random. The random choice is a function of run, task and try, so that a run
/// decides alike whenever it is replayed, and runs that failed together do not come back together.
pub(super) fn next_try(
    retry: &Retry,
    run: &RunId,
    task: &Task,
    tries: u32,
    now: Timestamp,
) -> Option<Timestamp> {
    if retry.tries.is_some_and(|limit| tries >= limit.get()) {
        return None;
    }
    Some(now + wait(retry, run, task, tries))
}

pub(super) fn wait(retry: &Retry, run: &RunId, task: &Task, tries: u32) -> Duration {
    let steps = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX);
    let grown = retry.first.as_secs_f64() * retry.factor.powi(steps);
    let wait = grown.min(retry.longest.as_secs_f64());
    let seed = Digest::builder("daa workflow backoff v1")
        .field(run.as_str().as_bytes())
        .field(task.to_string().as_bytes())
        .number(tries.into())
        .finish();
    // The upper 53 bits are a fraction that a float holds exactly.
    let random = (Seed::from_digest(seed).rng().next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    Duration::try_from_secs_f64(wait * (1.0 - retry.jitter * random)).unwrap_or(retry.longest)
}
