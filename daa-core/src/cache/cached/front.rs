//! What readers ask.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::Semaphore;

use super::epochs::{Epoch, Epochs, Subject};
use super::error::LoadError;
use super::flight::{Answer, Flights, Landing, UnderWay, Wait};
use super::options::CachedOptions;
use super::second::{Found, Second, SecondLevel, SecondLevelHealth, Target};
use super::sharing::Sharing;
use super::slot::{Life, Slot};
use super::source::Source;
use super::stats::{CachedStats, Counters};
use crate::clock::Timestamp;
use crate::id::CacheTag;
use crate::resilience::within;
use crate::seed::Rng;

/// Typed values, near their readers. Clones share one cache. See [the module](super) for what it promises.
///
/// It must be used within a tokio runtime: loads are tasks of their own.
pub struct Cached<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    options: CachedOptions,
    source: Box<dyn Source<K, V>>,
    first: moka::sync::Cache<K, Arc<Slot<V>>>,
    second: Option<Second<K, V>>,
    epochs: Epochs<K>,
    flights: Arc<Flights<K, V>>,
    sharing: Sharing<K>,
    counters: Arc<Counters>,
    chance: Mutex<Rng>,
    permits: Semaphore,
}

impl<K, V> Clone for Cached<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> fmt::Debug for Cached<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("source", &self.0.source).finish_non_exhaustive()
    }
}

impl<K, V> Cached<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache in front of `source`, in this process alone.
    #[must_use]
    pub fn new(source: impl Source<K, V>, options: CachedOptions) -> Self {
        Self::build(source, options, None)
    }

    /// A cache in front of `second`, and that one in front of `source`.
    #[must_use]
    pub fn with_second_level(
        source: impl Source<K, V>,
        options: CachedOptions,
        second: SecondLevel<K, V>,
    ) -> Self {
        Self::build(source, options, Some(second))
    }

    fn build(source: impl Source<K, V>, options: CachedOptions, second: Option<SecondLevel<K, V>>) -> Self {
        let counters = Arc::new(Counters::default());
        let second = second.map(|level| {
            let longest = options.ttl.max(options.absent_ttl);
            Second::new(level, options.clock.clone(), longest, counters.clone())
        });
        Self(Arc::new(Inner {
            source: Box::new(source),
            first: moka::sync::Cache::new(options.capacity),
            second,
            epochs: Epochs::default(),
            flights: Arc::default(),
            sharing: Sharing::default(),
            counters,
            chance: Mutex::new(options.seed.child("cached").rng()),
            permits: Semaphore::new(options.max_loads),
            options,
        }))
    }

    /// The value of `key`, or that there is none.
    ///
    /// # Errors
    /// [`LoadError`], when it has to be loaded, the source fails, and there is no older value that may be given.
    ///
    /// # Cancel safety
    /// Safe. What was begun for it goes on, for those who ask next.
    pub async fn get(&self, key: &K) -> Result<Option<V>, LoadError> {
        let inner = &*self.0;
        let now = inner.options.clock.now();
        if let Some(slot) = inner.first.get(key)
            && slot.is_calm(now)
            && inner.epochs.is_good(key, &slot)
        {
            return Ok(inner.hit(&slot));
        }
        // Boxed, so that what is asked most of the time stays small.
        Box::pin(self.look(key, now)).await
    }

    async fn look(&self, key: &K, now: Timestamp) -> Result<Option<V>, LoadError> {
        let inner = &self.0;
        let (wait, older) = match inner.first_look(key, now) {
            Look::Answered(value) => return Ok(value),
            Look::Further { wait, older } => (wait, older),
        };
        match wait.answer().await {
            Ok(slot) => Ok(slot.value.clone()),
            Err(error) => {
                let good = older.filter(|slot| inner.epochs.is_good(key, slot));
                let Some(slot) = good else { return Err(error) };
                slot.pause(inner.options.clock.now() + inner.options.pause);
                inner.counters.stale_served.count();
                Ok(slot.value.clone())
            }
        }
    }

    /// From now on, nobody of this process gets a value of `key` that was loaded before. It is taken out of the second
    /// level too; where that is away, before anything is read from it again.
    ///
    /// # Cancel safety
    /// Once polled, it holds for this process. Whether it reaches the second level before the next read there is open.
    pub async fn invalidate(&self, key: &K) {
        self.0.counters.invalidations.count();
        self.0.invalidate(&Subject::Key(key.clone())).await;
    }

    /// As [`Self::invalidate`], for all keys whose values depend on `tag`.
    ///
    /// # Cancel safety
    /// As that of [`Self::invalidate`].
    pub async fn invalidate_tag(&self, tag: &CacheTag) {
        self.0.counters.invalidations.count();
        self.0.invalidate(&Subject::Tag(tag.clone())).await;
    }

    /// What readers got so far.
    #[must_use]
    pub fn stats(&self) -> CachedStats {
        self.0.counters.stats()
    }

    /// How the second level is; `None` where there is none. The cache answers whatever it says.
    #[must_use]
    pub fn second_level(&self) -> Option<SecondLevelHealth> {
        self.0.second.as_ref().map(Second::health)
    }

    pub(super) fn options(&self) -> &CachedOptions {
        &self.0.options
    }
}

/// What a reader is told that found no calm value.
enum Look<V> {
    Answered(Option<V>),
    Further { wait: Wait<V>, older: Option<Arc<Slot<V>>> },
}

impl<K, V> Inner<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn hit(&self, slot: &Slot<V>) -> Option<V> {
        self.counters.hits.count();
        if slot.value.is_none() {
            self.counters.negative_hits.count();
        }
        slot.value.clone()
    }

    /// Under the lock of the flights: a flight that has just landed left its value, and is seen here.
    fn first_look(self: &Arc<Self>, key: &K, now: Timestamp) -> Look<V> {
        let mut under_way = self.flights.lock();
        let slot = self.first.get(key).filter(|slot| self.epochs.is_good(key, slot));
        if let Some(slot) = slot.as_ref().filter(|slot| now < slot.life.until) {
            let early = !slot.is_calm(now)
                && !slot.is_paused(now)
                && self.joinable(&under_way, key).is_none()
                && slot.life.is_early(now, self.options.eagerness, self.uniform());
            if early {
                self.counters.early_refreshes.count();
                drop(self.begin(&mut under_way, key, Some(slot.clone())));
            }
            return Look::Answered(self.hit(slot));
        }
        let older = slot.filter(|slot| now < slot.life.until + self.options.stale_for);
        if let Some(slot) = older.as_ref().filter(|slot| slot.is_paused(now)) {
            self.counters.led.count();
            self.counters.stale_served.count();
            return Look::Answered(slot.value.clone());
        }
        let wait = match self.joinable(&under_way, key) {
            Some(wait) => {
                self.counters.coalesced.count();
                wait
            }
            None => {
                self.counters.led.count();
                self.begin(&mut under_way, key, None)
            }
        };
        Look::Further { wait, older }
    }

    /// A flight whose answer is good for who asks now.
    fn joinable(&self, under_way: &UnderWay<K, V>, key: &K) -> Option<Wait<V>> {
        let flight = under_way.of(key)?;
        self.epochs.still_good(key, &flight.tags, flight.epoch)?;
        Some(flight.wait())
    }

    fn begin(
        self: &Arc<Self>,
        under_way: &mut UnderWay<K, V>,
        key: &K,
        refreshed: Option<Arc<Slot<V>>>,
    ) -> Wait<V> {
        let (epoch, tags): (Epoch, Arc<[CacheTag]>) = (self.epochs.now(), self.source.tags(key).into());
        let (wait, landing) = under_way.begin(&self.flights, key, epoch, tags.clone());
        tokio::spawn(self.clone().fly(key.clone(), epoch, tags, refreshed, landing));
        wait
    }

    async fn fly(
        self: Arc<Self>,
        key: K,
        epoch: Epoch,
        tags: Arc<[CacheTag]>,
        refreshed: Option<Arc<Slot<V>>>,
        landing: Landing<K, V>,
    ) {
        let known_until = refreshed.as_ref().map_or(Timestamp::EPOCH, |slot| slot.life.until);
        if let Some((value, life)) = self.at_second(&key).await
            && life.until > known_until
        {
            self.land(&key, Slot::new(value, life, tags, epoch, self.options.eagerness), landing);
            return;
        }
        match self.load(&key).await {
            Ok((value, life)) => {
                let slot = Slot::new(value, life, tags, epoch, self.options.eagerness);
                let slot = self.land(&key, slot, landing);
                self.share(&key, &slot).await;
            }
            Err(error) => {
                self.counters.load_failures.count();
                if let Some(slot) = refreshed {
                    slot.pause(self.options.clock.now() + self.options.pause);
                }
                landing.land(Answer::Err(error));
            }
        }
    }

    /// The value is in the first level before the flight is over, so nobody finds neither.
    fn land(&self, key: &K, slot: Slot<V>, landing: Landing<K, V>) -> Arc<Slot<V>> {
        let slot = Arc::new(slot);
        if self.epochs.is_good(key, &slot) {
            self.first.insert(key.clone(), slot.clone());
        }
        landing.land(Ok(slot.clone()));
        slot
    }

    async fn at_second(&self, key: &K) -> Option<Found<V>> {
        let second = self.second.as_ref()?;
        if self.sharing.contains(key) {
            self.counters.second_skipped.count();
            return None;
        }
        second.get(&second.key(key)).await
    }

    async fn load(&self, key: &K) -> Result<Found<V>, LoadError> {
        let CachedOptions { clock, load_timeout: limit, .. } = &self.options;
        let loaded = async {
            // The semaphore is never closed; without a permit the load would only be unbounded.
            let _permit = self.permits.acquire().await;
            self.counters.loads.count();
            let began = clock.now();
            let value = self.source.load(key).await;
            value.map(|value| (value, clock.now().since(began)))
        };
        match within(&**clock, *limit, loaded).await {
            None => Err(LoadError::TimedOut { limit: *limit }),
            Some(Err(source)) => Err(LoadError::Source { source: Arc::new(source) }),
            Some(Ok((value, cost))) => {
                let ttl = if value.is_some() { self.options.ttl } else { self.options.absent_ttl };
                Ok((value, Life { until: clock.now() + self.shortened(ttl), cost }))
            }
        }
    }

    /// Puts a value into the second level, and takes it out again when it was invalidated meanwhile.
    async fn share(&self, key: &K, slot: &Slot<V>) {
        let Some(second) = &self.second else { return };
        let _on_its_way = self.sharing.begin(key);
        if !self.epochs.is_good(key, slot) {
            return;
        }
        second.put(&second.key(key), slot.value.as_ref(), slot.life, &slot.tags).await;
        if !self.epochs.is_good(key, slot) {
            self.invalidate(&Subject::Key(key.clone())).await;
        }
    }

    async fn invalidate(&self, subject: &Subject<K>) {
        self.epochs.invalidate(subject.clone());
        let Some(second) = &self.second else { return };
        let target = match subject {
            Subject::Key(key) => Target::Key(second.key(key)),
            Subject::Tag(tag) => Target::Tag(tag.clone()),
        };
        second.forget(target).await;
        // Once more, for those who read it there in between.
        self.epochs.invalidate(subject.clone());
    }

    fn shortened(&self, ttl: Duration) -> Duration {
        let part = 1.0 - self.options.jitter * self.uniform();
        ttl.mul_f64(part).max(Duration::from_millis(1))
    }

    /// A number above 0 and up to 1.
    fn uniform(&self) -> f64 {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        ((chance.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}
