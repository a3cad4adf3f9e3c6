//! Entries end by themselves.

use std::time::Instant;

use super::*;

/// Until it is gone; fails when it is gone before `ttl` has passed since `put`, or stays much longer.
async fn ends(cache: &Shared, name: &str, put: Instant, ttl: Duration) {
    loop {
        let there = read(cache, name).await.is_some();
        // The entry began after `put`, and the answer is from before this moment.
        let age = put.elapsed();
        if !there {
            assert!(age + Duration::from_millis(2) >= ttl, "{name} was gone after {age:?} of {ttl:?}");
            return;
        }
        assert!(age < ttl + Duration::from_secs(10), "{name} is still there after {age:?} of {ttl:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Not less, and not much more. The others stay.
pub async fn an_entry_lasts_as_long_as_it_was_given(cache: Shared) {
    cache.put(&key("long"), entry("1")).await.unwrap();
    let put = Instant::now();
    let ttl = Duration::from_millis(300);
    cache.put(&key("short"), CacheEntry::new("2", ttl).with_tag(tag("t"))).await.unwrap();
    ends(&cache, "short", put, ttl).await;
    assert_eq!(cache.invalidate(&tag("t")).await.unwrap(), 0);
    assert!(!cache.remove(&key("short")).await.unwrap());
    assert_eq!(read(&cache, "long").await.as_deref(), Some("1"));
}

/// Neither the longer nor the shorter time of the entry before it counts.
pub async fn a_new_entry_has_a_new_time(cache: Shared) {
    let short = Duration::from_millis(200);
    cache.put(&key("longer"), CacheEntry::new("1", short)).await.unwrap();
    cache.put(&key("longer"), entry("2")).await.unwrap();
    let put = Instant::now();
    cache.put(&key("shorter"), entry("1")).await.unwrap();
    cache.put(&key("shorter"), CacheEntry::new("2", short)).await.unwrap();
    ends(&cache, "shorter", put, short).await;
    assert_eq!(read(&cache, "longer").await.as_deref(), Some("2"));
}
