//! Turns for those who count in one stream at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The most turns that there are to be.
const MOST: u32 = 1_000;

/// Those who come into a crowd wait for their turn, in the order in which they came, so that each of them succeeds:
/// without it, of many that count in one stream at a time, all but one decide in vain, again and again. Where nobody
/// loses, nobody waits.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    turns: Arc<Mutex<()>>,
    /// How many turns there are to be.
    waiting: AtomicU32,
}

/// A turn; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held until it is dropped")] OwnedMutexGuard<()>);

impl Crowd {
    /// Waits for a turn, where there is a crowd.
    pub(super) async fn turn(&self) -> Option<Turn> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        Some(Turn(Arc::clone(&self.turns).lock_owned().await))
    }

    /// A change has come to its end; `lost`: it may have been in vain because others were faster.
    pub(super) fn ended(&self, had_turn: bool, lost: bool) {
        let change = |waiting: u32| match (lost, had_turn) {
            // It comes again, and others like it.
            (true, _) => Some((waiting + 1).min(MOST)),
            (false, true) => Some(waiting.saturating_sub(1)),
            (false, false) => None,
        };
        let _ = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }
}
