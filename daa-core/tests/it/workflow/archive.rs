//! Histories that are moved to artefacts, and what is told of them.

use std::sync::Arc;
use std::time::Duration;

use daa_core::artifact::{Artifacts, MemoryArtifacts};
use daa_core::event::{EventStore, PageSize, Version};
use daa_core::workflow::testing::Script;
use daa_core::workflow::{Condition, Step, Template, WorkerOptions, Workflow, WorkflowError};
use serde_json::json;

use super::world::Bench;

fn flow() -> Workflow {
    Workflow::new("two".parse().unwrap())
        .with_step(Step::action("one".parse().unwrap(), "a".parse().unwrap(), json!({})))
        .with_step(
            Step::action("two".parse().unwrap(), "b".parse().unwrap(), json!({ "one": "${one}" }))
                .with_when(Condition::Eq(Template::new("${input}"), Template::new("yes"))),
        )
        .with_output("${one}")
}

#[tokio::test(start_paused = true)]
async fn an_archived_run_is_told_from_its_artefact() {
    let artifacts: Arc<dyn Artifacts> = Arc::new(MemoryArtifacts::new());
    let bench = Bench::new().with_artifacts(artifacts.clone());
    bench.outside.script("a", [Script::succeed(1)]);
    bench.run(&flow(), json!("no")).await;
    let run = "run-1".parse().unwrap();
    let before = bench.engine.view(&run).await.unwrap();
    let told = bench.engine.explain(&run).await.unwrap();
    let history = bench.engine.history(&run).await.unwrap();

    let artifact = bench.engine.archive(&run).await.unwrap();
    assert_eq!(bench.engine.archive(&run).await.unwrap(), artifact, "archiving again changes nothing");
    let stream = "workflow/run-1".parse().unwrap();
    let events = bench.store.read_stream(&stream, Version::EMPTY, PageSize::default()).await.unwrap();
    let (last, rest) = events.split_last().unwrap();
    assert!(rest.iter().all(|event| event.is_erased()) && !last.is_erased());

    assert_eq!(bench.engine.view(&run).await.unwrap(), before);
    assert_eq!(bench.engine.history(&run).await.unwrap()[..history.len()], history);
    assert_eq!(bench.engine.explain(&run).await.unwrap().lines[..told.lines.len()], told.lines);
    assert_eq!(bench.engine.runs().await.unwrap(), []);

    artifacts.remove(&artifact).await.unwrap();
    let gone = bench.engine.view(&run).await;
    assert!(matches!(gone, Err(WorkflowError::Archived { artifact: named, .. }) if named == artifact));
}

#[tokio::test(start_paused = true)]
async fn only_what_has_ended_is_archived_and_only_where_there_is_an_archive() {
    let bench = Bench::new();
    let run = bench.start("run-1", &flow(), json!("no")).await;
    assert!(matches!(bench.engine.archive(&run).await, Err(WorkflowError::Open { .. })));
    bench.run(&flow(), json!("no")).await;
    assert!(matches!(bench.engine.archive(&run).await, Err(WorkflowError::NoArchive)));
    let none = bench.engine.archive(&"nobody".parse().unwrap()).await;
    assert!(matches!(none, Err(WorkflowError::UnknownRun { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_worker_archives_after_the_retention_also_what_ended_in_its_earlier_life() {
    let artifacts: Arc<dyn Artifacts> = Arc::new(MemoryArtifacts::new());
    let bench = Bench::new().with_artifacts(artifacts.clone());
    bench.run(&flow(), json!("no")).await;
    let day = Duration::from_secs(24 * 3600);
    let worker = bench.serve_with("main", WorkerOptions::default().with_retention(day));
    bench.clock.sleep(day / 2).await;
    assert_eq!(artifacts.list().await.unwrap(), []);
    bench.clock.sleep(day).await;
    worker.stop().await.unwrap();
    assert_eq!(artifacts.list().await.unwrap().len(), 1);
    assert_eq!(bench.engine.runs().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_explanation_says_what_happened_and_why() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::succeed(7)]);
    bench.run(&flow(), json!("no")).await;
    let told = bench.engine.explain(&"run-1".parse().unwrap()).await.unwrap().to_string();
    for part in [
        "1970-01-01T00:16:40.000Z  started: workflow two",
        "one: begins, try 1",
        "one: done, yields 7",
        "two: skipped: {\"eq\":[\"${input}\",\"yes\"]} does not hold",
        "completed with 7",
    ] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    let picture = bench.engine.svg(&"run-1".parse().unwrap()).await.unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("two"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_being_undone_after_all_is_not_archived() {
    let bench = Bench::new().with_artifacts(Arc::new(MemoryArtifacts::new()));
    bench.outside.script("refund", vec![Script::fail(); 6]);
    let charge = Step::action("charge".parse().unwrap(), "charge".parse().unwrap(), json!({}))
        .with_undo("refund".parse().unwrap(), json!({}));
    bench.run(&Workflow::new("pay".parse().unwrap()).with_step(charge), json!(1)).await;
    let run = "run-1".parse().unwrap();
    let serving = bench.serve("main");
    bench.engine.roll_back(&run, super::world::alice(), "after all").await.unwrap();
    bench.clock.sleep(Duration::from_secs(3)).await;
    assert!(matches!(bench.engine.archive(&run).await, Err(WorkflowError::Open { .. })));
    serving.stop().await.unwrap();
}
