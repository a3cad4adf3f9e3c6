//! What an agent learns: weights, patterns, and parameters on trial.

use std::sync::Arc;

use daa_core::agent::*;
use daa_core::clock::ManualClock;
use daa_core::event::MemoryEventStore;
use daa_core::id::StrategyName;

use super::world::*;

fn setting() -> (MemoryEventStore, ManualClock, Arc<World>) {
    (MemoryEventStore::new(), ManualClock::default(), Arc::default())
}

/// Scores by how near parameter `p` is to `best`: the output of `work` is always 10.
fn aiming_at(best: f64) -> impl Strategy {
    strategy_fn("aim", move |situation| {
        let off = (situation.parameter("p").unwrap() - best).abs();
        vec![PlannedAction::new(kind("work")).with_expectation(Expectation::output(
            "/value",
            10.0 + 1.0 + off,
            0.5,
        ))]
    })
    .unwrap()
}

#[tokio::test]
async fn climbs_to_the_better_parameter_and_takes_back_what_makes_it_worse() {
    let (store, clock, world) = setting();
    let climber = || HillClimber::default().with_trial_cycles(3);
    let setup = || {
        builder(store.clone(), &clock, &world)
            .with_strategy(aiming_at(1.0))
            .with_parameter(Parameter::new("p", 3.0, 0.0, 4.0, 0.5).unwrap())
            .with_adapter(climber())
    };
    let mut agent = setup().build().await.unwrap();
    let (mut events, mut baselines) = (Vec::new(), Vec::<f64>::new());
    for cycle in 0..120 {
        // A restart in the middle of whatever is going on loses nothing.
        if cycle % 7 == 0 {
            agent = setup().build().await.unwrap();
        }
        let report = agent.cycle().await.unwrap();
        baselines.extend(report.changes.iter().filter_map(|change| match change {
            Change::Tried { from: 3.0, before, .. } => Some(*before),
            _ => None,
        }));
        events.extend(report.events);
    }
    assert!(baselines.len() > 1);
    let same = |baseline: &f64| (baseline - baselines[0]).abs() < 1e-9;
    assert!(baselines.iter().all(same), "scores of a rejected value are no measure: {baselines:?}");
    let state = agent.state().unwrap();
    assert!((state.parameters["p"] - 1.0).abs() <= 0.5, "{:?}", state.parameters);
    let rolled_back = |event: &&DaaEvent| matches!(event, DaaEvent::AdaptationRolledBack { .. });
    let worse = events.iter().find(rolled_back).expect("the first try goes up, which is worse");
    let DaaEvent::AdaptationRolledBack { from, to, before, during, .. } = worse else { unreachable!() };
    assert_eq!((*from, *to), (3.5, 3.0));
    assert!(during < before);
    assert!(events.iter().any(|event| matches!(event, DaaEvent::AdaptationKept { .. })));
}

#[tokio::test]
async fn no_adapter_can_leave_the_bounds() {
    struct Wild;
    impl Adapter for Wild {
        fn adapt(&self, review: &Review) -> Vec<Adjustment> {
            let value = [f64::NAN, f64::INFINITY, -1e300, 7.0][(review.cycle % 4) as usize];
            let strategy = StrategyName::new("always").unwrap();
            vec![
                Adjustment::Weight { strategy, weight: value },
                Adjustment::Try { parameter: metric("p"), value, cycles: 1 },
            ]
        }
    }
    let (store, clock, world) = setting();
    let mut agent = builder(store, &clock, &world)
        .with_strategy(always(&["work"]))
        .with_parameter(Parameter::new("p", 0.5, 0.0, 1.0, 0.125).unwrap())
        .with_adapter(Wild)
        .build()
        .await
        .unwrap();
    let mut before = 0.5;
    for _ in 0..60 {
        agent.cycle().await.unwrap();
        let state = agent.state().unwrap();
        let after = state.parameters["p"];
        assert!((0.0..=1.0).contains(&after) && (after - before).abs() <= 0.125);
        assert!(state.weights.values().all(|weight| WEIGHTS.contains(weight)));
        before = after;
    }
}

#[tokio::test]
async fn turns_from_a_strategy_that_fails_to_one_that_works_and_remembers_the_situation() {
    let (store, clock, world) = setting();
    let mut agent = builder(store, &clock, &world)
        .with_collector(collector_fn("load", || async { 0.5 }).unwrap())
        .with_strategy(strategy_fn("a-bad", |_| steps(&["fail"])).unwrap())
        .with_strategy(strategy_fn("b-good", |_| steps(&["work"])).unwrap())
        .build()
        .await
        .unwrap();
    let first = agent.cycle().await.unwrap();
    assert_eq!(first.strategy.unwrap().as_str(), "a-bad", "of equals the first by name");
    for _ in 0..20 {
        let report = agent.cycle().await.unwrap();
        assert_eq!(report.strategy.unwrap().as_str(), "b-good");
    }
    assert_eq!(agent.state().unwrap().patterns.len(), 2);
    assert!(agent.state().unwrap().weights["b-good"] > 1.0);
}
