//! Approvals, and what is approved: each counts once, in the append that makes it so.

use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{ActionEvent, Gate};
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::event::{EventStore, MemoryEventStore};
use daa_core::id::RunId;
use daa_core::shutdown::ShutdownTrigger;
use daa_core::workflow::{
    Answer, Refused, Start, Step, WorkerOptions, Workflow, WorkflowEngine, WorkflowError,
};
use daa_rules::{RulesEngine, Ruleset};
use serde_json::json;

use super::world::{DeepPockets, Scripted, journal};

const RULES: &str = r#"
[window.answers]
on = "workflow.approve"
per = ["action.actor"]
span = "24h"
[window.payments]
on = "payment.*"
span = "24h"
[[rule]]
on = "payment.*"
when = "window.payments >= 0"
effect = "escalate"
[[rule]]
on = "workflow.approve"
when = "window.answers < 2"
effect = "permit"
"#;

struct Office {
    store: Arc<MemoryEventStore>,
    rules: RulesEngine,
    engine: WorkflowEngine,
    clock: Arc<dyn Clock>,
}

impl Office {
    fn new() -> Self {
        let store = Arc::new(MemoryEventStore::new());
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
        let rules = RulesEngine::new(Ruleset::from_toml(RULES).unwrap()).with_memory(store.clone());
        let shared: Arc<dyn EventStore> = store.clone();
        let gate = Gate::builder(shared.clone(), clock.clone())
            .with_policy(Arc::new(rules.clone()))
            .with_treasury(Arc::new(DeepPockets))
            .build();
        let engine = WorkflowEngine::builder(shared, clock.clone(), gate)
            .with_executor("payment.send".parse().unwrap(), Scripted)
            .build();
        Self { store, rules, engine, clock }
    }

    /// Starts a payment, which somebody has to approve of.
    async fn pay(&self, run: &str) -> RunId {
        let payment = json!({ "does": "ok", "to": "bob" });
        let step = Step::action("pay".parse().unwrap(), "payment.send".parse().unwrap(), payment);
        let workflow = Workflow::new("pay".parse().unwrap()).with_step(step);
        self.engine.register(workflow).await.unwrap();
        let run: RunId = run.parse().unwrap();
        let start = Start::new(run.clone(), "pay".parse().unwrap(), "alice".parse().unwrap(), json!(null));
        self.engine.start(start).await.unwrap();
        self.clock.sleep(Duration::from_secs(1)).await;
        run
    }

    async fn answer(&self, run: &RunId, by: &str) -> Result<(), WorkflowError> {
        let view = self.engine.view(run).await.unwrap();
        let (task, request, _) = view.approvals().next().expect("a request for approval");
        self.engine.answer(run, Answer::approve(task.clone(), request.subject, by.parse().unwrap())).await
    }

    /// What the rules were given for each action that they permitted, by the kind of the action.
    async fn given(&self, kind: &str, path: &str) -> Vec<serde_json::Value> {
        let given = |event| match event {
            ActionEvent::Permitted { action, verdict, .. } if action.kind().as_str() == kind => {
                verdict.given.fact(path).cloned()
            }
            _ => None,
        };
        journal(&*self.store).await.into_iter().filter_map(given).collect()
    }
}

fn is_not_entitled(answered: &Result<(), WorkflowError>) -> bool {
    matches!(answered, Err(WorkflowError::Refused(Refused::NotEntitled { .. })))
}

#[tokio::test(start_paused = true)]
async fn who_answers_and_what_is_approved_count_once() {
    let office = Office::new();
    let (trigger, shutdown) = ShutdownTrigger::new();
    let engine = office.engine.clone();
    let serving = tokio::spawn(async move {
        engine.serve("main".parse().unwrap(), WorkerOptions::default(), shutdown).await
    });
    for number in 1..=2 {
        let run = office.pay(&format!("run-{number}")).await;
        office.answer(&run, "bob").await.unwrap();
        tokio::time::timeout(Duration::from_secs(600), office.engine.outcome(&run)).await.unwrap().unwrap();
    }
    let third = office.pay("run-3").await;
    let answered = office.answer(&third, "bob").await;
    assert!(is_not_entitled(&answered), "{answered:?}");
    // A window that comes later finds who has answered.
    let later = RULES.replace("window.answers", "window.later");
    office.rules.replace(Ruleset::from_toml(&later).unwrap());
    // Asked again under the rules that are new.
    let changed = office.answer(&third, "carol").await;
    assert!(matches!(changed, Err(WorkflowError::Refused(Refused::RulesChanged { .. }))), "{changed:?}");
    office.clock.sleep(Duration::from_secs(1)).await;
    assert!(is_not_entitled(&office.answer(&third, "bob").await));
    office.answer(&third, "carol").await.unwrap();
    tokio::time::timeout(Duration::from_secs(600), office.engine.outcome(&third)).await.unwrap().unwrap();
    trigger.trigger();
    serving.await.unwrap().unwrap();
    assert_eq!(office.given("workflow.approve", "window.answers").await, [json!(0), json!(1)]);
    assert_eq!(office.given("workflow.approve", "window.later").await, [json!(0)]);
    assert_eq!(office.given("payment.send", "window.payments").await, [json!(0), json!(1), json!(2)]);
}
