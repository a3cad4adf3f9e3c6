//! One cycle: what it does, and what it does when its parts fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daa_core::agent::*;
use daa_core::clock::ManualClock;
use daa_core::event::MemoryEventStore;

use super::world::*;

fn setting() -> (MemoryEventStore, ManualClock, Arc<World>) {
    (MemoryEventStore::new(), ManualClock::default(), Arc::default())
}

#[tokio::test]
async fn observes_plans_acts_and_scores() {
    let (store, clock, world) = setting();
    let expecting = strategy_fn("cool", |situation| {
        let expected = Expectation::output("/value", 10.0, 0.5);
        let hot = situation.metric("temperature").is_some_and(|degrees| degrees > 25.0);
        if hot { vec![PlannedAction::new(kind("work")).with_expectation(expected)] } else { vec![] }
    });
    let mut agent = builder(store, &clock, &world)
        .with_collector(collector_fn("temperature", || async { 31.0 }).unwrap())
        .with_threshold(Threshold::above("temperature", 30.0, 25.0).unwrap())
        .with_strategy(expecting.unwrap())
        .build()
        .await
        .unwrap();
    let report = agent.cycle().await.unwrap();
    assert_eq!((report.cycle, report.score(), report.is_degraded()), (1, Some(1.0), false));
    assert_eq!(world.order(), ["a/1/0"]);
    let raised = |event: &DaaEvent| matches!(event, DaaEvent::ThresholdRaised { value: 31.0, .. });
    assert_eq!(report.events.iter().filter(|event| raised(event)).count(), 1);
    let again = agent.cycle().await.unwrap();
    assert!(!again.events.iter().any(raised), "a crossing is told once");
    assert_eq!(world.order(), ["a/1/0", "a/2/0"]);
}

#[tokio::test]
async fn goes_on_without_parts_that_fail_panic_or_hang() {
    let (store, clock, world) = setting();
    let mut agent = builder(store, &clock, &world)
        .with_collector(collector_fn("fine", || async { 1.0 }).unwrap())
        .with_collector(collector_fn("failing", || async { Err::<f64, _>("no sensor") }).unwrap())
        .with_collector(
            collector_fn("panicking", || async { if true { panic!("bug") } else { 0.0 } }).unwrap(),
        )
        .with_collector(
            collector_fn("stuck", std::future::pending::<f64>).unwrap().with_timeout(Duration::from_secs(1)),
        )
        .with_strategy(strategy_fn("panicking", |_| panic!("bug")).unwrap())
        .with_strategy(always(&["work"]))
        .build()
        .await
        .unwrap();
    let ticking = clock.clone();
    let (report, ()) = tokio::join!(agent.cycle(), async move {
        tokio::task::yield_now().await;
        ticking.advance(Duration::from_secs(1));
    });
    let report = report.unwrap();
    let lapses: Vec<_> = report.lapses.iter().map(ToString::to_string).collect();
    assert_eq!(
        lapses,
        [
            "collector failing failed: nothing could be observed: no sensor",
            "collector panicking panicked: bug",
            "collector stuck took longer than 1s",
            "strategy panicking panicked: bug",
        ]
    );
    assert_eq!(world.order(), ["a/1/0"]);
}

#[tokio::test]
async fn a_stuck_or_failing_reasoner_leads_to_an_idle_cycle() {
    struct Stuck;
    #[async_trait::async_trait]
    impl Reasoner for Stuck {
        async fn reason(&self, situation: &Situation) -> Result<Plan, ReasonError> {
            match situation.cycle {
                1 => Err(ReasonError::new("no idea")),
                2 => std::future::pending().await,
                _ => panic!("bug"),
            }
        }
    }
    let (store, clock, world) = setting();
    let mut agent = builder(store, &clock, &world)
        .with_strategy(always(&["work"]))
        .with_reasoner(Stuck)
        .with_time_limits(TimeLimits::default().with_reason(Duration::from_secs(5)))
        .build()
        .await
        .unwrap();
    for expected in ["failed: no decision could be made: no idea", "took longer than 5s", "panicked: bug"] {
        let ticking = clock.clone();
        let (report, ()) = tokio::join!(agent.cycle(), async move {
            tokio::task::yield_now().await;
            ticking.advance(Duration::from_secs(5));
        });
        let report = report.unwrap();
        assert_eq!(report.lapses[0].to_string(), format!("the reasoner {expected}"));
        assert!(report.steps.is_empty() && report.score().is_none());
    }
    assert!(world.order().is_empty());
}

#[tokio::test]
async fn rolls_back_in_reverse_order_when_a_step_is_denied_or_fails() {
    for bad in ["forbidden", "fail", "panic"] {
        let (store, clock, world) = setting();
        let strategy = strategy_fn("s", move |_| steps(&["work", "work", bad, "work"])).unwrap();
        let mut agent = builder(store, &clock, &world).with_strategy(strategy).build().await.unwrap();
        let report = agent.cycle().await.unwrap();
        assert_eq!(world.order(), ["a/1/0", "a/1/1", "a/1/1/undo", "a/1/0/undo"]);
        assert!(matches!(report.steps[2].result, StepResult::Failed { .. }), "{bad}");
        assert_eq!(report.steps[3].result, StepResult::Skipped);
        assert_eq!(report.steps[0].undo, Some(UndoResult::Undone));
        assert_eq!(report.score(), Some(0.5));
    }
}

#[tokio::test]
async fn a_stuck_action_is_let_go_and_reconciled() {
    let (store, clock, world) = setting();
    let mut agent = builder(store, &clock, &world)
        .with_strategy(always(&["work", "hang"]))
        .with_time_limits(TimeLimits::default().with_action(Duration::from_secs(7)))
        .build()
        .await
        .unwrap();
    let ticking = clock.clone();
    let (report, ()) = tokio::join!(agent.cycle(), async move {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        ticking.advance(Duration::from_secs(7));
    });
    let failed = StepResult::Failed { error: "took longer than 7s".to_owned(), uncertain: false };
    assert_eq!(report.unwrap().steps[1].result, failed);
    assert_eq!(world.order(), ["a/1/0", "a/1/0/undo"]);
}

#[tokio::test]
async fn collectors_keep_their_own_intervals_and_values_are_carried_forward() {
    let (store, clock, world) = setting();
    let calls = Arc::new(AtomicU64::new(0));
    let counting = calls.clone();
    let slow = collector_fn("slow", move || {
        let call = counting.fetch_add(1, Ordering::SeqCst);
        async move { call as f64 }
    });
    let seen: Arc<std::sync::Mutex<Vec<_>>> = Arc::default();
    let noting = seen.clone();
    let strategy = strategy_fn("note", move |situation| {
        let slow = situation.metrics.of("slow").map(|summary| (summary.last, summary.fresh));
        noting.lock().unwrap().push(slow.unwrap());
        vec![]
    });
    let mut agent = builder(store, &clock, &world)
        .with_collector(slow.unwrap().with_interval(Duration::from_secs(10)))
        .with_strategy(strategy.unwrap())
        .build()
        .await
        .unwrap();
    for _ in 0..4 {
        agent.cycle().await.unwrap();
        clock.advance(Duration::from_secs(5));
    }
    assert_eq!(*seen.lock().unwrap(), [(0.0, true), (0.0, false), (1.0, true), (1.0, false)]);
}

#[tokio::test]
async fn a_metric_expectation_is_measured_after_acting() {
    let (store, clock, world) = setting();
    let watched = world.clone();
    let effects = collector_fn("effects", move || {
        let count = watched.order().len();
        async move { count as f64 }
    });
    let strategy = strategy_fn("s", |_| {
        let expected = Expectation::metric(metric("effects"), 1.0, 0.0);
        vec![PlannedAction::new(kind("work")).with_expectation(expected)]
    });
    let mut agent = builder(store, &clock, &world)
        .with_collector(effects.unwrap())
        .with_strategy(strategy.unwrap())
        .build()
        .await
        .unwrap();
    let reflection = agent.cycle().await.unwrap().reflection.unwrap();
    assert_eq!((reflection.score, reflection.comparisons[0].actual), (1.0, Some(1.0)));
    let reflection = agent.cycle().await.unwrap().reflection.unwrap();
    assert_eq!((reflection.score, reflection.comparisons[0].actual), (0.0, Some(2.0)));
}

#[tokio::test]
async fn what_an_earlier_cycle_did_under_an_explicit_id_is_not_done_again_and_not_undone() {
    let (store, clock, world) = setting();
    let strategy = strategy_fn("s", |situation| {
        let once = PlannedAction::new(kind("work")).with_id("once".try_into().unwrap());
        let last = if situation.cycle == 1 { "work" } else { "fail" };
        vec![once, PlannedAction::new(kind("work")), PlannedAction::new(kind(last))]
    });
    let mut agent = builder(store, &clock, &world).with_strategy(strategy.unwrap()).build().await.unwrap();
    agent.cycle().await.unwrap();
    let report = agent.cycle().await.unwrap();
    assert_eq!(world.order(), ["once", "a/1/1", "a/1/2", "a/2/1", "a/2/1/undo"]);
    let undone: Vec<_> = report.steps.iter().map(|step| step.undo.clone()).collect();
    assert_eq!(undone, [Some(UndoResult::Kept), Some(UndoResult::Undone), None]);
}
