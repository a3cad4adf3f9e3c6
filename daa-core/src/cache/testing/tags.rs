//! Entries that go together.

use super::*;

/// Exactly those with the tag.
pub async fn a_tag_takes_all_that_have_it_and_nothing_else(cache: Shared) {
    cache.put(&key("a"), entry("1").with_tag(tag("t"))).await.unwrap();
    cache.put(&key("b"), entry("2").with_tag(tag("t"))).await.unwrap();
    cache.put(&key("c"), entry("3").with_tag(tag("t/u"))).await.unwrap();
    cache.put(&key("t"), entry("4")).await.unwrap();
    assert_eq!(cache.invalidate(&tag("none")).await.unwrap(), 0);
    assert_eq!(cache.invalidate(&tag("t")).await.unwrap(), 2);
    for (name, value) in [("a", None), ("b", None), ("c", Some("3")), ("t", Some("4"))] {
        assert_eq!(read(&cache, name).await.as_deref(), value, "{name}");
    }
}

/// Any one of them is enough, and after that the others find it no more.
pub async fn an_entry_goes_with_each_of_its_tags(cache: Shared) {
    for by in ["t1", "t2", "t3"] {
        let tagged = entry("1").with_tags([tag("t1"), tag("t2"), tag("t3")]);
        cache.put(&key("a"), tagged).await.unwrap();
        assert_eq!(cache.invalidate(&tag(by)).await.unwrap(), 1, "{by}");
        assert_eq!(read(&cache, "a").await, None, "{by}");
        for other in ["t1", "t2", "t3"] {
            assert_eq!(cache.invalidate(&tag(other)).await.unwrap(), 0, "{other} after {by}");
        }
    }
}

/// An invalidation is of what was there, not of the tag.
pub async fn a_tag_may_be_used_again(cache: Shared) {
    for value in ["1", "2", "3"] {
        cache.put(&key("a"), entry(value).with_tag(tag("t"))).await.unwrap();
        assert_eq!(read(&cache, "a").await.as_deref(), Some(value));
        assert_eq!(cache.invalidate(&tag("t")).await.unwrap(), 1);
        assert_eq!(read(&cache, "a").await, None);
    }
}

/// More than go in one step of any implementation.
pub async fn many_entries_go_with_one_tag(cache: Shared) {
    for n in 0..2_500 {
        cache.put(&key(format!("{n}")), entry("1").with_tag(tag("t"))).await.unwrap();
    }
    cache.put(&key("other"), entry("1").with_tag(tag("u"))).await.unwrap();
    assert_eq!(cache.invalidate(&tag("t")).await.unwrap(), 2_500);
    for n in 0..2_500 {
        assert_eq!(read(&cache, &format!("{n}")).await, None);
    }
    assert_eq!(read(&cache, "other").await.as_deref(), Some("1"));
}

/// Beside writers of other entries with the same tag: what was put before the call is gone after it.
pub async fn an_entry_that_a_tag_took_is_gone_for_every_reader(cache: Shared) {
    let beside = {
        let cache = cache.clone();
        tokio::spawn(async move {
            for n in 0..500 {
                cache.put(&key(format!("beside/{}", n % 10)), entry("x").with_tag(tag("t"))).await.unwrap();
            }
        })
    };
    for n in 0..100 {
        let name = format!("{n}");
        cache.put(&key(name.clone()), entry("1").with_tag(tag("t"))).await.unwrap();
        cache.invalidate(&tag("t")).await.unwrap();
        assert_eq!(read(&cache, &name).await, None, "{n}");
    }
    beside.await.unwrap();
}
