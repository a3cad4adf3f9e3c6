use std::sync::Arc;
use std::time::Duration;

use daa_core::cache::cached::Invalidation;
use daa_core::event::{Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, Position};
use daa_core::id::{EventKind, StreamId};

use super::world::{World, tag};

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_is_loaded_again_and_nothing_else() {
    let world = World::new();
    let cached = world.cached(world.options());
    for key in 0..6_u32 {
        world.truth.set(key, 1);
        cached.get(&key).await.unwrap();
        world.truth.set(key, 2);
    }
    cached.invalidate(&1).await;
    cached.invalidate_tag(&tag("even")).await;
    for key in 0..6_u32 {
        let expected = if key == 1 || key.is_multiple_of(2) { 2 } else { 1 };
        assert_eq!(cached.get(&key).await.unwrap(), Some(expected), "{key}");
    }
    assert_eq!((world.truth.loads(), cached.stats().invalidations), (10, 2));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_was_under_way_counts_for_nobody_who_asks_later() {
    for by_tag in [false, true] {
        let world = World::new();
        world.truth.set(1, 1);
        world.truth.takes(Duration::from_millis(100));
        let cached = world.cached(world.options());
        let early = {
            let cached = cached.clone();
            tokio::spawn(async move { cached.get(&1).await.unwrap() })
        };
        world.clock.sleep(Duration::from_millis(50)).await;
        world.truth.set(1, 2);
        if by_tag {
            cached.invalidate_tag(&tag("odd")).await;
        } else {
            cached.invalidate(&1).await;
        }
        assert_eq!(cached.get(&1).await.unwrap(), Some(2));
        assert_eq!(early.await.unwrap(), Some(1));
        assert_eq!(cached.get(&1).await.unwrap(), Some(2));
        assert_eq!(world.truth.loads(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_value_does_not_stay_in_the_second_level() {
    let world = World::new();
    world.truth.set(1, 1);
    world.truth.takes(Duration::from_millis(100));
    let (one, two) = (world.process(world.options()), world.process(world.options()));
    for pause in 90..115 {
        let before = world.truth.loads();
        let reading = {
            let one = one.clone();
            tokio::spawn(async move { one.get(&1).await.unwrap() })
        };
        // Before the load is over, while the value is put, and after that.
        world.clock.sleep(Duration::from_millis(pause)).await;
        world.truth.set(1, pause);
        one.invalidate(&1).await;
        two.invalidate(&1).await;
        reading.await.unwrap();
        assert_eq!(one.get(&1).await.unwrap(), Some(pause));
        assert_eq!(two.get(&1).await.unwrap(), Some(pause), "{pause}");
        assert!(world.truth.loads() > before);
        world.clock.sleep(Duration::from_secs(1)).await;
        one.invalidate(&1).await;
        two.invalidate(&1).await;
    }
}

fn changed(key: u32) -> Batch {
    let event =
        NewEvent::json(EventKind::new("changed.v1").unwrap(), daa_core::clock::Timestamp::EPOCH, &key);
    Batch::new().with_event(StreamId::new("changes").unwrap(), ExpectedVersion::Any, event.unwrap())
}

#[tokio::test(start_paused = true)]
async fn every_process_follows_the_events() {
    let world = World::new();
    let store = Arc::new(MemoryEventStore::new());
    let processes = [world.process(world.options()), world.process(world.options())];
    let mut following = Vec::new();
    for process in &processes {
        let (process, log) = (process.clone(), store.subscribe(Position::START).await.unwrap());
        following.push(tokio::spawn(async move {
            let names = |event: &daa_core::event::RecordedEvent| match event.json::<u32>() {
                Ok(100) => Some(Invalidation::Tag(tag("even"))),
                Ok(key) => Some(Invalidation::Key(key)),
                Err(_) => None,
            };
            process.follow(log, names).await
        }));
    }
    for version in 1..=3 {
        for key in 0..4 {
            world.truth.set(key, version);
        }
        for event in [1, 100] {
            store.append(changed(event)).await.unwrap();
        }
        world.clock.sleep(Duration::from_millis(100)).await;
        for process in &processes {
            for key in [0, 1, 2] {
                assert_eq!(process.get(&key).await.unwrap(), Some(version), "{key}");
            }
            assert_eq!(process.get(&3).await.unwrap(), Some(1), "what no event named");
        }
    }
    store.close().await;
    for follower in following {
        follower.await.unwrap().unwrap();
    }
}
