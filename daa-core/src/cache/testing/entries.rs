//! Entries, without time and tags.

use super::*;
use crate::cache::{CacheError, MAX_KEY, MAX_TAGS, MAX_TTL, MAX_VALUE};

/// Nothing, then the first, then the second.
pub async fn answers_with_what_was_put_last(cache: Shared) {
    assert_eq!(read(&cache, "a").await, None);
    for value in ["1", "2", "", "3"] {
        cache.put(&key("a"), entry(value)).await.unwrap();
        assert_eq!(read(&cache, "a").await.as_deref(), Some(value));
    }
    assert_eq!(read(&cache, "b").await, None);
}

/// Keys and values are bytes, not text; no key is the beginning or a pattern of another.
pub async fn keeps_every_byte_of_keys_and_values(cache: Shared) {
    let all: Vec<u8> = (0..=255).collect();
    let keys: [&[u8]; 8] = [&all, b"a", b"a*", b"a?", b"{a}", b"a\r\n", b"\0", b"a\0"];
    for (n, bytes) in keys.iter().enumerate() {
        let value: Vec<u8> = all.iter().map(|byte| byte.wrapping_add(n as u8)).collect();
        cache.put(&key(bytes.to_vec()), entry(value)).await.unwrap();
    }
    for (n, bytes) in keys.iter().enumerate() {
        let value: Vec<u8> = all.iter().map(|byte| byte.wrapping_add(n as u8)).collect();
        assert_eq!(cache.get(&key(bytes.to_vec())).await.unwrap().as_deref(), Some(value.as_slice()));
    }
}

/// A refused entry changes nothing.
pub async fn refuses_what_is_beyond_the_bounds_and_keeps_what_was_there(cache: Shared) {
    cache.put(&key("a"), entry("1")).await.unwrap();
    let too_large = [
        entry(vec![7; MAX_VALUE + 1]),
        entry("x").with_tags((0..=MAX_TAGS).map(|n| tag(&format!("tag/{n}")))),
    ];
    for entry in too_large {
        let refused = cache.put(&key("a"), entry).await;
        assert!(matches!(refused, Err(CacheError::TooLarge { .. })), "{refused:?}");
    }
    for ttl in [Duration::ZERO, Duration::from_micros(999), MAX_TTL + Duration::from_millis(1)] {
        let refused = cache.put(&key("a"), CacheEntry::new("x", ttl)).await;
        assert!(matches!(refused, Err(CacheError::Ttl { .. })), "{refused:?}");
    }
    assert_eq!(read(&cache, "a").await.as_deref(), Some("1"));
    assert_eq!(cache.stats().puts, 1);
}

/// The bounds themselves are within.
pub async fn takes_an_entry_at_the_bounds(cache: Shared) {
    let longest = key(vec![b'k'; MAX_KEY]);
    let tags = (0..MAX_TAGS).map(|n| tag(&format!("tag/{n}")));
    let largest = CacheEntry::new(vec![7; MAX_VALUE], MAX_TTL).with_tags(tags);
    cache.put(&longest, largest).await.unwrap();
    assert_eq!(cache.get(&longest).await.unwrap().map(|value| value.len()), Some(MAX_VALUE));
    assert_eq!(cache.invalidate(&tag("tag/15")).await.unwrap(), 1);
    assert_eq!(cache.get(&longest).await.unwrap(), None);
}

/// The first removal says that there was something, the second that there was not.
pub async fn removes_once(cache: Shared) {
    cache.put(&key("a"), entry("1")).await.unwrap();
    cache.put(&key("b"), entry("2")).await.unwrap();
    assert!(cache.remove(&key("a")).await.unwrap());
    assert!(!cache.remove(&key("a")).await.unwrap());
    assert_eq!((read(&cache, "a").await, read(&cache, "b").await.as_deref()), (None, Some("2")));
}

/// A reader sees one of the values whole, and after all is done the same one again and again.
pub async fn writers_of_one_key_never_mix_their_values(cache: Shared) {
    let writers: Vec<_> = (0_u8..8)
        .map(|writer| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    cache.put(&key("a"), entry(vec![writer; 10_000])).await.unwrap();
                    let read = cache.get(&key("a")).await.unwrap().unwrap();
                    assert_eq!(read.len(), 10_000);
                    assert!(read.iter().all(|byte| Some(byte) == read.first()), "two values in one");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let last = cache.get(&key("a")).await.unwrap();
    assert!(last.is_some());
    assert_eq!(cache.get(&key("a")).await.unwrap(), last);
}

/// Each call counts once.
pub async fn counts_hits_misses_puts_and_removals(cache: Shared) {
    cache.put(&key("a"), entry("1").with_tag(tag("t"))).await.unwrap();
    cache.put(&key("b"), entry("2").with_tag(tag("t"))).await.unwrap();
    cache.put(&key("c"), entry("3")).await.unwrap();
    for name in ["a", "a", "b", "missing"] {
        read(&cache, name).await;
    }
    cache.remove(&key("c")).await.unwrap();
    cache.remove(&key("c")).await.unwrap();
    cache.invalidate(&tag("t")).await.unwrap();
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.puts, stats.removed, stats.errors), (3, 1, 3, 3, 0));
}
