//! Looks beyond the first level that are under way, and those who wait for them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::epochs::Epoch;
use super::error::LoadError;
use super::slot::Slot;
use crate::id::CacheTag;

pub(super) type Answer<V> = Result<Arc<Slot<V>>, LoadError>;

/// One look, that all readers of a key wait for.
#[derive(Debug)]
pub(super) struct Flight<V> {
    number: u64,
    pub(super) epoch: Epoch,
    pub(super) tags: Arc<[CacheTag]>,
    answer: watch::Receiver<Option<Answer<V>>>,
}

impl<V> Flight<V> {
    pub(super) fn wait(&self) -> Wait<V> {
        Wait(self.answer.clone())
    }
}

/// Waits for an answer.
#[derive(Debug)]
pub(super) struct Wait<V>(watch::Receiver<Option<Answer<V>>>);

impl<V> Wait<V> {
    pub(super) async fn answer(mut self) -> Answer<V> {
        match self.0.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(answer)) => answer.clone(),
            Ok(None) | Err(_) => Err(LoadError::BrokenOff),
        }
    }
}

#[derive(Debug)]
pub(super) struct Flights<K, V>(Mutex<UnderWay<K, V>>);

#[derive(Debug)]
pub(super) struct UnderWay<K, V> {
    by_key: HashMap<K, Flight<V>>,
    begun: u64,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::new(UnderWay { by_key: HashMap::new(), begun: 0 }))
    }
}

impl<K: Eq + Hash, V> Flights<K, V> {
    /// Nothing panics between two changes, so a poisoned lock still guards a whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, UnderWay<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V> UnderWay<K, V> {
    pub(super) fn of(&self, key: &K) -> Option<&Flight<V>> {
        self.by_key.get(key)
    }

    /// Begins one, in place of one that may be under way.
    pub(super) fn begin(
        &mut self,
        flights: &Arc<Flights<K, V>>,
        key: &K,
        epoch: Epoch,
        tags: Arc<[CacheTag]>,
    ) -> (Wait<V>, Landing<K, V>) {
        self.begun += 1;
        let number = self.begun;
        let (sender, answer) = watch::channel(None);
        let flight = Flight { number, epoch, tags, answer };
        let wait = flight.wait();
        self.by_key.insert(key.clone(), flight);
        (wait, Landing { flights: flights.clone(), key: key.clone(), number, sender })
    }
}

/// The end of a flight. When it is dropped, there is none any more, and who still waits learns that it broke off.
#[derive(Debug)]
pub(super) struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    number: u64,
    sender: watch::Sender<Option<Answer<V>>>,
}

impl<K: Eq + Hash, V> Landing<K, V> {
    pub(super) fn land(self, answer: Answer<V>) {
        self.sender.send_replace(Some(answer));
    }
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        if under_way.by_key.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            under_way.by_key.remove(&self.key);
        }
    }
}
