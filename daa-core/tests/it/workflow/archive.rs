//! Histories that are moved to artefacts, and what is told of them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{
    ArtifactError, ArtifactInfo, ArtifactReader, ArtifactWriter, Artifacts, MemoryArtifacts,
};
use daa_core::digest::Digest;
use daa_core::event::{
    Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, PageSize, RecordedEvent, StreamWrite,
    Version,
};
use daa_core::id::RunId;
use daa_core::workflow::testing::{CrashStore, Script};
use daa_core::workflow::{
    Condition, HistoryEntry, Refused, RegisterError, RunEvent, RunQuery, Step, Template, WorkerOptions,
    Workflow, WorkflowError,
};
use serde_json::json;

use super::stores::{Behind, Unreadable};
use super::world::{Bench, alice};

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
    assert_eq!(bench.engine.runs(&RunQuery::new()).await.unwrap().runs, []);

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

/// Writes to the stream of a run as another program could.
async fn note(bench: &Bench, run: &RunId, kind: &str, payload: impl Into<Bytes>) {
    let event = NewEvent::new(kind.parse().unwrap(), bench.clock.now(), payload.into());
    let stream = format!("workflow/{run}").parse().unwrap();
    let write = StreamWrite::new(stream, ExpectedVersion::Any, vec![event]);
    bench.store.append(Batch::new().with(write)).await.unwrap();
}

async fn events(bench: &Bench, run: &RunId) -> Vec<RecordedEvent> {
    let stream = format!("workflow/{run}").parse().unwrap();
    bench.store.read_stream(&stream, Version::EMPTY, PageSize::default()).await.unwrap()
}

const CANCEL: &str = r#"{"cancel_requested":{"by":"alice","reason":"late"}}"#;
const ROLL_BACK: &str = r#"{"roll_back_requested":{"by":"alice","reason":"late"}}"#;

#[tokio::test(start_paused = true)]
async fn what_is_noted_behind_an_archive_hides_none_of_it() {
    let bench = Bench::new().with_artifacts(Arc::new(MemoryArtifacts::new()));
    bench.run(&flow(), json!("no")).await;
    let run = "run-1".parse().unwrap();
    let (before, history) =
        (bench.engine.view(&run).await.unwrap(), bench.engine.history(&run).await.unwrap());
    let artifact = bench.engine.archive(&run).await.unwrap();
    note(&bench, &run, "workflow.cancel_requested.v1", CANCEL).await;
    let after = bench.engine.history(&run).await.unwrap();
    assert_eq!(after[..history.len()], history);
    assert!(matches!(
        after[history.len()..],
        [
            HistoryEntry { event: RunEvent::Archived { .. }, .. },
            HistoryEntry { event: RunEvent::CancelRequested { .. }, .. }
        ]
    ));
    assert_eq!(bench.engine.view(&run).await.unwrap(), before);
    assert_eq!(bench.engine.archive(&run).await.unwrap(), artifact);
    let kept = events(&bench, &run).await;
    assert_eq!(kept.iter().filter(|event| !event.is_erased()).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_archived_run_refuses_whatever_is_asked_of_it() {
    let bench = Bench::new().with_artifacts(Arc::new(MemoryArtifacts::new()));
    bench.run(&flow(), json!("no")).await;
    let run = "run-1".parse().unwrap();
    let archived = bench.engine.archive(&run).await.unwrap();
    let before = events(&bench, &run).await;
    let refused = [
        bench.engine.roll_back(&run, alice(), "after all").await,
        bench.engine.cancel(&run, alice(), "late").await,
        bench.engine.pause(&run, "late").await,
        bench.engine.resume(&run).await,
        bench.engine.update(&run, "v", 1).await,
    ];
    for refused in refused {
        let Err(WorkflowError::Refused(Refused::Archived { artifact })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(artifact, archived);
    }
    let migrated = bench.engine.migrate(&run, flow()).await;
    let Err(RegisterError::Workflow(WorkflowError::Refused(Refused::Archived { .. }))) = migrated else {
        panic!("{migrated:?}");
    };
    assert_eq!(events(&bench, &run).await, before);
}

/// A run that waited for another, `run-1/sub`; both have completed.
async fn with_child(bench: &Bench) -> (RunId, RunId) {
    let charge = Step::action("charge".parse().unwrap(), "charge".parse().unwrap(), json!({}))
        .with_undo("refund".parse().unwrap(), json!({}));
    bench.engine.register(Workflow::new("inner".parse().unwrap()).with_step(charge)).await.unwrap();
    let sub = Step::workflow("sub".parse().unwrap(), "inner".parse().unwrap(), json!({}));
    bench.run(&Workflow::new("outer".parse().unwrap()).with_step(sub), json!(null)).await;
    ("run-1".parse().unwrap(), "run-1/sub".parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_run_that_another_waited_for_is_rolled_back_only_by_that_one() {
    let bench = Bench::new();
    let (outer, inner) = with_child(&bench).await;
    let refused = bench.engine.roll_back(&inner, alice(), "alone").await;
    let Err(WorkflowError::Refused(Refused::PartOf { parent })) = refused else { panic!("{refused:?}") };
    assert_eq!(parent, outer);
    let serving = bench.serve("main");
    bench.engine.roll_back(&parent, alice(), "together").await.unwrap();
    bench.clock.sleep(Duration::from_secs(3)).await;
    assert_eq!(bench.outside.log(), ["run-1/sub/charge", "run-1/sub/charge/undo"]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_ended_is_not_told_what_becomes_of_those_it_waited_for() {
    for archived in [false, true] {
        let bench = Bench::new().with_artifacts(Arc::new(MemoryArtifacts::new()));
        let (outer, inner) = with_child(&bench).await;
        if archived {
            bench.engine.archive(&outer).await.unwrap();
        }
        let before = events(&bench, &outer).await;
        // As an earlier version let anybody ask.
        note(&bench, &inner, "workflow.roll_back_requested.v1", ROLL_BACK).await;
        let serving = bench.serve("main");
        bench.clock.sleep(Duration::from_secs(3)).await;
        assert_eq!(bench.outside.log(), ["run-1/sub/charge", "run-1/sub/charge/undo"], "{archived}");
        assert!(!bench.engine.view(&inner).await.unwrap().outcome().unwrap().is_completed());
        assert_eq!(events(&bench, &outer).await, before, "{archived}");
        serving.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_an_archived_run_behind_the_engine_s_back_comes_to_nothing() {
    let bench = Bench::new().with_artifacts(Arc::new(MemoryArtifacts::new()));
    let (_, inner) = with_child(&bench).await;
    bench.engine.archive(&inner).await.unwrap();
    note(&bench, &inner, "workflow.roll_back_requested.v1", ROLL_BACK).await;
    let serving = bench.serve("main");
    bench.clock.sleep(Duration::from_secs(300)).await;
    assert_eq!(bench.outside.log(), ["run-1/sub/charge"]);
    assert!(bench.engine.view(&inner).await.unwrap().outcome().unwrap().is_completed());
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_erased_that_an_archive_cannot_hold() {
    let bench = Bench::new().with_artifacts(Arc::new(MemoryArtifacts::new()));
    bench.run(&flow(), json!("no")).await;
    let run = "run-1".parse().unwrap();
    note(&bench, &run, "note.v1", &b"not\xffjson"[..]).await;
    let before = events(&bench, &run).await;
    let archived = bench.engine.archive(&run).await;
    let Err(WorkflowError::NotArchivable { version, .. }) = archived else { panic!("{archived:?}") };
    assert_eq!(version, before.last().unwrap().version);
    assert_eq!(events(&bench, &run).await, before);
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_to_the_stream_is_archived_with_it() {
    let bench = Bench::new().with_artifacts(Arc::new(MemoryArtifacts::new()));
    bench.run(&flow(), json!("no")).await;
    let run = "run-1".parse().unwrap();
    note(&bench, &run, "note.v1", r#"{ "a": 1 }"#).await;
    let history = bench.engine.history(&run).await.unwrap();
    bench.engine.archive(&run).await.unwrap();
    assert_eq!(bench.engine.history(&run).await.unwrap()[..history.len()], history);
    bench.engine.view(&run).await.unwrap();
}

/// Keeps only a part of what it is given.
#[derive(Debug)]
struct Careless(MemoryArtifacts, bool);

#[async_trait]
impl Artifacts for Careless {
    async fn put(&self, bytes: Bytes) -> Result<Digest, ArtifactError> {
        if self.1 {
            return Ok(Digest::of(&bytes));
        }
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').skip(1);
        self.0.put(lines.flatten().copied().collect()).await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ArtifactError> {
        self.0.get(digest).await
    }

    async fn remove(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        self.0.remove(digest).await
    }

    async fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        self.0.list().await
    }

    async fn page(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<ArtifactInfo>, ArtifactError> {
        self.0.page(after, limit).await
    }

    async fn writer(&self) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        self.0.writer().await
    }

    async fn open(&self, digest: &Digest) -> Result<Option<Box<dyn ArtifactReader>>, ArtifactError> {
        self.0.open(digest).await
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_erased_that_the_artefact_does_not_give_back() {
    for loses_all in [false, true] {
        let bench = Bench::new().with_artifacts(Arc::new(Careless(MemoryArtifacts::new(), loses_all)));
        bench.run(&flow(), json!("no")).await;
        let run = "run-1".parse().unwrap();
        // Nor when it is tried again.
        for _ in 0..2 {
            let error = bench.engine.archive(&run).await.unwrap_err();
            match error {
                WorkflowError::Archived { .. } if loses_all => {}
                WorkflowError::ArchiveDiffers { .. } if !loses_all => {}
                error => panic!("{error:?}"),
            }
            assert!(events(&bench, &run).await.iter().all(|event| !event.is_erased()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_not_archived_where_its_parent_cannot_be_read() {
    let memory: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let bench = Bench::new();
    let (clock, outside) = (bench.clock.clone(), bench.outside.clone());
    let artifacts: Arc<dyn Artifacts> = Arc::new(MemoryArtifacts::new());
    let calm = Bench::on(CrashStore::new(memory.clone()), clock.clone(), outside.clone(), "rules 1");
    let (_, inner) = with_child(&calm).await;
    let broken = Behind::new(Unreadable("workflow/run-1"), memory);
    let bench =
        Bench::on(CrashStore::new(broken), clock, outside, "rules 1").with_artifacts(artifacts.clone());
    let archived = bench.engine.archive(&inner).await;
    assert!(matches!(archived, Err(WorkflowError::Read(_))), "{archived:?}");
    assert_eq!(artifacts.list().await.unwrap(), []);
    assert!(events(&bench, &inner).await.iter().all(|event| !event.is_erased()));
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
    assert_eq!(bench.engine.runs(&RunQuery::new()).await.unwrap().runs, []);
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
    bench.engine.roll_back(&run, alice(), "after all").await.unwrap();
    bench.clock.sleep(Duration::from_secs(3)).await;
    assert!(matches!(bench.engine.archive(&run).await, Err(WorkflowError::Open { .. })));
    serving.stop().await.unwrap();
}
