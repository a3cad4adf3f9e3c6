//! Decisions that were made before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use daa_core::action::Decision;
use daa_core::digest::Digest;
use daa_core::id::RuleId;

use super::limits::AuthorisationLimits;

/// What policies decided, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) decision: Decision,
    pub(super) policies: Vec<RuleId>,
}

/// The decisions of one set of policies on one set of entities, by what they were made of. It is part of these: where one of
/// them changes, another cache is begun, and nothing that was decided before can be found in it.
#[derive(Debug, Default)]
pub(super) struct DecisionCache(Mutex<Generations>);

/// What is not used while a generation fills is forgotten with the next: no more is held than two generations, and
/// nothing is searched for what is oldest.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Digest, Decided, foldhash::fast::RandomState>,
    old: HashMap<Digest, Decided, foldhash::fast::RandomState>,
}

impl DecisionCache {
    pub(super) fn get(&self, key: &Digest) -> Option<Decided> {
        self.lock(|kept| {
            if let Some(known) = kept.young.get(key) {
                return Some(known.clone());
            }
            let known = kept.old.remove(key)?;
            kept.keep(*key, known.clone());
            Some(known)
        })
    }

    pub(super) fn keep(&self, key: Digest, decided: Decided) {
        self.lock(|kept| kept.keep(key, decided));
    }

    pub(super) fn len(&self) -> usize {
        self.lock(|kept| kept.young.len() + kept.old.len())
    }

    /// A panic elsewhere leaves nothing half done here: each change is one step.
    fn lock<T>(&self, with: impl FnOnce(&mut Generations) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Generations {
    fn keep(&mut self, key: Digest, decided: Decided) {
        if self.young.len() >= AuthorisationLimits::CACHED / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, decided);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Digest {
        Digest::of(&n.to_le_bytes())
    }

    fn decided(n: usize) -> Decided {
        Decided { decision: Decision::Deny { reason: n.to_string() }, policies: Vec::new() }
    }

    #[test]
    fn holds_no_more_than_its_limit_and_forgets_what_was_not_used() {
        let cache = DecisionCache::default();
        for n in 0..3 * AuthorisationLimits::CACHED {
            cache.keep(key(n), decided(n));
            assert_eq!(cache.get(&key(0)), Some(decided(0)), "it is used all the time");
            assert!(cache.len() <= AuthorisationLimits::CACHED);
        }
        assert_eq!(cache.get(&key(1)), None);
    }
}
