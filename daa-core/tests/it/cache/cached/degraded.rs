//! A second level that is away costs time, not answers.

use std::time::Duration;

use bytes::Bytes;
use daa_core::cache::{Cache, CacheEntry, CacheKey};
use daa_core::resilience::BreakerPhase;

use super::world::{State, TTL, World, tag};

#[tokio::test(start_paused = true)]
async fn what_one_process_loaded_another_finds() {
    let world = World::new();
    world.truth.set(1, 11);
    let processes = [(); 3].map(|()| world.process(world.options()));
    for process in &processes {
        assert_eq!(process.get(&1).await.unwrap(), Some(11));
        assert_eq!(process.get(&2).await.unwrap(), None);
    }
    assert_eq!(world.truth.loads(), 2);
    let stats = processes[2].stats();
    assert_eq!((stats.second_hits, stats.loads, stats.led), (2, 0, 2));
    // It ends for all at the same time.
    world.truth.set(1, 12);
    world.clock.sleep(TTL).await;
    for process in &processes {
        assert_eq!(process.get(&1).await.unwrap(), Some(12));
    }
}

#[tokio::test(start_paused = true)]
async fn readers_get_their_answers_in_bounded_time_while_it_is_away() {
    for state in [State::Down, State::Silent] {
        let world = World::new();
        let process = world.process(world.options());
        world.shared.is(state);
        let (mut slow, mut longest) = (0, Duration::ZERO);
        for key in 0..200 {
            world.truth.set(key, 1);
            let asked = world.now();
            assert_eq!(process.get(&key).await.unwrap(), Some(1), "{state:?}");
            let took = world.now().since(asked);
            slow += usize::from(!took.is_zero());
            longest = longest.max(took);
            // What is put behind the answer has its time too.
            tokio::task::yield_now().await;
        }
        // Only those before the breaker opened waited, each for one call.
        assert!(longest <= Duration::from_millis(50), "{state:?}: {longest:?}");
        assert!(slow <= 3, "{state:?}: {slow} of 200 waited");
        assert!(world.shared.calls() <= 6, "{state:?}: {} calls", world.shared.calls());
        let health = process.second_level().unwrap();
        assert!(!health.is_ready() && matches!(health.breaker, BreakerPhase::Open { .. }), "{health:?}");
        assert!(process.stats().second_skipped > 190);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_used_again_within_two_seconds_after_it_is_back() {
    let world = World::new();
    let process = world.process(world.options());
    world.shared.is(State::Silent);
    for key in 0..20 {
        process.get(&key).await.unwrap();
    }
    world.clock.sleep(Duration::from_secs(60)).await;
    world.shared.is(State::Up);
    let back = world.now();
    let mut key = 1_000;
    while !process.second_level().unwrap().is_ready() {
        assert!(world.now().since(back) < Duration::from_secs(2));
        key += 1;
        process.get(&key).await.unwrap();
        world.clock.sleep(Duration::from_millis(10)).await;
    }
    world.truth.set(7_000, 1);
    process.get(&7_000).await.unwrap();
    world.clock.sleep(Duration::from_millis(10)).await;
    let other = world.process(world.options());
    assert_eq!(other.get(&7_000).await.unwrap(), Some(1));
    assert_eq!(other.stats().second_hits, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_from_it_that_was_invalidated_while_it_was_away() {
    for (state, by_tag) in [(State::Down, false), (State::Silent, true)] {
        let world = World::new();
        let process = world.process(world.options());
        world.truth.set(1, 1);
        process.get(&1).await.unwrap();
        world.clock.sleep(Duration::from_millis(10)).await;
        world.shared.is(state);
        world.truth.set(1, 2);
        if by_tag {
            process.invalidate_tag(&tag("odd")).await;
        } else {
            process.invalidate(&1).await;
        }
        assert_eq!(process.second_level().unwrap().owed, 1);
        assert_eq!(process.get(&1).await.unwrap(), Some(2));
        world.shared.is(State::Up);
        world.clock.sleep(Duration::from_secs(2)).await;
        // The first level of this process has the new one; the others are to find no older one.
        process.get(&3).await.unwrap();
        assert_eq!(process.second_level().unwrap().owed, 0);
        assert_eq!(world.process(world.options()).get(&1).await.unwrap(), Some(2), "{state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_too_many_invalidations_nothing_is_read_until_all_that_was_there_has_ended() {
    let world = World::new();
    let process = world.process(world.options());
    world.truth.set(1, 1);
    process.get(&1).await.unwrap();
    world.clock.sleep(Duration::from_millis(10)).await;
    world.shared.is(State::Down);
    world.truth.set(1, 2);
    process.invalidate(&1).await;
    for key in 0..5_000 {
        process.invalidate(&(10_000 + key)).await;
    }
    world.shared.is(State::Up);
    world.clock.sleep(Duration::from_secs(2)).await;
    assert_eq!(process.get(&1).await.unwrap(), Some(2));
    assert_eq!(process.stats().second_hits, 0);
    world.clock.sleep(TTL).await;
    for key in 0..3 {
        process.get(&key).await.unwrap();
        world.clock.sleep(Duration::from_secs(1)).await;
    }
    assert!(process.second_level().unwrap().is_ready(), "{:?}", process.second_level());
}

#[tokio::test(start_paused = true)]
async fn what_is_none_of_ours_is_not_read() {
    let world = World::new();
    let process = world.process(world.options());
    for (key, bytes) in
        [(1, &b""[..]), (2, b"hello"), (3, &[1, 1, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, b'"'])]
    {
        world.truth.set(key, 7);
        let at = CacheKey::new(format!("truth/{key}")).unwrap();
        world.shared.cache.put(&at, CacheEntry::new(Bytes::copy_from_slice(bytes), TTL)).await.unwrap();
        assert_eq!(process.get(&key).await.unwrap(), Some(7));
    }
    assert_eq!((process.stats().undecodable, process.stats().loads), (3, 3));
    assert!(process.second_level().unwrap().is_ready());
}
