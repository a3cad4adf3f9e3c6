//! Crashes at every await and every append: every effect exactly once, and nothing learned is lost.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use daa_core::agent::*;
use daa_core::clock::ManualClock;
use daa_core::event::*;
use daa_core::id::StreamId;

use super::world::*;

const CYCLES: u64 = 3;

/// Polls `future` at most `polls` times, then drops it, as a crash would. In between, what it waits for gets the
/// chance to wake it.
async fn crash_after<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

fn agent(store: &FaultyStore, world: &Arc<World>, kinds: &'static [&'static str]) -> AgentBuilder {
    builder(store.clone(), &ManualClock::default(), world)
        .with_collector(collector_fn("load", || async { 1.0 }).unwrap())
        .with_threshold(Threshold::above("load", 1.0, 0.5).unwrap())
        .with_strategy(never_the_same(kinds))
}

/// The same kinds, but other parameters each time it is asked: a cycle that is planned anew instead of resumed
/// asks the gate for another action under a known id, and that fails.
fn never_the_same(kinds: &'static [&'static str]) -> impl Strategy {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    strategy_fn("always", move |_| {
        let params = serde_json::json!({ "asked": 0.1 + ASKED.fetch_add(1, Ordering::SeqCst) as f64 });
        steps(kinds).into_iter().map(|step| step.with_params(params.clone())).collect()
    })
    .unwrap()
}

async fn bring_to_end(store: &FaultyStore, world: &Arc<World>, kinds: &'static [&'static str]) -> AgentState {
    let mut agent = agent(store, world, kinds).build().await.unwrap();
    while agent.state().is_none_or(|state| state.cycle < CYCLES) {
        agent.cycle().await.unwrap();
    }
    agent.state().unwrap().clone()
}

fn check(world: &World, expected: &BTreeMap<String, u32>, told: &[DaaEvent], place: &str) {
    assert_eq!(&world.counts(), expected, "{place}");
    let raised = told.iter().filter(|event| matches!(event, DaaEvent::ThresholdRaised { .. })).count();
    assert_eq!(raised, 1, "{place}: a crossing is recorded once");
    assert_eq!(completed(told), CYCLES, "{place}: a cycle is completed once");
}

fn completed(told: &[DaaEvent]) -> u64 {
    told.iter().filter(|event| matches!(event, DaaEvent::CycleCompleted { .. })).count() as u64
}

async fn told(store: &FaultyStore) -> Vec<DaaEvent> {
    let page = PageSize::new(PageSize::MAX);
    let events = store.read_stream(&StreamId::new("agent/a").unwrap(), Version::EMPTY, page).await.unwrap();
    events.iter().filter_map(|event| DaaEvent::read(event).unwrap()).collect()
}

fn same_but_for_incarnation(mut left: AgentState, right: &AgentState) {
    left.incarnation = right.incarnation;
    assert_eq!(&left, right);
}

#[tokio::test]
async fn a_crash_at_any_await_repeats_and_loses_nothing() {
    for kinds in [&["work", "work"][..], &["work", "work", "fail"], &["work", "forbidden"]] {
        let (store, world) = (FaultyStore::new(), Arc::default());
        let reference = bring_to_end(&store, &world, kinds).await;
        let expected = world.counts();
        let mut crashes = 0;
        for polls in 1.. {
            let (store, world) = (FaultyStore::new(), Arc::default());
            let whole = crash_after(bring_to_end(&store, &world, kinds), polls).await;
            let state = bring_to_end(&store, &world, kinds).await;
            check(&world, &expected, &told(&store).await, &format!("{kinds:?} after {polls} polls"));
            same_but_for_incarnation(state, &reference);
            if whole.is_some() {
                break;
            }
            crashes += 1;
        }
        assert!(crashes > 30, "only {crashes} places to crash at");
    }
}

#[tokio::test]
async fn a_future_dropped_in_the_same_process_is_resumed_too() {
    let (store, world) = (FaultyStore::new(), Arc::default());
    bring_to_end(&store, &world, &["work", "work"]).await;
    let expected = world.counts();
    for polls in 1..40 {
        let (store, world) = (FaultyStore::new(), Arc::default());
        let mut agent = agent(&store, &world, &["work", "work"]).build().await.unwrap();
        while agent.state().is_none_or(|state| state.cycle < CYCLES) {
            crash_after(agent.cycle(), polls).await;
            agent.cycle().await.unwrap();
            if agent.state().is_some_and(|state| state.cycle == CYCLES - 1) {
                agent.cycle().await.unwrap();
            }
        }
        let at_least: BTreeMap<_, _> = world.counts();
        assert!(at_least.values().all(|count| *count == 1), "after {polls} polls: {at_least:?}");
        assert!(expected.keys().all(|id| at_least.contains_key(id)));
    }
}

#[tokio::test]
async fn a_store_that_fails_any_append_delays_the_cycle_and_repeats_nothing() {
    for kinds in [&["work", "work"][..], &["work", "work", "fail"]] {
        for applied in [false, true] {
            let (store, world) = (FaultyStore::new(), Arc::default());
            let reference = bring_to_end(&store, &world, kinds).await;
            let (expected, appends) = (world.counts(), store.appends.load(Ordering::SeqCst));
            for fail_at in 1..appends {
                let (store, world) = (FaultyStore::new(), Arc::default());
                store.applied.store(applied, Ordering::SeqCst);
                store.fail_at.store(fail_at, Ordering::SeqCst);
                let mut agent = agent(&store, &world, kinds).build().await.unwrap();
                let mut failures = 0;
                while completed(&told(&store).await) < CYCLES {
                    failures += u32::from(agent.cycle().await.is_err());
                }
                let place = format!("{kinds:?} append {fail_at} applied {applied}");
                assert_eq!(failures, 1, "{place}");
                check(&world, &expected, &told(&store).await, &place);
                let state = bring_to_end(&store, &world, kinds).await;
                same_but_for_incarnation(state, &reference);
            }
        }
    }
}

#[tokio::test]
async fn an_earlier_instance_cannot_write_once_another_has_started() {
    let (store, world) = (FaultyStore::new(), Arc::default());
    let mut first = agent(&store, &world, &["work"]).build().await.unwrap();
    first.cycle().await.unwrap();
    let mut second = agent(&store, &world, &["work"]).build().await.unwrap();
    second.cycle().await.unwrap();
    for _ in 0..2 {
        let error = first.cycle().await.unwrap_err();
        assert!(matches!(error, AgentError::SecondInstance { ours: 1, theirs: 2, .. }), "{error}");
    }
    second.cycle().await.unwrap();
    assert!(world.counts().values().all(|count| *count == 1));
    assert_eq!(world.counts().len(), 3);
}

#[tokio::test]
async fn what_was_learned_in_a_long_life_is_read_back_from_the_latest_snapshot() {
    for cycles in [63, 64, 65, 130, 700] {
        let (store, world) = (FaultyStore::new(), Arc::default());
        let mut first = agent(&store, &world, &["work"]).build().await.unwrap();
        for _ in 0..cycles {
            first.cycle().await.unwrap();
        }
        let second = agent(&store, &world, &["work"]).build().await.unwrap();
        same_but_for_incarnation(first.state().unwrap().clone(), second.state().unwrap());
    }
}

#[tokio::test]
async fn a_rollback_that_has_begun_is_finished_even_if_the_failed_step_turns_out_to_have_worked() {
    let kinds = &["work", "late", "work"];
    let mut interrupted = 0;
    for polls in 1.. {
        let (store, world) = (FaultyStore::new(), Arc::<World>::default());
        let whole = crash_after(
            async {
                let mut agent = agent(&store, &world, kinds).build().await.unwrap();
                agent.cycle().await.unwrap();
            },
            polls,
        )
        .await;
        let undone = world.order().iter().any(|id| id == "a/1/0/undo");
        world.revealed.store(true, Ordering::SeqCst);
        let mut agent = agent(&store, &world, kinds).build().await.unwrap();
        if agent.state().is_some_and(|state| state.cycle == 0) {
            agent.cycle().await.unwrap();
            interrupted += u32::from(undone);
        }
        let order = world.order();
        assert!(
            order == ["a/1/0", "a/1/2"] || order == ["a/1/0", "a/1/0/undo"],
            "after {polls} polls: {order:?}"
        );
        if whole.is_some() {
            break;
        }
    }
    assert!(interrupted > 0, "no crash came between undoing and the end of the cycle");
}
