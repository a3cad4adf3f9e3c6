//! Act: a plan is a run. What is asked for, what is told of it, and what becomes of it in a crash.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::*;
use daa_core::agent::*;
use daa_core::amount::{Currency, Money};
use daa_core::clock::{Clock, ManualClock};
use daa_core::event::*;
use daa_core::id::{ActionId, StreamId};
use daa_core::workflow::testing::{CrashPoint, CrashStore};
use daa_core::workflow::{RunEvent, RunOutcome};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::*;

fn setting() -> (FaultyStore, ManualClock, Arc<World>) {
    (FaultyStore::new(), ManualClock::default(), Arc::default())
}

/// An executor that keeps the parameters it was given, and charges `cost`.
#[derive(Clone, Default)]
struct Desk {
    seen: Arc<Mutex<Vec<Value>>>,
    cost: Option<Money>,
}

#[async_trait]
impl Executor for Desk {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        self.seen.lock().unwrap().push(action.params().clone());
        let outcome = Outcome::new(json!("done"));
        Ok(self.cost.map_or(outcome.clone(), |cost| outcome.with_cost(cost)))
    }
}

#[tokio::test]
async fn parameters_arrive_as_they_were_planned_and_costs_come_back() {
    let (store, clock, world) = setting();
    let literal = json!({ "${input}": ["${s0}", { "a": "$${run.id} ${" }], "n": 0.1, "null": null });
    let cost = Currency::new("USD", 2).unwrap().units(7);
    let desk = Desk { cost: Some(cost), ..Desk::default() };
    let planned = [literal.clone(), json!("${s0.x}"), Value::Null, json!({})];
    let steps = planned.clone().map(|params| PlannedAction::new(kind("desk")).with_params(params));
    let mut agent = builder(store, &clock, &world)
        .with_executor(kind("desk"), desk.clone())
        .with_strategy(strategy_fn("s", move |_| steps.to_vec()).unwrap())
        .build()
        .await
        .unwrap();
    let report = agent.cycle().await.unwrap();
    assert_eq!(*desk.seen.lock().unwrap(), planned);
    let done = StepResult::Succeeded { outcome: Outcome::new("done").with_cost(cost), replayed: false };
    assert!(report.steps.iter().all(|step| step.result == done), "{report:?}");
}

#[tokio::test]
async fn what_an_action_may_cost_is_asked_of_the_treasury() {
    let (store, clock, world) = setting();
    let cost = Currency::new("USD", 2).unwrap().units(7);
    let step = PlannedAction::new(kind("work")).with_max_cost(cost);
    let mut agent = builder(store, &clock, &world)
        .with_strategy(strategy_fn("s", move |_| vec![step.clone()]).unwrap())
        .build()
        .await
        .unwrap();
    let report = agent.cycle().await.unwrap();
    let StepResult::Failed { error, uncertain: false } = &report.steps[0].result else {
        panic!("{report:?}")
    };
    assert!(error.starts_with("refused: "), "{error}");
    assert!(world.order().is_empty());
}

#[tokio::test]
async fn a_plan_of_one_step_takes_two_appends_of_its_own() {
    let (store, clock, world) = setting();
    let mut agent =
        builder(store.clone(), &clock, &world).with_strategy(always(&["work"])).build().await.unwrap();
    let before = store.appends.load(Ordering::SeqCst);
    agent.cycle().await.unwrap();
    assert_eq!(store.appends.load(Ordering::SeqCst) - before, 2 + 2, "and two of the agent");
    let page = PageSize::new(PageSize::MAX);
    let all = store.read_all(Position::START, page).await.unwrap();
    let definitions = all.iter().filter(|event| event.stream.as_str().starts_with("workflow-definition/"));
    assert_eq!(definitions.count(), 0);
    let run = StreamId::new("workflow/agent/a/1").unwrap();
    let events = store.read_stream(&run, Version::EMPTY, page).await.unwrap();
    let events: Vec<_> = events.iter().map(|event| RunEvent::read(event).unwrap().unwrap()).collect();
    assert!(
        matches!(&events[0], RunEvent::Started(started) if started.attached && started.actor.as_str() == "a")
    );
    assert!(matches!(events.last(), Some(RunEvent::Ended(RunOutcome::Completed { .. }))));
}

#[tokio::test]
async fn a_crash_at_any_append_leaves_each_effect_and_each_undo_once_and_in_order() {
    let mut crashes = 0;
    for append in 1.. {
        for point in [CrashPoint::Before, CrashPoint::After] {
            let (clock, world) = (ManualClock::default(), Arc::<World>::default());
            let store = CrashStore::new(Arc::new(MemoryEventStore::new()));
            store.crash_at(append, point);
            let kinds = &["work", "work", "fail"];
            let agent = |store: Arc<CrashStore>| {
                builder_on(store, &clock, &world).with_strategy(always(kinds)).build()
            };
            if let Ok(mut first) = agent(store.clone()).await {
                first.cycle().await.ok();
            }
            crashes += u32::from(store.is_dead());
            let mut second = agent(store.restarted()).await.unwrap();
            if second.state().is_some_and(|state| state.cycle == 0) {
                let report = second.cycle().await.unwrap();
                let undone: Vec<_> = report.steps.iter().map(|step| step.undo.clone()).collect();
                assert_eq!(undone, [Some(UndoResult::Undone), Some(UndoResult::Undone), None]);
            }
            let place = format!("append {append} {point:?}");
            assert_eq!(world.order(), ["a/1/0", "a/1/1", "a/1/1/undo", "a/1/0/undo"], "{place}");
            if !store.is_dead() {
                assert!(crashes >= 18, "only {crashes} appends to crash at");
                return;
            }
        }
    }
}

/// A system outside that keeps what it did by id, and turns a latecomer away: whoever comes with a lower attempt than
/// the highest it has seen.
#[derive(Clone, Default)]
struct Fenced(Arc<Mutex<BTreeMap<ActionId, (u32, u32)>>>);

#[async_trait]
impl Executor for Fenced {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        tokio::task::yield_now().await;
        {
            let mut seen = self.0.lock().unwrap();
            let (attempt, effects) = seen.entry(action.id().clone()).or_default();
            if action.attempt() < *attempt {
                return Err(ExecuteError::rejected("too late"));
            }
            (*attempt, *effects) = (action.attempt(), *effects + 1);
        }
        tokio::task::yield_now().await;
        Ok(Outcome::new(1))
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let done = self.0.lock().unwrap().contains_key(action.id());
        Ok(if done { Reconciled::Completed(Outcome::new(1)) } else { Reconciled::NotFound })
    }
}

#[tokio::test]
async fn the_late_writes_of_an_earlier_instance_are_refused_while_it_acts() {
    let mut refused = 0;
    for polls in 1.. {
        let ((store, clock, world), outside) = (setting(), Fenced::default());
        let agent = || {
            let agent = builder(store.clone(), &clock, &world);
            agent
                .with_executor(kind("work"), outside.clone())
                .with_strategy(always(&["work", "work"]))
                .build()
        };
        let mut first = agent().await.unwrap();
        let mut second = None;
        let ended = {
            let mut cycle = pin!(first.cycle());
            let mut polled = 0;
            loop {
                let polling = poll_fn(|context| Poll::Ready(cycle.as_mut().poll(context)));
                if let Poll::Ready(ended) = polling.await {
                    break ended;
                }
                polled += 1;
                if polled == polls {
                    let mut later = agent().await.unwrap();
                    let completed = later.state().is_some_and(|state| state.cycle == 1);
                    later.cycle().await.unwrap();
                    second = Some((later, completed));
                }
                tokio::task::yield_now().await;
            }
        };
        let Some((mut second, completed)) = second else {
            assert!(refused > 10, "only {refused} places to take over at");
            return;
        };
        if !completed {
            let error = ended.map(|report| format!("{report:?}")).unwrap_err();
            let replaced = matches!(error, AgentError::SecondInstance { ours: 1, theirs: 2, .. });
            assert!(replaced, "{polls}: {error}");
            refused += 1;
            second.cycle().await.unwrap();
        }
        let again = first.cycle().await.unwrap_err();
        assert!(matches!(again, AgentError::SecondInstance { .. }), "{polls}: {again}");
        assert_eq!(second.state().map(|state| state.cycle), Some(2), "{polls}");
        let effects: Vec<_> = outside.0.lock().unwrap().values().map(|(_, effects)| *effects).collect();
        assert_eq!(effects, [1; 4], "{polls}");
    }
}

#[tokio::test]
async fn an_undo_that_never_ends_is_let_go() {
    let (store, clock, world) = setting();
    #[derive(Clone)]
    struct Stuck;
    #[async_trait]
    impl Executor for Stuck {
        async fn execute(&self, _: &Authorized) -> Result<Outcome, ExecuteError> {
            std::future::pending().await
        }

        async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
            std::future::pending().await
        }
    }
    let mut agent = builder(store, &clock, &world)
        .with_executor(kind("undo"), Stuck)
        .with_strategy(always(&["work", "work", "fail"]))
        .with_time_limits(TimeLimits::default().with_action(Duration::from_secs(7)))
        .build()
        .await
        .unwrap();
    let report = {
        let mut cycle = pin!(agent.cycle());
        loop {
            let polling = poll_fn(|context| Poll::Ready(cycle.as_mut().poll(context)));
            if let Poll::Ready(report) = polling.await {
                break report.unwrap();
            }
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    let stuck = Some(UndoResult::Failed {
        error: "it may or may not have taken effect: took longer than 7s".to_owned(),
    });
    let undone: Vec<_> = report.steps.iter().map(|step| step.undo.clone()).collect();
    assert_eq!(undone, [stuck.clone(), stuck, None]);
}

#[tokio::test]
async fn what_came_to_nothing_under_an_explicit_id_is_not_asked_for_again() {
    for (name, error) in [
        ("fail", "the action was rejected: as asked"),
        ("forbidden", "denied: forbidden"),
        ("escalated", "escalated: ask somebody"),
    ] {
        let (store, clock, world) = setting();
        let step = PlannedAction::new(kind(name)).with_id("once".try_into().unwrap());
        let mut agent = builder(store.clone(), &clock, &world)
            .with_strategy(strategy_fn("s", move |_| vec![step.clone()]).unwrap())
            .build()
            .await
            .unwrap();
        let failed = StepResult::Failed { error: error.to_owned(), uncertain: false };
        assert_eq!(agent.cycle().await.unwrap().steps[0].result, failed);
        let once = StreamId::new("action/once").unwrap();
        let before = store.read_stream(&once, Version::EMPTY, PageSize::default()).await.unwrap();
        assert_eq!(agent.cycle().await.unwrap().steps[0].result, failed);
        assert_eq!(store.read_stream(&once, Version::EMPTY, PageSize::default()).await.unwrap(), before);
    }
}

#[tokio::test]
async fn the_longest_id_of_an_agent_leaves_room_for_the_names_that_are_made_of_it() {
    let (store, clock, world) = setting();
    let (store, clock): (Arc<dyn EventStore>, Arc<dyn Clock>) = (Arc::new(store), Arc::new(clock));
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(Rules)).build();
    let mut agent = Agent::builder("a".repeat(120).try_into().unwrap(), gate, store, clock)
        .with_executor(kind("work"), Worker(world.clone()))
        .with_executor(kind("undo"), Worker(world.clone()))
        .with_strategy(always(&["work", "forbidden"]))
        .build()
        .await
        .unwrap();
    assert_eq!(agent.cycle().await.unwrap().steps[0].undo, Some(UndoResult::Undone));
}

#[tokio::test]
async fn records_of_an_earlier_version_are_passed_over() {
    let (store, clock, world) = setting();
    let rolling_back = json!({ "cycle": 1, "step": 2, "error": "no", "undo": [0, 1] });
    let event =
        NewEvent::json("agent.rolling_back.v1".try_into().unwrap(), Default::default(), &rolling_back);
    let batch = Batch::new().with_event("agent/a".try_into().unwrap(), ExpectedVersion::Any, event.unwrap());
    store.append(batch).await.unwrap();
    let mut agent = builder(store, &clock, &world).with_strategy(always(&["work"])).build().await.unwrap();
    agent.cycle().await.unwrap();
    assert_eq!(world.order(), ["a/1/0"]);
}

const KINDS: [&str; 5] = ["work", "fail", "forbidden", "panic", "late"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn acts_in_the_order_of_the_plan_and_undoes_in_reverse(
        plan in prop::collection::vec((prop_oneof![9 => Just(0), 1 => 0..KINDS.len()], 0..4_u8), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (store, clock, world) = setting();
        let steps: Vec<_> = plan.iter().map(|&(name, id)| {
            let step = PlannedAction::new(kind(KINDS[name]));
            // An explicit id, that two steps may share.
            if id < 2 { step.with_id(format!("{}/{id}", KINDS[name]).try_into().unwrap()) } else { step }
        }).collect();
        let report = runtime.block_on(async {
            let strategy = strategy_fn("s", move |_| steps.clone()).unwrap();
            let mut agent = builder(store, &clock, &world).with_strategy(strategy).build().await.unwrap();
            agent.cycle().await.unwrap()
        });
        let good = plan.iter().position(|&(name, _)| name != 0).unwrap_or(plan.len());
        let mut expected: Vec<String> = Vec::new();
        for step in &report.steps[..good] {
            let seen = expected.contains(&step.id.to_string());
            let StepResult::Succeeded { replayed, .. } = &step.result else { panic!("{step:?}") };
            prop_assert_eq!(*replayed, seen);
            let undo = if seen { UndoResult::Kept } else { UndoResult::Undone };
            prop_assert_eq!(&step.undo, &(good < plan.len()).then_some(undo));
            if !seen {
                expected.push(step.id.to_string());
            }
        }
        if let Some(step) = report.steps.get(good) {
            let StepResult::Failed { uncertain, .. } = step.result else { panic!("{step:?}") };
            prop_assert_eq!(uncertain, KINDS[plan[good].0] == "late");
            let undone: Vec<_> = expected.iter().rev().map(|id| format!("{id}/undo")).collect();
            expected.extend(undone);
        }
        let skipped = |step: &StepReport| step.result == StepResult::Skipped && step.undo.is_none();
        prop_assert!(report.steps.iter().skip(good + 1).all(skipped));
        prop_assert_eq!(world.order(), expected);
    }
}
