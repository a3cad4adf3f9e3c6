//! Values on their way to the second level.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many values of each key are on their way. An invalidation may overtake one of them, which is then taken out
/// again: until that is done, nobody of this process reads the key there.
#[derive(Debug)]
pub(super) struct Sharing<K>(Mutex<HashMap<K, usize>>);

impl<K> Default for Sharing<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> Sharing<K> {
    pub(super) fn contains(&self, key: &K) -> bool {
        self.lock().contains_key(key)
    }

    /// Counts one until it is dropped.
    pub(super) fn begin<'a>(&'a self, key: &'a K) -> OnItsWay<'a, K> {
        *self.lock().entry(key.clone()).or_default() += 1;
        OnItsWay { sharing: self, key }
    }

    /// Nothing panics between two changes, so a poisoned lock still guards a whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct OnItsWay<'a, K: Clone + Eq + Hash> {
    sharing: &'a Sharing<K>,
    key: &'a K,
}

impl<K: Clone + Eq + Hash> Drop for OnItsWay<'_, K> {
    fn drop(&mut self) {
        let mut counts = self.sharing.lock();
        if let Some(count) = counts.get_mut(self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(self.key);
            }
        }
    }
}
