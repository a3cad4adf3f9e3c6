use std::collections::BTreeSet;
use std::time::Duration;

use daa_core::cache::cached::CachedOptions;
use daa_core::seed::Seed;
use tokio::task::JoinSet;

use super::world::{TTL, World};

#[tokio::test(start_paused = true)]
async fn a_value_is_loaded_again_when_its_time_is_over() {
    let world = World::new();
    world.truth.set(1, 11);
    let cached = world.cached(world.options());
    cached.get(&1).await.unwrap();
    world.truth.set(1, 12);
    world.clock.sleep(TTL - Duration::from_millis(1)).await;
    assert_eq!(cached.get(&1).await.unwrap(), Some(11));
    world.clock.sleep(Duration::from_millis(1)).await;
    assert_eq!(cached.get(&1).await.unwrap(), Some(12));
    assert_eq!(world.truth.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn that_there_is_nothing_is_remembered_for_a_time_of_its_own() {
    let world = World::new();
    let cached = world.cached(world.options().with_absent_ttl(Duration::from_secs(2)));
    for _ in 0..10 {
        assert_eq!(cached.get(&1).await.unwrap(), None);
    }
    let stats = cached.stats();
    assert_eq!((world.truth.loads(), stats.hits, stats.negative_hits), (1, 9, 9));
    world.truth.set(1, 11);
    world.clock.sleep(Duration::from_secs(2)).await;
    assert_eq!(cached.get(&1).await.unwrap(), Some(11));
}

/// After how many milliseconds each of 100 keys ends that are loaded at the same moment.
async fn ends(seed: u64) -> Vec<u64> {
    let world = World::new();
    for key in 0..100 {
        world.truth.set(key, 1);
    }
    let options = CachedOptions::new(TTL, Seed::from_u64(seed), world.clock.clone());
    let cached = world.cached(options.with_eagerness(0.0).with_jitter(0.5));
    for key in 0..100 {
        cached.get(&key).await.unwrap();
        world.truth.set(key, 2);
    }
    let (began, mut ends) = (world.now(), vec![0; 100]);
    while ends.contains(&0) {
        world.clock.sleep(Duration::from_millis(10)).await;
        for (key, end) in (0..).zip(&mut ends) {
            if *end == 0 && cached.get(&key).await.unwrap() == Some(2) {
                *end = world.now().since(began).as_millis() as u64;
            }
        }
    }
    ends
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_together_does_not_end_together_and_never_late() {
    let first = ends(1).await;
    assert!(first.iter().all(|end| (5_000..=10_000).contains(end)), "{first:?}");
    let different: BTreeSet<_> = first.iter().collect();
    assert!(different.len() > 60, "{first:?}");
    assert_eq!(first, ends(1).await);
    assert_ne!(first, ends(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_read_all_the_time_is_refreshed_before_its_end_and_nobody_waits() {
    let world = World::new();
    world.truth.takes(Duration::from_millis(200));
    let cached = world.cached(world.options().with_eagerness(1.0));
    world.truth.set(1, 0);
    cached.get(&1).await.unwrap();
    for version in 0..12_000 {
        world.truth.set(1, version);
        let asked = world.now();
        let value = cached.get(&1).await.unwrap().unwrap();
        assert_eq!(world.now(), asked, "a reader waited at {version}");
        // Ten milliseconds a turn.
        assert!(version - value <= 1_000 + 20, "{value} at {version}");
        world.clock.sleep(Duration::from_millis(10)).await;
    }
    let stats = cached.stats();
    assert_eq!((stats.led, stats.coalesced), (1, 0));
    // 120 s, a little less than 10 s each.
    assert!((12..=20).contains(&stats.early_refreshes), "{stats:?}");
    assert_eq!(stats.loads, 1 + stats.early_refreshes);
}

#[tokio::test(start_paused = true)]
async fn without_eagerness_all_wait_at_the_end() {
    let world = World::new();
    world.truth.takes(Duration::from_millis(200));
    let cached = world.cached(world.options());
    cached.get(&1).await.unwrap();
    world.clock.sleep(TTL).await;
    let mut readers = JoinSet::new();
    for _ in 0..10 {
        let cached = cached.clone();
        readers.spawn(async move { cached.get(&1).await.unwrap() });
    }
    readers.join_all().await;
    let stats = cached.stats();
    assert_eq!((stats.loads, stats.early_refreshes, stats.coalesced), (2, 0, 9));
}

#[tokio::test(start_paused = true)]
async fn an_old_value_is_given_while_the_source_fails_and_only_so_long() {
    let world = World::new();
    world.truth.set(1, 11);
    let second = Duration::from_secs(1);
    let options = world.options().with_stale_for(5 * second).with_pause(2 * second);
    let cached = world.cached(options);
    cached.get(&1).await.unwrap();
    world.truth.fails(true);
    world.clock.sleep(TTL).await;
    for _ in 0..20 {
        assert_eq!(cached.get(&1).await.unwrap(), Some(11));
    }
    // One was tried, then there was a pause.
    assert_eq!((world.truth.loads(), cached.stats().stale_served), (2, 20));
    world.clock.sleep(2 * second).await;
    assert_eq!(cached.get(&1).await.unwrap(), Some(11));
    assert_eq!(world.truth.loads(), 3);
    world.clock.sleep(3 * second).await;
    assert!(cached.get(&1).await.is_err());
    world.truth.fails(false);
    world.truth.set(1, 12);
    assert_eq!(cached.get(&1).await.unwrap(), Some(12));
    // What was invalidated is given to nobody, old or not.
    world.truth.fails(true);
    world.clock.sleep(TTL).await;
    cached.invalidate(&1).await;
    assert!(cached.get(&1).await.is_err());
}
