//! What a definition says, kept to by its runs.

use std::num::NonZeroU32;
use std::time::Duration;

use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent, StreamWrite};
use daa_core::workflow::{Condition, FailureCause, RunOutcome, Start, Step, StepError, Template, Workflow};
use serde_json::json;

use super::world::{Bench, alice, completed};

fn workflow() -> Workflow {
    Workflow::new("w".parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_rules_ask_for_stands_as_long_as_the_workflow_says() {
    let step = Step::action("one".parse().unwrap(), "escalate.it".parse().unwrap(), json!({}));
    let hour = Duration::from_secs(3600);
    for (flow, stands) in [
        (workflow().with_step(step.clone()).with_escalation(hour), hour),
        (workflow().with_step(step), 7 * 24 * hour),
    ] {
        let bench = Bench::new();
        let before = bench.clock.now();
        let outcome = bench.run(&flow, json!(null)).await;
        let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, .. } = outcome else {
            panic!()
        };
        assert_eq!(error, StepError::NotApproved);
        assert_eq!(bench.clock.now().since(before), stands);
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_step_that_waits_for_signals_is_that_of_all_of_them() {
    let bench = Bench::new();
    let never = Condition::Eq(Template::new("${last}"), Template::new("enough"));
    let step = Step::signal("wait".parse().unwrap(), "go".parse().unwrap())
        .with_repeat(never, NonZeroU32::new(100).unwrap())
        .with_deadline(Duration::from_secs(10));
    let before = bench.clock.now();
    let run = bench.start("run-1", &workflow().with_step(step), json!(null)).await;
    let serving = bench.serve("main");
    for _ in 0..4 {
        bench.clock.sleep(Duration::from_secs(2)).await;
        bench.engine.signal(&run, "go".parse().unwrap(), "more", None).await.unwrap();
    }
    let outcome = bench.engine.outcome(&run).await.unwrap();
    let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, .. } = outcome else { panic!() };
    assert_eq!(error, StepError::Deadline { deadline: before + Duration::from_secs(10) });
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_by_a_definition_that_would_not_be_registered_any_more() {
    let bench = Bench::new();
    let nap =
        Step::sleep("nap".parse().unwrap(), Duration::from_secs(1)).with_deadline(Duration::from_secs(1));
    let flow = workflow().with_step(nap).with_output("rested");
    assert!(flow.check().is_err());
    let write = |stream: String, kind: &str, event: serde_json::Value| {
        let event = NewEvent::json(kind.parse().unwrap(), bench.clock.now(), &event).unwrap();
        StreamWrite::new(stream.parse().unwrap(), ExpectedVersion::NO_STREAM, vec![event])
    };
    let digest = flow.digest();
    let registered = write(
        format!("workflow-definition/{digest}"),
        "workflow_definition.registered.v1",
        serde_json::to_value(&flow).unwrap(),
    );
    let started = json!({ "started": { "run": "r", "workflow": "w", "definition": digest, "actor": "alice", "input": null } });
    let started = write("workflow/r".to_owned(), "workflow.started.v1", started);
    bench.store.append(Batch::new().with(registered).with(started)).await.unwrap();
    let serving = bench.serve("main");
    assert_eq!(bench.engine.outcome(&"r".parse().unwrap()).await.unwrap(), completed("rested"));
    let another = Start::new("r2".parse().unwrap(), "w".parse().unwrap(), alice(), json!(null));
    bench.engine.start(another).await.unwrap_err();
    serving.stop().await.unwrap();
}
