//! Which runs there are.

use std::sync::Arc;
use std::time::Duration;

use daa_core::artifact::MemoryArtifacts;
use daa_core::clock::Timestamp;
use daa_core::workflow::testing::Script;
use daa_core::workflow::{
    Answer, Limit, RunCursor, RunQuery, RunStatus, RunSummary, Start, Step, Task, Wait, WaitKind, Waiting,
    Workflow,
};
use serde_json::json;

use super::world::{Bench, alice};

fn workflow(name: &str) -> Workflow {
    Workflow::new(name.parse().unwrap())
}

fn action(name: &str, kind: &str) -> Step {
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({}))
}

async fn told(bench: &Bench, query: RunQuery) -> Vec<String> {
    let page = bench.engine.runs(&query).await.unwrap();
    assert_eq!(page.next, None);
    page.runs.iter().map(|run| run.run.to_string()).collect()
}

async fn summary(bench: &Bench, run: &str) -> RunSummary {
    let page = bench.engine.runs(&RunQuery::new()).await.unwrap();
    page.runs.into_iter().find(|summary| summary.run.as_str() == run).unwrap()
}

async fn status(bench: &Bench, run: &str) -> RunStatus {
    summary(bench, run).await.status
}

/// The same list, by an engine that has read nothing yet: what is followed and what is read come to the same.
async fn read_anew(bench: &Bench) {
    let (followed, read) = (&bench.engine, &bench.restart().engine);
    let all = RunQuery::new().with_page(RunQuery::MAX_PAGE);
    assert_eq!(followed.runs(&all).await.unwrap(), read.runs(&all).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_with_its_status_from_its_start_to_its_archive() {
    let bench = Bench::new().with_artifacts(Arc::new(MemoryArtifacts::new()));
    bench.outside.script("a", [Script::succeed(1).after(Duration::from_secs(10))]);
    bench.outside.script("refund", vec![Script::fail(); 3]);
    let undo = |step: Step| step.with_undo("refund".parse().unwrap(), json!({}));
    let wait =
        Step::signal("wait".parse().unwrap(), "go".parse().unwrap()).with_after("one".parse().unwrap());
    let run =
        bench.start("run-1", &workflow("w").with_step(undo(action("one", "a"))).with_step(wait), 1).await;
    let began = bench.clock.now();
    let first = summary(&bench, "run-1").await;
    assert_eq!(
        (first.status, first.workflow.as_str(), &first.actor, first.parent, first.started, first.ended),
        (RunStatus::Running, "w", &alice(), None, began, None)
    );
    let serving = bench.serve("main");
    bench.clock.sleep(Duration::from_secs(5)).await;
    assert_eq!(status(&bench, "run-1").await, RunStatus::Running, "with an executor");
    bench.clock.sleep(Duration::from_secs(6)).await;
    let waiting = summary(&bench, "run-1").await;
    assert_eq!(waiting.status, RunStatus::Waiting);
    let [Waiting { task, on, until, .. }] = waiting.waits.as_slice() else { panic!("{waiting:?}") };
    assert_eq!(*task, Some(Task::new("wait".parse().unwrap(), 0)));
    assert_eq!((on, until), (&Wait::Signal("go".parse().unwrap()), &None));
    read_anew(&bench).await;
    bench.engine.pause(&run, "a break").await.unwrap();
    assert_eq!(status(&bench, "run-1").await, RunStatus::Paused);
    bench.engine.resume(&run).await.unwrap();
    assert_eq!(status(&bench, "run-1").await, RunStatus::Waiting);
    bench.engine.signal(&run, "go".parse().unwrap(), json!(null), None).await.unwrap();
    bench.engine.outcome(&run).await.unwrap();
    let completed = summary(&bench, "run-1").await;
    assert_eq!((completed.status, completed.ended), (RunStatus::Completed, Some(bench.clock.now())));
    bench.engine.roll_back(&run, alice(), "after all").await.unwrap();
    bench.clock.sleep(Duration::from_millis(1)).await;
    let undoing = summary(&bench, "run-1").await;
    assert_eq!((undoing.status, undoing.ended), (RunStatus::RollingBack, None));
    bench.clock.sleep(Duration::from_secs(600)).await;
    assert_eq!(status(&bench, "run-1").await, RunStatus::RolledBack);
    read_anew(&bench).await;
    bench.engine.archive(&run).await.unwrap();
    assert_eq!(told(&bench, RunQuery::new()).await, [""; 0]);
    read_anew(&bench).await;
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn runs_are_found_by_what_they_wait_for() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::succeed(1).after(Duration::from_secs(3600))]);
    let serving = bench.serve("main");
    let one = |name: &str, step: Step| workflow(name).with_step(step);
    let hour = Duration::from_secs(3600);
    bench.start("timer", &one("timer", Step::sleep("s".parse().unwrap(), hour)), 1).await;
    bench.start("signal", &one("signal", Step::signal("s".parse().unwrap(), "go".parse().unwrap())), 1).await;
    let sub = Step::workflow("sub".parse().unwrap(), "signal".parse().unwrap(), json!({}));
    bench.start("parent", &one("parent", sub), 1).await;
    bench.start("approval", &one("approval", action("s", "escalate.it")), 1).await;
    let only =
        |name: &str| one(name, action("s", "a")).with_limit(Limit::at_once("one", 1.try_into().unwrap()));
    bench.start("limited-1", &only("limited"), 1).await;
    bench.clock.sleep(Duration::from_secs(1)).await;
    bench.start("limited-2", &only("limited"), 1).await;
    bench.clock.sleep(Duration::from_secs(1)).await;
    for (kind, expected) in [
        (WaitKind::Timer, vec!["timer"]),
        (WaitKind::Signal, vec!["signal", "parent/sub"]),
        (WaitKind::Approval, vec!["approval"]),
        (WaitKind::Run, vec!["parent"]),
        (WaitKind::Limit, vec!["limited-2"]),
    ] {
        let mut found = told(&bench, RunQuery::new().waiting_for(kind)).await;
        found.sort();
        let mut expected: Vec<&str> = expected;
        expected.sort();
        assert_eq!(found, expected, "{kind:?}");
    }
    assert_eq!(told(&bench, RunQuery::new().with_status([RunStatus::Running])).await, ["limited-1"]);
    assert_eq!(told(&bench, RunQuery::new().with_parent("parent".parse().unwrap())).await, ["parent/sub"]);
    let asked = summary(&bench, "approval").await;
    let [Waiting { task: Some(task), on: Wait::Approval(request), .. }] = asked.waits.as_slice() else {
        panic!("{asked:?}")
    };
    bench
        .engine
        .answer(&asked.run, Answer::approve(task.clone(), request.subject, "bob".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(told(&bench, RunQuery::new().waiting_for(WaitKind::Approval)).await, [""; 0]);
    bench.clock.sleep(hour * 2).await;
    assert_eq!(told(&bench, RunQuery::new().waiting_for(WaitKind::Limit)).await, [""; 0]);
    let mut open = told(&bench, RunQuery::open()).await;
    open.sort();
    assert_eq!(open, ["parent", "parent/sub", "signal"]);
    read_anew(&bench).await;
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn runs_are_told_by_workflow_and_actor_the_latest_first_and_page_by_page() {
    let bench = Bench::new();
    for name in ["even", "odd"] {
        bench.engine.register(workflow(name).with_step(action("one", "a"))).await.unwrap();
    }
    let start = async |number: usize| {
        let name = ["even", "odd"][number % 2].parse().unwrap();
        let actor = ["alice", "bob", "carol"][number % 3].parse().unwrap();
        let run = format!("run-{number:03}").parse().unwrap();
        bench.engine.start(Start::new(run, name, actor, json!(null))).await.unwrap();
        // Some begin at the same moment.
        if number.is_multiple_of(4) {
            bench.clock.sleep(Duration::from_millis(1)).await;
        }
    };
    for number in 0..60 {
        start(number).await;
    }
    let query = RunQuery::new().with_workflow("odd".parse().unwrap()).with_actor("bob".parse().unwrap());
    let mut expected: Vec<String> =
        (0..60).filter(|n| n % 2 == 1 && n % 3 == 1).map(|n| format!("run-{n:03}")).collect();
    expected.reverse();
    assert_eq!(told(&bench, query.clone()).await, expected);

    let mut pages = Vec::new();
    let mut next: Option<RunCursor> = None;
    loop {
        // As it stands in a link.
        let written = serde_json::to_string(&next).unwrap();
        let mut asked = query.clone().with_page(3);
        if let Some(cursor) = serde_json::from_str(&written).unwrap() {
            asked = asked.after(cursor);
        }
        let page = bench.engine.runs(&asked).await.unwrap();
        assert!(page.runs.len() <= 3);
        pages.extend(page.runs.iter().map(|run| run.run.to_string()));
        // What begins meanwhile moves nothing.
        start(61 + pages.len() * 6).await;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(pages, expected);
    assert_eq!(bench.engine.runs(&RunQuery::new().with_page(0)).await.unwrap().runs.len(), 1);
    let all = bench.engine.runs(&RunQuery::new().with_page(usize::MAX)).await.unwrap();
    assert!(all.runs.len() > 60 && all.next.is_none());
    assert!(all.runs.iter().map(|run| run.started).is_sorted_by(|a: &Timestamp, b| a >= b));
}
