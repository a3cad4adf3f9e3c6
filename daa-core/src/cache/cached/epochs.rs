//! What was invalidated, and when, counted in invalidations.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::slot::Slot;
use crate::id::CacheTag;

/// How many invalidations are remembered by name. Beyond it, the oldest counts for everything.
const REMEMBERED: usize = 1 << 16;

/// A number of invalidations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Epoch(u64);

impl Epoch {
    pub(super) const fn new(value: u64) -> Self {
        Self(value)
    }

    pub(super) const fn get(self) -> u64 {
        self.0
    }
}

/// What an invalidation names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject<K> {
    Key(K),
    Tag(CacheTag),
}

/// A value is good if nothing that it depends on was invalidated after its load began. Nothing is searched for when
/// something is invalidated: values are looked at when they are read.
#[derive(Debug)]
pub(super) struct Epochs<K> {
    latest: AtomicU64,
    named: RwLock<Named<K>>,
}

#[derive(Debug)]
struct Named<K> {
    /// What began before this is no good.
    floor: Epoch,
    last: HashMap<Subject<K>, Epoch>,
    order: VecDeque<(Epoch, Subject<K>)>,
}

impl<K> Default for Epochs<K> {
    fn default() -> Self {
        let named = Named { floor: Epoch(0), last: HashMap::new(), order: VecDeque::new() };
        Self { latest: AtomicU64::new(0), named: RwLock::new(named) }
    }
}

impl<K: Clone + Eq + Hash> Epochs<K> {
    /// The present one. Everything that is read afterwards belongs to it.
    pub(super) fn now(&self) -> Epoch {
        Epoch(self.latest.load(Ordering::Acquire))
    }

    /// What began before this call is no good any more, as far as it depends on `subject`.
    pub(super) fn invalidate(&self, subject: Subject<K>) {
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.next();
        named.last.insert(subject.clone(), epoch);
        named.order.push_back((epoch, subject));
        while named.order.len() > REMEMBERED {
            let Some((oldest, subject)) = named.order.pop_front() else { break };
            if named.last.get(&subject) == Some(&oldest) {
                named.last.remove(&subject);
                named.floor = oldest;
            }
        }
    }

    /// Called under the lock, so that whoever sees the new number and looks sees what it stands for.
    fn next(&self) -> Epoch {
        Epoch(self.latest.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Whether what began at `epoch` is still good; then up to which epoch that is known.
    pub(super) fn still_good(&self, key: &K, tags: &[CacheTag], epoch: Epoch) -> Option<Epoch> {
        if epoch == self.now() {
            return Some(epoch);
        }
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let since = |subject: &Subject<K>| named.last.get(subject).is_some_and(|last| *last > epoch);
        let touched = epoch < named.floor
            || since(&Subject::Key(key.clone()))
            || tags.iter().any(|tag| since(&Subject::Tag(tag.clone())));
        (!touched).then(|| self.now())
    }

    /// Whether a value is good.
    pub(super) fn is_good<V>(&self, key: &K, slot: &Slot<V>) -> bool {
        let epoch = slot.epoch();
        match self.still_good(key, &slot.tags, epoch) {
            Some(now) if now == epoch => true,
            Some(now) => {
                slot.untouched(now);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: usize) -> CacheTag {
        CacheTag::new(format!("{n}")).unwrap()
    }

    #[test]
    fn what_began_before_is_no_good_and_what_began_after_is() {
        let epochs = Epochs::default();
        let before = epochs.now();
        epochs.invalidate(Subject::Tag(tag(1)));
        let between = epochs.now();
        epochs.invalidate(Subject::Key(7));
        let good = |key: u32, tags: &[CacheTag], epoch| epochs.still_good(&key, tags, epoch).is_some();
        assert!(!good(1, &[tag(1)], before) && good(1, &[tag(1)], between));
        assert!(!good(7, &[], before) && !good(7, &[], between) && good(7, &[], epochs.now()));
        assert!(good(1, &[tag(2)], before));
    }

    #[test]
    fn what_is_forgotten_counts_for_everything() {
        let epochs = Epochs::<u32>::default();
        let before = epochs.now();
        epochs.invalidate(Subject::Tag(tag(0)));
        let after = epochs.now();
        for n in 1..=REMEMBERED {
            assert!(epochs.still_good(&1, &[], before).is_some(), "{n}");
            epochs.invalidate(Subject::Tag(tag(n)));
        }
        assert!(epochs.still_good(&1, &[], before).is_none());
        assert!(epochs.still_good(&1, &[tag(0)], after).is_some());
        assert_eq!(epochs.named.read().unwrap().last.len(), REMEMBERED);
    }
}
