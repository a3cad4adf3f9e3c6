use std::sync::atomic::Ordering;
use std::time::Duration;

use daa_core::cache::cached::LoadError;
use tokio::task::JoinSet;

use super::world::World;

const A_WHILE: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn all_who_miss_at_the_same_time_wait_for_one_load() {
    let world = World::new();
    world.truth.set(1, 11);
    world.truth.takes(A_WHILE);
    let cached = world.cached(world.options());
    let mut readers = JoinSet::new();
    for n in 0..100 {
        let (cached, clock) = (cached.clone(), world.clock.clone());
        readers.spawn(async move {
            clock.sleep(Duration::from_millis(n)).await;
            cached.get(&1).await.unwrap()
        });
    }
    assert_eq!(readers.join_all().await, [Some(11); 100]);
    let stats = cached.stats();
    assert_eq!((world.truth.loads(), stats.loads, stats.led, stats.coalesced), (1, 1, 1, 99));
    assert_eq!(cached.get(&1).await.unwrap(), Some(11));
    assert_eq!((cached.stats().hits, world.truth.loads()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_does_not_stop_the_load() {
    let world = World::new();
    world.truth.set(1, 11);
    world.truth.takes(A_WHILE);
    let cached = world.cached(world.options());
    // The one who began it.
    assert!(tokio::time::timeout(A_WHILE / 4, cached.get(&1)).await.is_err());
    // One who waited for it.
    assert!(tokio::time::timeout(A_WHILE / 4, cached.get(&1)).await.is_err());
    assert_eq!(cached.get(&1).await.unwrap(), Some(11));
    assert_eq!(world.truth.loads(), 1);
    // Nobody waits at all.
    assert!(tokio::time::timeout(A_WHILE / 4, cached.get(&2)).await.is_err());
    world.clock.sleep(A_WHILE).await;
    assert_eq!(cached.get(&2).await.unwrap(), None);
    assert_eq!((world.truth.loads(), cached.stats().hits), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_fails_once_for_all_who_wait() {
    let world = World::new();
    world.truth.takes(A_WHILE);
    world.truth.fails(true);
    let cached = world.cached(world.options());
    let mut readers = JoinSet::new();
    for _ in 0..50 {
        let cached = cached.clone();
        readers.spawn(async move { cached.get(&1).await });
    }
    for answer in readers.join_all().await {
        let Err(LoadError::Source { source }) = answer else { panic!("{answer:?}") };
        assert_eq!(source.to_string(), "as told");
    }
    assert_eq!((world.truth.loads(), cached.stats().load_failures), (1, 1));
    world.truth.fails(false);
    world.truth.set(1, 11);
    assert_eq!(cached.get(&1).await.unwrap(), Some(11));
    assert_eq!(world.truth.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_fails_one_load_and_no_more() {
    let world = World::new();
    world.truth.set(1, 11);
    world.truth.takes(A_WHILE);
    world.truth.panics(true);
    let cached = world.cached(world.options());
    let (one, two) = tokio::join!(cached.get(&1), cached.get(&1));
    assert!(matches!(one, Err(LoadError::BrokenOff)), "{one:?}");
    assert!(matches!(two, Err(LoadError::BrokenOff)), "{two:?}");
    world.truth.panics(false);
    assert_eq!(cached.get(&1).await.unwrap(), Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_takes_too_long_is_given_up() {
    let world = World::new();
    world.truth.takes(Duration::from_secs(3_600));
    let cached = world.cached(world.options().with_load_timeout(A_WHILE));
    let began = world.now();
    let answer = cached.get(&1).await;
    assert!(matches!(answer, Err(LoadError::TimedOut { limit: A_WHILE })), "{answer:?}");
    assert_eq!(world.now().since(began), A_WHILE);
    world.truth.takes(Duration::ZERO);
    assert_eq!(cached.get(&1).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_loads_go_on_at_a_time() {
    let world = World::new();
    world.truth.takes(A_WHILE);
    let cached = world.cached(world.options().with_max_loads(3));
    let mut readers = JoinSet::new();
    for key in 0..12 {
        let cached = cached.clone();
        readers.spawn(async move { cached.get(&key).await.unwrap() });
    }
    let began = world.now();
    readers.join_all().await;
    assert_eq!(world.truth.most_at_once.load(Ordering::Relaxed), 3);
    assert_eq!(world.now().since(began), 4 * A_WHILE);
}

/// On threads, without virtual time: a reader that sees a flight end sees its value.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_on_many_threads_load_each_key_once() {
    let world = World::new();
    for key in 0..300 {
        world.truth.set(key, key.into());
    }
    let cached = world.cached(world.options());
    let mut readers = JoinSet::new();
    for _ in 0..8 {
        let cached = cached.clone();
        readers.spawn(async move {
            for key in 0..300 {
                assert_eq!(cached.get(&key).await.unwrap(), Some(key.into()));
            }
        });
    }
    readers.join_all().await;
    let stats = cached.stats();
    assert_eq!((world.truth.loads(), stats.loads), (300, 300));
    assert_eq!(stats.hits + stats.coalesced + stats.led, 8 * 300);
}
