//! The agent over time: cadence, shutdown, store outages, listeners, and settings that cannot be.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use daa_core::agent::*;
use daa_core::clock::ManualClock;
use daa_core::shutdown::ShutdownTrigger;

use super::world::*;

/// Lets other tasks run until they all wait.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn runs_at_its_cadence_survives_an_outage_and_ends_when_asked() {
    let (store, clock, world) = (FaultyStore::new(), ManualClock::default(), Arc::<World>::default());
    let mut agent = builder(store.clone(), &clock, &world)
        .with_strategy(always(&["work"]))
        .with_cadence(Duration::from_secs(10))
        .build()
        .await
        .unwrap();
    let (trigger, shutdown) = ShutdownTrigger::new();
    let running = tokio::spawn(async move { agent.run(shutdown).await });
    settle().await;
    assert_eq!(world.order(), ["a/1/0"]);
    clock.advance(Duration::from_secs(9));
    settle().await;
    assert_eq!(world.order().len(), 1, "before its time");
    // The next append, the plan of cycle 2, fails.
    store.fail_at.store(store.appends.load(Ordering::SeqCst), Ordering::SeqCst);
    clock.advance(Duration::from_secs(1));
    settle().await;
    assert_eq!(world.order().len(), 1, "nothing is done without a durable plan");
    clock.advance(Duration::from_millis(100));
    settle().await;
    assert_eq!(world.order(), ["a/1/0", "a/2/0"]);
    trigger.trigger();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_second_instance_ends_the_first_one_s_run() {
    let (store, clock, world) = (FaultyStore::new(), ManualClock::default(), Arc::<World>::default());
    let mut first =
        builder(store.clone(), &clock, &world).with_strategy(always(&["work"])).build().await.unwrap();
    let _second = builder(store, &clock, &world).build().await.unwrap();
    let (_trigger, shutdown) = ShutdownTrigger::new();
    let error = first.run(shutdown).await.unwrap_err();
    assert!(matches!(error, AgentError::SecondInstance { ours: 1, theirs: 2, .. }), "{error}");
    assert!(world.order().is_empty());
}

#[tokio::test]
async fn a_listener_that_never_listens_does_not_stall_the_agent() {
    let (store, clock, world) = (FaultyStore::new(), ManualClock::default(), Arc::<World>::default());
    let events = EventBroadcast::new(4);
    let mut listener = events.listen();
    let mut agent = builder(store, &clock, &world)
        .with_strategy(always(&["work"]))
        .with_events(events)
        .build()
        .await
        .unwrap();
    for _ in 0..10 {
        agent.cycle().await.unwrap();
    }
    assert_eq!(listener.next().await, Some(Heard::Missed(16)));
    let Some(Heard::Event(_, event)) = listener.next().await else { panic!("nothing heard") };
    assert!(matches!(event, DaaEvent::ActionSucceeded { .. }));
}

#[tokio::test]
async fn refuses_parts_of_the_same_name_and_ids_without_room() {
    let (store, clock, world) = (FaultyStore::new(), ManualClock::default(), Arc::<World>::default());
    let twice = builder(store.clone(), &clock, &world).with_strategy(always(&[])).with_strategy(always(&[]));
    let error = twice.build().await.unwrap_err();
    assert_eq!(error.to_string(), "two strategies are called always");
    let gate = daa_core::action::Gate::builder(Arc::new(store.clone()), Arc::new(clock.clone())).build();
    let id = "a".repeat(121).try_into().unwrap();
    let long = Agent::builder(id, gate, Arc::new(store), Arc::new(clock)).build().await;
    assert!(matches!(long, Err(AgentError::IdTooLong { .. })));
}
