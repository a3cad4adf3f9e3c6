//! The time by which is counted: that of the store, where it has a clock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::event::{EventStore, ReadError};

/// How far the clock of this process may move on before it is compared again with that of the store.
const COMPARED: Duration = Duration::from_secs(10);
/// A difference up to this is that of the way to the store and back.
const ALIKE: Duration = Duration::from_secs(1);

/// How far the clock of this process is from that of the store. Without a clock there, time is what the process says.
///
/// So a clock that runs ahead does not make windows empty, neither for its own process nor for others: however wrong it
/// is, it is wrong by no more than it moves, beside that of the store, within [`COMPARED`] of its own time.
#[derive(Debug, Default)]
pub(super) struct Time(Mutex<Option<Compared>>);

#[derive(Clone, Copy, Debug)]
struct Compared {
    own: Timestamp,
    store: Timestamp,
}

impl Time {
    /// The moment that counts where the clock of this process shows `own`.
    pub(super) async fn of(&self, store: &dyn EventStore, own: Timestamp) -> Result<Timestamp, ReadError> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.filter(|known| apart(known.own, own) < COMPARED) {
            return Ok(known.corrected(own));
        }
        let Some(now) = store.now().await? else { return Ok(own) };
        let compared = Compared { own, store: now };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(compared);
        Ok(compared.corrected(own))
    }
}

impl Compared {
    fn corrected(self, own: Timestamp) -> Timestamp {
        if apart(self.own, self.store) <= ALIKE {
            return own;
        }
        // Both differences are small: of the one who moved since, and of what was found then.
        let moved = i128::from(own.as_millis()) - i128::from(self.own.as_millis());
        let millis = i128::from(self.store.as_millis()) + moved;
        Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
    }
}

fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}
