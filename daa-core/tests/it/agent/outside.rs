//! What others see of an agent's plans, and what they may ask of them: by an engine that knows of no agent.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daa_core::action::*;
use daa_core::agent::*;
use daa_core::clock::{Clock, ManualClock};
use daa_core::event::*;
use daa_core::id::RunId;
use daa_core::workflow::*;
use serde_json::json;

use super::world::*;

fn engine(store: &FaultyStore, clock: &ManualClock) -> WorkflowEngine {
    let (store, clock): (Arc<dyn EventStore>, Arc<dyn Clock>) =
        (Arc::new(store.clone()), Arc::new(clock.clone()));
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(Rules)).build();
    WorkflowEngine::builder(store, clock, gate).build()
}

fn run(cycle: u64) -> RunId {
    format!("agent/a/{cycle}").parse().unwrap()
}

#[tokio::test]
async fn the_plans_of_an_agent_can_be_looked_at() {
    let (store, clock, world) = (FaultyStore::new(), ManualClock::default(), Arc::default());
    // Each cycle has parameters of its own, and every third nothing to do.
    let strategy = strategy_fn("s", |situation: &Situation| {
        let step =
            |at: u64| PlannedAction::new(kind("work")).with_params(json!({ "n": situation.cycle, "at": at }));
        if situation.cycle.is_multiple_of(3) { Vec::new() } else { vec![step(0), step(1)] }
    });
    let mut agent =
        builder(store.clone(), &clock, &world).with_strategy(strategy.unwrap()).build().await.unwrap();
    for _ in 0..400 {
        agent.cycle().await.unwrap();
    }
    let engine = engine(&store, &clock);
    let runs = engine.runs(&RunQuery::new().with_page(RunQuery::MAX_PAGE)).await.unwrap().runs;
    assert_eq!(runs.len(), 400 - 133);
    for cycle in [1, 2, 4, 5, 97, 199, 200, 398, 400] {
        let run = run(cycle);
        let view = engine.view(&run).await.unwrap();
        assert!(view.outcome().is_some_and(RunOutcome::is_completed), "{cycle}");
        assert_eq!(view.steps.len(), 2);
        assert!(view.steps.iter().all(|step| step.status == StepStatus::Succeeded));
        let StepKind::Action(step) = engine.definition(&run).await.unwrap().steps[1].kind.clone() else {
            panic!()
        };
        assert_eq!(step.kind, kind("work"));
        assert_eq!(serde_json::to_value(&step.with).unwrap(), json!({ "n": cycle, "at": 1 }));
        assert!(engine.explain(&run).await.unwrap().to_string().contains("s1"));
        assert!(
            engine.svg(&run).await.unwrap().contains("s1")
                && engine.mermaid(&run).await.unwrap().contains("s1")
        );
    }
    for cycle in [3, 401] {
        assert!(matches!(engine.view(&run(cycle)).await, Err(WorkflowError::UnknownRun { .. })));
    }
}

#[tokio::test]
async fn a_plan_whose_agent_s_journal_was_erased_is_not_made_up() {
    let (store, clock, world) = (FaultyStore::new(), ManualClock::default(), Arc::default());
    let mut agent =
        builder(store.clone(), &clock, &world).with_strategy(always(&["work"])).build().await.unwrap();
    agent.cycle().await.unwrap();
    store.erase(&"agent/a".parse().unwrap(), Version::new(2)).await.unwrap();
    let engine = engine(&store, &clock);
    assert!(matches!(engine.view(&run(1)).await, Err(WorkflowError::UnknownDefinition { .. })));
    assert!(!engine.history(&run(1)).await.unwrap().is_empty());
}

/// Has somebody cancel the plan while its second step is under way.
#[derive(Clone)]
struct Cancelling {
    engine: WorkflowEngine,
    work: Worker,
    asked: Arc<Mutex<Vec<Result<(), String>>>>,
}

#[async_trait]
impl Executor for Cancelling {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        if action.id().as_str() == "a/1/1" {
            let asked = self.engine.cancel(&run(1), "bob".parse().unwrap(), "enough").await;
            self.asked.lock().unwrap().push(asked.map_err(|error| format!("{error:?}")));
        }
        self.work.execute(action).await
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        self.work.reconcile(action).await
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        self.work.compensation(action, outcome)
    }
}

#[tokio::test]
async fn a_plan_that_is_cancelled_while_its_agent_acts_is_undone() {
    let (store, clock, world) = (FaultyStore::new(), ManualClock::default(), Arc::<World>::default());
    let engine = engine(&store, &clock);
    let work = Cancelling { engine: engine.clone(), work: Worker(world.clone()), asked: Arc::default() };
    let mut agent = builder(store.clone(), &clock, &world)
        .with_executor(kind("work"), work.clone())
        .with_strategy(always(&["work", "work", "work"]))
        .build()
        .await
        .unwrap();
    let report = agent.cycle().await.unwrap();
    assert_eq!(*work.asked.lock().unwrap(), [Ok(())]);
    assert_eq!(world.order(), ["a/1/0", "a/1/1", "a/1/1/undo", "a/1/0/undo"]);
    let undone: Vec<_> = report.steps.iter().map(|step| step.undo.clone()).collect();
    assert_eq!(undone, [Some(UndoResult::Undone), Some(UndoResult::Undone), None]);
    assert_eq!(report.steps[2].result, StepResult::Skipped);
    let view = engine.view(&run(1)).await.unwrap();
    assert!(
        matches!(view.outcome(), Some(RunOutcome::RolledBack { cause: FailureCause::Cancelled { by, .. }, .. }) if by.as_str() == "bob")
    );
    // The agent goes on.
    agent.cycle().await.unwrap();
    assert_eq!(world.order().len(), 7);
    let late = engine.cancel(&run(1), "bob".parse().unwrap(), "again").await;
    assert!(matches!(late, Err(WorkflowError::Refused(Refused::Ended))), "{late:?}");
}

#[tokio::test]
async fn whatever_only_a_worker_could_do_is_not_asked_of_an_agent() {
    let (store, clock, world) = (FaultyStore::new(), ManualClock::default(), Arc::<World>::default());
    let agent = || builder(store.clone(), &clock, &world).with_strategy(always(&["work", "work"])).build();
    let engine = engine(&store, &clock);
    // It dies when its first action has ended.
    store.fail_at.store(store.appends.load(Ordering::SeqCst) + 3, Ordering::SeqCst);
    agent().await.unwrap().cycle().await.unwrap_err();
    let attached = |refused: &Result<(), WorkflowError>| {
        matches!(refused, Err(WorkflowError::Refused(Refused::Attached)))
    };
    let paused = engine.pause(&run(1), "wait").await;
    assert!(attached(&paused), "{paused:?}");
    let other = Workflow::new("agent.plan".parse().unwrap())
        .with_step(Step::sleep("s0".parse().unwrap(), std::time::Duration::from_secs(1)));
    let migrated = engine.migrate(&run(1), other).await;
    assert!(
        matches!(migrated, Err(RegisterError::Workflow(WorkflowError::Refused(Refused::Attached)))),
        "{migrated:?}"
    );
    agent().await.unwrap().cycle().await.unwrap();
    assert_eq!(world.order(), ["a/1/0", "a/1/1"], "what was begun goes on");
    let rolled_back = engine.roll_back(&run(1), "bob".parse().unwrap(), "after all").await;
    assert!(attached(&rolled_back), "{rolled_back:?}");
}

#[tokio::test]
async fn a_plan_that_is_cancelled_while_its_agent_is_away_is_undone_when_it_comes_back() {
    let (store, clock, world) = (FaultyStore::new(), ManualClock::default(), Arc::<World>::default());
    let agent = || builder(store.clone(), &clock, &world).with_strategy(always(&["work", "work"])).build();
    let engine = engine(&store, &clock);
    store.fail_at.store(store.appends.load(Ordering::SeqCst) + 3, Ordering::SeqCst);
    agent().await.unwrap().cycle().await.unwrap_err();
    engine.cancel(&run(1), "bob".parse().unwrap(), "enough").await.unwrap();
    let mut again = agent().await.unwrap();
    again.cycle().await.unwrap();
    assert_eq!(world.order(), ["a/1/0", "a/1/0/undo"]);
    assert_eq!(again.state().map(|state| state.cycle), Some(1));
}
