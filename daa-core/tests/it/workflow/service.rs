//! A worker under an orchestrator.

use std::sync::Arc;

use daa_core::action::Gate;
use daa_core::event::EventStore;
use daa_core::orchestrator::DaaOrchestrator;
use daa_core::workflow::{Step, WorkerOptions, Workflow};
use serde_json::json;

use super::world::{Bench, ByKind, completed};

#[tokio::test(start_paused = true)]
async fn an_orchestrator_has_a_worker_among_its_services() {
    let bench = Bench::new();
    let store: Arc<dyn EventStore> = bench.store.clone();
    let gate =
        Gate::builder(store.clone(), bench.clock.clone()).with_policy(Arc::new(ByKind("rules 1"))).build();
    let orchestrator = DaaOrchestrator::builder(store, gate, bench.clock.clone())
        .with_service(bench.engine.service("main".parse().unwrap(), WorkerOptions::default()))
        .start()
        .await
        .unwrap();
    let flow = Workflow::new("one".parse().unwrap()).with_step(Step::action(
        "one".parse().unwrap(),
        "a".parse().unwrap(),
        json!({}),
    ));
    let run = bench.start("run-1", &flow, json!(null)).await;
    assert_eq!(bench.engine.outcome(&run).await.unwrap(), completed(json!(null)));
    assert!(orchestrator.shutdown().await.is_orderly());
    assert_eq!(bench.outside.log(), ["run-1/one"]);
}
