//! A process that performs workflows, and the test that watches it.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daa_core::action::{Decision, Executors, Gate, JournalAudit, Policy, Request, Verdict};
use daa_core::clock::SystemClock;
use daa_core::digest::Digest;
use daa_core::id::RunId;
use daa_core::shutdown::ShutdownTrigger;
use daa_core::workflow::{
    Retry, RunOutcome, RunView, Start, Step, WorkerOptions, Workflow, WorkflowEngine, WorkflowError,
};
use daa_store::data_dir::DataDir;
use daa_store::sqlite::{Sharing, SqliteOptions};
use serde_json::json;

use super::effects::{Appends, Fenced, everything};

const DIR: &str = "DAA_STORE_WORKFLOW_DIR";
const NAME: &str = "DAA_STORE_WORKFLOW_NAME";
const SHARED: &str = "DAA_STORE_WORKFLOW_SHARED";
const UNTIL: &str = "DAA_STORE_WORKFLOW_UNTIL";
/// How many runs there are at a time, and how many steps each has.
pub(crate) const RUNS: usize = 100;
pub(crate) const STEPS: usize = 10;

#[derive(Debug)]
struct Permit;

impl Policy for Permit {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        Verdict::new(Decision::Permit, Digest::of(b"everything"), Vec::new())
    }
}

fn engine(dir: &Path, shared: bool) -> (DataDir, WorkflowEngine) {
    let sharing = if shared { Sharing::Processes } else { Sharing::Exclusive };
    let data = DataDir::open_with(dir.join("data"), SqliteOptions::default().with_sharing(sharing)).unwrap();
    let (store, clock) = (data.events().clone(), Arc::new(SystemClock::new()));
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(Permit)).build();
    let kind = "note".parse().unwrap();
    let executors = if shared {
        Executors::new().with(kind, Fenced(dir.to_owned()))
    } else {
        Executors::new().with(kind, Appends(dir.to_owned()))
    };
    let engine = WorkflowEngine::builder(store, clock, gate).with_executors(executors).build();
    (data, engine)
}

fn workflow() -> Workflow {
    let step = |at: usize| {
        let retry = Retry::forever().with_waits(Duration::from_millis(20), Duration::from_millis(200));
        let name = format!("s{at}").parse().unwrap();
        let step = Step::action(name, "note".parse().unwrap(), json!({})).with_retry(retry);
        if at == 0 { step } else { step.with_after(format!("s{}", at - 1).parse().unwrap()) }
    };
    (0..STEPS).map(step).fold(Workflow::new("chain".parse().unwrap()), Workflow::with_step)
}

/// The run that takes a place after so many others.
fn run(place: usize, after: usize) -> RunId {
    format!("run-{place}-{after}").parse().unwrap()
}

/// Begins it, unless it has begun.
async fn start(engine: &WorkflowEngine, run: RunId) {
    let start = Start::new(run, "chain".parse().unwrap(), "alice".parse().unwrap(), json!(null));
    engine.start(start).await.unwrap();
}

/// How the run ended or stands; `None` when it has never begun.
async fn view(engine: &WorkflowEngine, run: &RunId) -> Option<RunView> {
    match engine.view(run).await {
        Ok(view) => Some(view),
        Err(WorkflowError::UnknownRun { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Keeps a run at its place, one after the other, until the time is over and the last one has completed.
async fn occupy(engine: WorkflowEngine, place: usize, until: SystemTime) {
    for after in 0.. {
        let run = run(place, after);
        if after > 0 {
            if SystemTime::now() >= until && view(&engine, &run).await.is_none() {
                return;
            }
            start(&engine, run.clone()).await;
        }
        let outcome = engine.outcome(&run).await.unwrap();
        assert!(matches!(outcome, RunOutcome::Completed { .. }), "{outcome:?}");
    }
}

/// Not a test by itself: the process that is killed or stopped. It returns at once where nobody asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn performs_workflows_when_asked_to() {
    let Ok(dir) = env::var(DIR) else { return };
    let shared = env::var(SHARED).is_ok();
    let (data, engine) = engine(Path::new(&dir), shared);
    engine.register(workflow()).await.unwrap();
    for place in 0..RUNS {
        start(&engine, run(place, 0)).await;
    }
    let (trigger, shutdown) = ShutdownTrigger::new();
    let options = WorkerOptions::default().with_lease(Duration::from_secs(1));
    let options = options.with_clock_skew(Duration::from_millis(100));
    let (serve, name) = (engine.clone(), env::var(NAME).unwrap().parse().unwrap());
    let serving = tokio::spawn(async move { serve.serve(name, options, shutdown).await });
    say("ready");
    let until = UNIX_EPOCH + Duration::from_millis(env::var(UNTIL).unwrap().parse().unwrap());
    let places: Vec<_> = (0..RUNS).map(|place| tokio::spawn(occupy(engine.clone(), place, until))).collect();
    for place in places {
        place.await.unwrap();
    }
    trigger.trigger();
    serving.await.unwrap().unwrap();
    say(&format!("fenced {}", engine.metrics().fenced));
    say(&format!("taken over {}", engine.metrics().runs_taken_over));
    say("done");
    data.close().await;
}

/// Past the capture of the test harness, which would keep it back.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    out.write_all(format!("said {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// A process as the test sees it; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL on Unix; it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn spawn(dir: &Path, name: &str, shared: bool, until: SystemTime) -> Self {
        let until = until.duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "workflows::process::performs_workflows_when_asked_to"])
            .args(["--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .env(NAME, name)
            .env(UNTIL, until)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if shared {
            command.env(SHARED, "yes");
        }
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(at) = line.find("said ") {
                    let _ = sender.send(line[at + "said ".len()..].to_owned());
                }
            }
        });
        Self { child, lines }
    }

    /// What it says next, or `None` when it says nothing for so long.
    pub(crate) fn says(&mut self, within: Duration) -> Option<String> {
        match self.lines.recv_timeout(within) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                let mut said = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("the process stopped: {said}")
            }
        }
    }

    /// Waits until it says that it is done; everything it says before.
    pub(crate) fn done(&mut self, within: Duration) -> Vec<String> {
        let (deadline, mut said) = (Instant::now() + within, Vec::new());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.says(left) {
                Some(line) if line == "done" => return said,
                Some(line) => said.push(line),
                None => panic!("not done after {within:?}, and said {said:?}"),
            }
        }
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id();
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status().unwrap();
        assert!(sent.success());
    }
}

/// How long the test goes on: fifteen seconds, or as many as `DAA_STORE_WORKFLOW_SECONDS` says.
pub(crate) fn budget() -> Duration {
    let asked = env::var("DAA_STORE_WORKFLOW_SECONDS").ok().map(|text| text.parse().unwrap());
    Duration::from_secs(asked.unwrap_or(15))
}

/// Every run has completed, every effect took place once, and the journal is as the gate writes it.
pub(crate) async fn check(dir: PathBuf, shared: bool) {
    let mut effects: BTreeMap<String, u32> = BTreeMap::new();
    for line in everything(&dir).into_iter().filter(|line| line.what == "effect") {
        *effects.entry(line.key).or_default() += 1;
    }
    let twice: Vec<_> = effects.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let (data, engine) = engine(&dir, shared);
    let mut expected = Vec::new();
    for place in 0..RUNS {
        for after in 0.. {
            let run = run(place, after);
            let Some(view) = view(&engine, &run).await else { break };
            assert!(matches!(view.outcome(), Some(RunOutcome::Completed { .. })), "{view:?}");
            expected.extend((0..STEPS).map(|step| format!("{run}/s{step}")));
        }
    }
    assert!(expected.len() >= RUNS * STEPS, "not even the first runs");
    expected.sort();
    assert_eq!(effects.into_keys().collect::<Vec<_>>(), expected);
    println!("{} runs completed", expected.len() / STEPS);
    let mut audit = JournalAudit::new();
    audit.catch_up(&**data.events()).await.unwrap();
    let summary = audit.summary();
    assert_eq!((summary.violations, summary.open), (0, 0), "{summary:?}");
    assert_eq!(summary.succeeded, expected.len() as u64);
    data.close().await;
}
