//! What rules remember of what they permitted: counts in streams of the event store, written in the same append as the
//! decision that they count.

mod book;
mod change;
mod counter;
mod crowd;
mod erasing;
mod error;
mod event;
mod extent;
mod look;
mod progress;
mod quantity;
mod rebuild;
mod sequence;
mod tally;
mod time;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use daa_core::action::{PolicyChange, PolicyError};
use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::event::EventStore;
use daa_core::id::{ActionId, StreamId};
use tokio::sync::RwLock;

use book::Book;
pub(crate) use change::Change;
use change::Kept;
pub(crate) use counter::{Counter, Measure, Place};
use crowd::Crowd;
use erasing::Erasing;
pub use error::MemoryError;
pub(crate) use event::COUNT;
pub(crate) use extent::{Extent, Period};
pub(crate) use progress::COUNTED_TO;
pub(crate) use quantity::Quantity;
pub(crate) use sequence::{Last, Sequence, Step, Tie, Wanted};
use time::Time;

use crate::parameters::{ParameterBook, Values};
use crate::provider::Providers;
use crate::ruleset::Ruleset;

/// How often the journal is read on for what others permitted under other rules.
const FOLLOWED: Duration = Duration::from_secs(60 * 60);

/// Of counters, by their digests, the time of the last action that is erased and was never counted.
type Gaps = HashMap<Digest, Timestamp>;

/// What the rules of one engine remember.
#[derive(Debug)]
pub(crate) struct Memory {
    store: Arc<dyn EventStore>,
    book: Book,
    maintained: Mutex<Maintained>,
    /// Held by every change that decides, and alone by whoever changes what is maintained.
    changes: Arc<RwLock<()>>,
    /// Where actions count that were found in the journal before they had ended, and that nobody counted when they were
    /// permitted.
    adopted: Mutex<HashMap<ActionId, Vec<StreamId>>>,
    crowd: Crowd,
    erasing: Arc<Erasing>,
    time: Time,
    parameters: ParameterBook,
}

/// What is counted of whatever is permitted here.
#[derive(Debug, Default)]
struct Maintained {
    /// The rules whose counters they are.
    rules: Option<Arc<Ruleset>>,
    gaps: Gaps,
    followed: Followed,
}

/// When the journal was read on for the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Followed {
    /// With the beginning of what is maintained.
    #[default]
    Begun,
    At(Timestamp),
    /// Somebody is at it.
    Running,
}

impl Memory {
    pub(crate) fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            book: Book::default(),
            maintained: Mutex::default(),
            changes: Arc::default(),
            adopted: Mutex::default(),
            crowd: Crowd::default(),
            erasing: Arc::default(),
            time: Time::default(),
            parameters: ParameterBook::default(),
        }
    }

    /// Begins a change by the rules that govern now. Where they count something new, that is counted first.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        governing: &ArcSwap<Ruleset>,
        providers: Option<&Arc<Providers>>,
    ) -> Result<Box<dyn PolicyChange>, PolicyError> {
        loop {
            let guard = Arc::clone(&self.changes).read_owned().await;
            let rules = governing.load_full();
            if self.maintains(&rules) {
                let kept =
                    Kept { memory: Arc::clone(self), maintained: Some(guard), turn: self.crowd.turn().await };
                return Ok(Box::new(Change::new(rules, providers.cloned(), Some(kept))));
            }
            drop(guard);
            // Whatever was begun under other rules ends first, so that what it permits is in the journal.
            let _alone = self.changes.write().await;
            let rules = governing.load_full();
            if !self.maintains(&rules) {
                self.maintain(rules).await?;
            }
        }
    }

    /// Begins a change for the ends of actions: it waits for its turn, and for nothing else.
    pub(crate) async fn begin_ending(
        self: &Arc<Self>,
        governing: &ArcSwap<Ruleset>,
        providers: Option<&Arc<Providers>>,
    ) -> Box<dyn PolicyChange> {
        let guard = Arc::clone(&self.changes).try_read_owned().ok();
        let rules = governing.load_full();
        let maintained = guard.filter(|_| self.maintains(&rules));
        let kept = Kept { memory: Arc::clone(self), maintained, turn: self.crowd.turn().await };
        Box::new(Change::new(rules, providers.cloned(), Some(kept)))
    }

    fn maintained(&self) -> MutexGuard<'_, Maintained> {
        // Each change of it is one step.
        self.maintained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether exactly what these rules count is maintained.
    fn maintains(&self, rules: &Ruleset) -> bool {
        let maintained = self.maintained();
        let known = maintained.rules.iter().flat_map(|rules| rules.counters()).map(Counter::digest);
        rules.counters().iter().map(Counter::digest).eq(known)
    }

    /// Maintains what these rules count, once it is counted as far as the journal goes. Nobody here decides meanwhile.
    async fn maintain(&self, rules: Arc<Ruleset>) -> Result<(), PolicyError> {
        let (known, mut gaps) = {
            let maintained = self.maintained();
            (maintained.rules.clone(), maintained.gaps.clone())
        };
        let is_known = |counter: &&Counter| {
            let mut known = known.iter().flat_map(|rules| rules.counters());
            known.any(|known| known.digest() == counter.digest())
        };
        let new = rules.counters().iter().filter(|counter| !is_known(counter));
        gaps.extend(self.count_missing(&rules, new).await?);
        gaps.retain(|digest, _| rules.counters().iter().any(|counter| counter.digest() == *digest));
        *self.maintained() = Maintained { rules: Some(rules), gaps, followed: Followed::Begun };
        Ok(())
    }

    /// The values of parameters, with everything that is durable.
    async fn parameters(&self) -> Result<Arc<Values>, MemoryError> {
        self.parameters.read(&*self.store).await.map_err(MemoryError::from)
    }

    /// Takes note of where an action counts that was found open in the journal.
    fn adopt(&self, action: ActionId, streams: Vec<StreamId>) {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).insert(action, streams);
    }

    /// Where an action counts beside what its verdict says.
    fn adopted(&self, action: &ActionId) -> Vec<StreamId> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).get(action).cloned().unwrap_or_default()
    }

    /// The end of an action is durable.
    fn settled(&self, action: &ActionId) {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).remove(action);
    }

    /// The time of the last action that is erased and may have counted.
    fn gap(&self, counter: &Counter) -> Option<Timestamp> {
        self.maintained().gaps.get(&counter.digest()).copied()
    }

    /// From time to time, reads the journal on in the background, for what others permitted under other rules, and so
    /// that what was counted may be erased there. Should it fail, the next time makes up for it.
    fn follow_later(self: &Arc<Self>, now: Timestamp) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let rules = {
            let mut maintained = self.maintained();
            match maintained.followed {
                Followed::Running => return,
                Followed::At(last) if now.since(last) < FOLLOWED => return,
                Followed::At(_) => {}
                Followed::Begun => {
                    maintained.followed = Followed::At(now);
                    return;
                }
            }
            let rules = maintained.rules.clone().filter(|rules| !rules.counters().is_empty());
            let Some(rules) = rules else { return };
            maintained.followed = Followed::Running;
            rules
        };
        let memory = Arc::clone(self);
        runtime.spawn(async move {
            let gaps = memory.count_missing(&rules, rules.counters().iter()).await;
            let mut maintained = memory.maintained();
            // Other rules may govern by now, and have their own beginning.
            if maintained.followed == Followed::Running {
                maintained.followed = Followed::At(now);
                if let Ok(gaps) = gaps {
                    maintained.gaps = gaps;
                }
            }
        });
    }
}
