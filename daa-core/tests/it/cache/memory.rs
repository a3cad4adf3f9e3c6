use std::sync::Arc;
use std::time::Duration;

use daa_core::cache::{Cache, CacheEntry, CacheKey, MemoryCache};
use daa_core::clock::{ManualClock, SystemClock};

fn fresh() -> ((), Arc<dyn Cache>) {
    ((), Arc::new(MemoryCache::new(64 << 20, Arc::new(SystemClock::new()))))
}

daa_core::cache_conformance!(fresh());

fn key(n: usize) -> CacheKey {
    CacheKey::new(n.to_string()).unwrap()
}

#[tokio::test]
async fn gives_up_what_was_used_least_recently_and_stays_within_its_bound() {
    let cache = MemoryCache::new(100_000, Arc::new(ManualClock::default()));
    for n in 0..1_000 {
        cache.put(&key(n), CacheEntry::new(vec![7; 1_000], Duration::from_secs(60))).await.unwrap();
        assert!(cache.get(&key(0)).await.unwrap().is_some(), "the one that is used all the time, after {n}");
    }
    let mut kept = 0;
    for n in 0..1_000 {
        kept += usize::from(cache.get(&key(n)).await.unwrap().is_some());
    }
    assert!((70..=100).contains(&kept), "{kept} entries of 1,000 bytes in 100,000");
    assert!(cache.get(&key(999)).await.unwrap().is_some());
}

#[tokio::test]
async fn an_entry_ends_at_its_last_millisecond() {
    let clock = ManualClock::default();
    let cache = MemoryCache::new(100_000, Arc::new(clock.clone()));
    cache.put(&key(1), CacheEntry::new("1", Duration::from_millis(10))).await.unwrap();
    clock.advance(Duration::from_millis(9));
    assert!(cache.get(&key(1)).await.unwrap().is_some());
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.get(&key(1)).await.unwrap(), None);
}
