//! The engine against a model: random workflows in a random world on machines that die, by seed.
//!
//! `DAA_MODEL_SEED=n` plays one seed and says what happens; `DAA_MODEL_SEEDS=n` plays that many.

mod check;
mod machine;
mod outside;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daa_core::action::JournalAudit;
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::event::{EventStore, MemoryEventStore, Position, RecordedEvent, Version};
use daa_core::id::RunId;
use daa_core::seed::{Rng, Seed};
use daa_core::workflow::{
    Answer, HistoryEntry, Refused, RegisterError, RunEvent, Start, Wait, Workflow, WorkflowEngine,
    WorkflowError,
};
use futures_util::FutureExt as _;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::stores::Behind;
use super::world::alice;
use check::Records;
use machine::{Fate, Slowness, engine, fates};
use outside::{Outside, Way};
use plan::{Doing, Plan, VALUES, name, plan};

/// How many seeds are played by default.
const SEEDS: u64 = 1_000;
/// A run that has not ended by then never will.
const LONG: Duration = Duration::from_secs(10 * 24 * 3600);

#[test]
fn every_run_ends_as_the_model_says_whatever_happens_to_the_machines() {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("DAA_MODEL_SEED") {
        println!("{}", Game::new(seed).describe());
        play(seed).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        return;
    }
    let seeds = number("DAA_MODEL_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(8));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    if let Err(failure) = play(seed) {
                        next.store(seeds, Ordering::Relaxed);
                        panic!("DAA_MODEL_SEED={seed}\n{}\n{failure}", Game::new(seed).describe());
                    }
                }
            });
        }
    });
}

/// What is asked of a run, and when.
#[derive(Clone, Debug)]
enum Ask {
    Signal(usize, u64),
    Update(u64, u64),
    /// To the newer version.
    Migrate(u64),
    Pause(u64),
    Resume(u64),
    Cancel(u64),
    Archive(u64),
    /// So long after it has completed.
    RollBack(u64),
}

/// Everything that a seed decides in advance.
#[derive(Debug)]
struct Game {
    seed: Seed,
    plans: Vec<Plan>,
    /// The newer version of the first plan.
    newer: Plan,
    input: Value,
    runs: Vec<(String, u64, Vec<Ask>)>,
    fates: Vec<Fate>,
    trouble: u32,
}

impl Game {
    fn new(number: u64) -> Self {
        let seed = Seed::from_u64(number).child("workflow model");
        let mut rng = seed.rng();
        let count = rng.random_range(1..4);
        let plans: Vec<Plan> = (0..count).map(|number| plan(&mut rng, number, count)).collect();
        let newer = plans[0].newer(&mut rng, count);
        // Now and then so much happens to a run that its state is written down.
        let most = if rng.random_range(0..25) == 0 { 30..80 } else { 0..5 };
        let items: Vec<u64> = (0..rng.random_range(most)).collect();
        let input = json!({ "x": rng.random_range(0..10), "items": items });
        let runs = (0..rng.random_range(1..4)).map(|run| {
            let start = if run == 0 { 0 } else { rng.random_range(0..3_000) };
            (format!("r{run}"), start, asks(&mut rng, &plans[0]))
        });
        let runs = runs.collect();
        let trouble = [0, 10, 30, 60][rng.random_range(0..4)];
        let fates = fates(&mut rng);
        Self { seed, plans, newer, input, runs, fates, trouble }
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for plan in &self.plans {
            let _ = writeln!(text, "{}", serde_json::to_string(&plan.workflow()).unwrap());
        }
        let _ = writeln!(text, "newer {}", serde_json::to_string(&self.newer.workflow()).unwrap());
        let _ = writeln!(text, "input {}\nruns {:?}", self.input, self.runs);
        for fate in &self.fates {
            let _ = writeln!(text, "{fate:?}");
        }
        text
    }
}

fn asks(rng: &mut Rng, plan: &Plan) -> Vec<Ask> {
    let mut asks = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        if step.doing == Doing::Signal && rng.random_range(0..2) == 0 {
            let when = rng.random_range(0..10_000);
            asks.push(Ask::Signal(at, when));
            asks.push(Ask::Signal(at, when + rng.random_range(0..2_000)));
        }
    }
    let mut some = |rng: &mut Rng, percent: u32, most: u32, ask: &dyn Fn(&mut Rng) -> Vec<Ask>| {
        for _ in 0..most {
            if rng.random_range(0..100) < percent {
                asks.extend(ask(rng));
            }
        }
    };
    let soon = |rng: &mut Rng| rng.random_range(0..8_000);
    some(rng, 30, 3, &|rng| vec![Ask::Update(rng.random_range(0..VALUES), soon(rng))]);
    some(rng, 15, 2, &|rng| {
        let when = soon(rng);
        vec![Ask::Pause(when), Ask::Resume(when + rng.random_range(1..20_000))]
    });
    some(rng, 15, 1, &|rng| vec![Ask::Cancel(soon(rng))]);
    some(rng, 20, 1, &|rng| vec![Ask::Migrate(soon(rng))]);
    some(rng, 10, 2, &|rng| vec![Ask::Archive(rng.random_range(0..60_000))]);
    some(rng, 20, 1, &|rng| vec![Ask::RollBack(rng.random_range(0..20_000))]);
    asks
}

fn play(number: u64) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(Game::new(number).play())
}

/// What people do: they send what they were told to, and answer what they are asked.
#[derive(Clone)]
struct People {
    engine: WorkflowEngine,
    clock: Arc<dyn Clock>,
    seed: Seed,
}

impl People {
    async fn start(self, run: RunId, input: Value, newer: Workflow, after: u64, asks: Vec<Ask>) {
        self.clock.sleep(Duration::from_millis(after)).await;
        let start = Start::new(run.clone(), "w0".parse().unwrap(), alice(), input);
        self.engine.start(start.clone()).await.unwrap();
        self.engine.start(start).await.unwrap();
        let asked = asks.into_iter().map(|ask| {
            let (people, run, newer) = (self.clone(), run.clone(), newer.clone());
            async move {
                let at = |millis| people.clock.sleep(Duration::from_millis(millis));
                let result = match ask {
                    Ask::Signal(step, when) => {
                        at(when).await;
                        let payload = json!({ "n": when % 6, "sent": when });
                        people
                            .engine
                            .signal(&run, name(step).parse().unwrap(), payload, Some(format!("early {step}")))
                            .await
                    }
                    Ask::Pause(when) => {
                        at(when).await;
                        people.engine.pause(&run, "for a while").await
                    }
                    Ask::Resume(when) => {
                        at(when).await;
                        match people.engine.resume(&run).await {
                            // A cancellation has ended the pause.
                            Err(WorkflowError::Refused(Refused::NotPaused)) => Ok(()),
                            result => result,
                        }
                    }
                    Ask::Cancel(when) => {
                        at(when).await;
                        people.engine.cancel(&run, alice(), "enough").await
                    }
                    Ask::Update(value, when) => {
                        at(when).await;
                        people.engine.update(&run, "v", value).await
                    }
                    Ask::Migrate(when) => {
                        at(when).await;
                        people.engine.migrate(&run, newer).await.map_err(|error| match error {
                            RegisterError::Workflow(error) => error,
                            error => panic!("{error:?}"),
                        })
                    }
                    Ask::Archive(when) => {
                        at(when).await;
                        match people.engine.archive(&run).await {
                            Ok(_) | Err(WorkflowError::Open { .. }) => Ok(()),
                            Err(error) => Err(error),
                        }
                    }
                    // Once it has completed.
                    Ask::RollBack(_) => Ok(()),
                };
                match result {
                    Ok(()) | Err(WorkflowError::Refused(Refused::Ended | Refused::Archived { .. })) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        futures_util::future::join_all(asked).await;
    }

    /// Answers and sends whatever a run waits for, sooner or later.
    async fn answer(self, store: Arc<dyn EventStore>) {
        let mut log = store.subscribe(Position::START).await.unwrap();
        let mut answering = JoinSet::new();
        while let Ok(Some(event)) = log.next().await {
            let Some(run) = event.stream.as_str().strip_prefix("workflow/") else { continue };
            let Ok(Some(RunEvent::Waiting { task, on, .. })) = RunEvent::read(&event) else { continue };
            let (people, run): (_, RunId) = (self.clone(), run.parse().unwrap());
            let mut rng = self.seed.child("answer").child(run.as_str()).child(task.step.as_str()).rng();
            answering.spawn(async move {
                people.clock.sleep(Duration::from_millis(rng.random_range(0..20_000))).await;
                let result = match on {
                    Wait::Signal(name) => {
                        let payload = json!({ "n": rng.random_range(0..6) });
                        let key = format!("late {name}");
                        people.engine.signal(&run, name, payload, Some(key)).await
                    }
                    Wait::Approval(request) => {
                        let approved = rng.random_range(0..10) > 0;
                        let answer = if approved { Answer::approve } else { Answer::turn_down };
                        let answer = answer(task, request.subject, alice());
                        let first = people.engine.answer(&run, answer.clone()).await;
                        let again = people.engine.answer(&run, answer).await;
                        let refused = matches!(
                            again,
                            Err(WorkflowError::Refused(
                                Refused::Answered { .. }
                                    | Refused::Ended
                                    | Refused::Archived { .. }
                                    | Refused::NotAsked { .. }
                            ))
                        );
                        let changed = |result: &Result<(), WorkflowError>| {
                            matches!(result, Err(WorkflowError::Refused(Refused::Changed { .. })))
                        };
                        assert!(refused || changed(&first) && changed(&again), "{again:?}");
                        // It is asked again, for what it is now.
                        if changed(&first) { Ok(()) } else { first }
                    }
                    _ => return,
                };
                match result {
                    Ok(()) => {}
                    Err(WorkflowError::Refused(
                        Refused::Ended | Refused::Archived { .. } | Refused::NotAsked { .. },
                    )) => {}
                    Err(error) => panic!("{error:?}"),
                }
            });
        }
    }
}

impl Game {
    async fn play(self) -> Result<(), String> {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
        let memory: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
        let outside = Outside::new(self.seed.child("outside"), clock.clone(), self.trouble);
        let (_ice, icy) = watch::channel(false);
        let way = Way { outside: outside.clone(), ice: icy };
        let office = engine(memory.clone(), &clock, &way);
        for plan in &self.plans {
            office.register(plan.workflow()).await.map_err(|error| format!("{error:?}"))?;
        }
        let people = People { engine: office.clone(), clock: clock.clone(), seed: self.seed.child("people") };
        let mut tasks = JoinSet::new();
        let witness = Arc::new(Mutex::new(Vec::new()));
        let mut log = memory.subscribe(Position::START).await.unwrap();
        let seen = witness.clone();
        // What is archived, or summed up, is erased.
        let watching = tokio::spawn(async move {
            while let Ok(Some(event)) = log.next().await {
                seen.lock().unwrap().push(event);
            }
        });
        tasks.spawn(people.clone().answer(memory.clone()));
        for (run, after, asks) in self.runs.clone() {
            let (run, newer) = (run.parse().unwrap(), self.newer.workflow());
            tasks.spawn(people.clone().start(run, self.input.clone(), newer, after, asks));
        }
        let mut machines = JoinSet::new();
        for (at, fate) in (0..).zip(self.fates.clone()) {
            let slow = Slowness::new(clock.clone(), self.seed.child("store").nth(at));
            let slow = Behind::new(slow, memory.clone());
            machines.spawn(fate.live(slow, clock.clone(), outside.clone()));
        }
        let ids: Vec<String> = self.runs.iter().map(|(run, ..)| run.clone()).collect();
        let ended = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            let ends = self.runs.iter().map(|(run, _, asks)| ends(&office, &clock, run, asks));
            futures_util::future::try_join_all(ends).await.map(drop)
        };
        let stopped = async {
            match machines.join_next().await {
                Some(Ok(said)) => said,
                Some(Err(error)) => format!("{error:?}"),
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            biased;
            ended = tokio::time::timeout(LONG, ended) => {
                ended.unwrap_or_else(|_| Err("a run never ends".to_owned()))
            }
            said = stopped => Err(said),
        };
        drop(machines);
        while let Some(done) = tasks.join_next().now_or_never().flatten() {
            done.map_err(|error| format!("people: {error:?}"))?;
        }
        drop(tasks);
        let head = memory.head().await.unwrap();
        let events = loop {
            let seen = witness.lock().unwrap().clone();
            if seen.last().map_or(Position::START, |event| event.position) == head {
                break seen;
            }
            tokio::task::yield_now().await;
        };
        watching.abort();
        let histories = histories(&office, &events).await;
        let result = match result {
            Ok(()) => self.check(&office, &memory, &clock, &way, &histories, &ids, &events).await,
            failed => failed,
        };
        result.map_err(|failure| format!("{failure}\n{}", tell(&events, &histories, &outside)))
    }

    #[expect(clippy::too_many_arguments, reason = "everything that is known in the end")]
    async fn check(
        &self,
        office: &WorkflowEngine,
        memory: &Arc<dyn EventStore>,
        clock: &Arc<dyn Clock>,
        way: &Way,
        histories: &BTreeMap<String, Vec<HistoryEntry>>,
        ids: &[String],
        events: &[RecordedEvent],
    ) -> Result<(), String> {
        let stops = |ask: &Ask| matches!(ask, Ask::Cancel(_) | Ask::RollBack(_));
        let cancelled = self.runs.iter().filter(|(.., asks)| asks.iter().any(stops));
        let cancelled: BTreeSet<String> = cancelled.map(|(run, ..)| run.clone()).collect();
        {
            let state = way.outside.state();
            let effects = state.effects.iter().enumerate();
            let effects = effects.map(|(place, effect)| (effect.id.as_str(), (place, effect))).collect();
            let records = Records {
                plans: &self.plans,
                newer: (self.newer.workflow().digest(), &self.newer),
                outside: &state,
                histories,
                cancelled: &cancelled,
                input: &self.input,
                effects,
            };
            records.check(ids)?;
        }
        at_once(events, self.plans[0].at_once)?;
        let mut audit = JournalAudit::new();
        audit.catch_up(&**memory).await.map_err(|error| error.to_string())?;
        let summary = audit.summary();
        if summary.violations > 0 || summary.open > 0 {
            return Err(format!("the journal: {summary:?}"));
        }
        for (run, history) in histories {
            let run: RunId = run.parse().unwrap();
            let view = office.view(&run).await.unwrap();
            let fresh = engine(memory.clone(), clock, way).view(&run).await.unwrap();
            if view != fresh || view.outcome().is_none() {
                return Err(format!("{run} is read in two ways: {view:?} {fresh:?}"));
            }
            let is = |kind: fn(&RunEvent) -> bool| history.iter().rev().find(|entry| kind(&entry.event));
            let archived = is(|event| matches!(event, RunEvent::Archived { .. })).is_some();
            if let Some(snapshot) = is(|event| matches!(event, RunEvent::Snapshot(_))).filter(|_| !archived) {
                let before = Version::new(snapshot.version.get() - 1);
                memory.erase(&format!("workflow/{run}").parse().unwrap(), before).await.unwrap();
                let rest = engine(memory.clone(), clock, way).view(&run).await.unwrap();
                if rest != view {
                    return Err(format!("{run} from its snapshot: {rest:?}, not {view:?}"));
                }
                continue;
            }
            office.archive(&run).await.map_err(|error| format!("{run} is not archived: {error:?}"))?;
            let told = engine(memory.clone(), clock, way).view(&run).await.unwrap();
            if told != view {
                return Err(format!("{run} from its archive: {told:?}, not {view:?}"));
            }
        }
        Ok(())
    }
}

/// No more runs of a workflow at once than its limit allows.
fn at_once(events: &[RecordedEvent], limit: Option<u32>) -> Result<(), String> {
    let mut running = BTreeSet::new();
    for event in events {
        match event.kind.as_str() {
            "workflow.admitted.v1" => drop(running.insert(&event.stream)),
            "workflow.ended.v1" => drop(running.remove(&event.stream)),
            _ => {}
        }
        if limit.is_some_and(|limit| running.len() > limit as usize) {
            return Err(format!("{running:?} at once"));
        }
    }
    Ok(())
}

/// Waits until a run has ended; where it is to be rolled back after all, until that is over too.
async fn ends(
    office: &WorkflowEngine,
    clock: &Arc<dyn Clock>,
    run: &str,
    asks: &[Ask],
) -> Result<(), String> {
    let failed = |error: WorkflowError| format!("{run}: {error:?}");
    let id: RunId = run.parse().unwrap();
    let completed = office.outcome(&id).await.map_err(failed)?.is_completed();
    let after = asks.iter().find_map(|ask| match ask {
        Ask::RollBack(after) if completed => Some(*after),
        _ => None,
    });
    let Some(after) = after else { return Ok(()) };
    clock.sleep(Duration::from_millis(after)).await;
    match office.roll_back(&id, alice(), "after all").await {
        Err(WorkflowError::Refused(Refused::Archived { .. })) => return Ok(()),
        asked => asked.map_err(failed)?,
    }
    match office.outcome(&id).await.map_err(failed)?.is_completed() {
        true => Err(format!("{run} has completed, though it was rolled back")),
        false => Ok(()),
    }
}

async fn histories(office: &WorkflowEngine, events: &[RecordedEvent]) -> BTreeMap<String, Vec<HistoryEntry>> {
    let mut histories = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind.as_str() == "workflow.started.v1") {
        let run = event.stream.as_str().strip_prefix("workflow/").unwrap();
        histories.insert(run.to_owned(), office.history(&run.parse().unwrap()).await.unwrap());
    }
    histories
}

fn tell(
    events: &[RecordedEvent],
    histories: &BTreeMap<String, Vec<HistoryEntry>>,
    outside: &Outside,
) -> String {
    let mut text = String::new();
    let others = |event: &&RecordedEvent| event.stream.as_str().starts_with("workflow-limit/");
    let others: Vec<_> = events.iter().filter(others).collect();
    for event in others.iter().rev().take(40).rev() {
        let payload = String::from_utf8_lossy(&event.payload);
        let _ = writeln!(text, "{} {} {} {payload}", event.position, event.stream, event.at.as_millis());
    }
    for (run, history) in histories {
        for entry in history {
            let event = serde_json::to_string(&entry.event).unwrap();
            let _ = writeln!(text, "{run:8} {:3} {:9} {event}", entry.version.get(), entry.at.as_millis());
        }
    }
    let state = outside.state();
    for effect in &state.effects {
        let _ = writeln!(text, "effect {} {} -> {}", effect.id, effect.params, effect.output);
    }
    let _ = writeln!(text, "calls {:?}\nfailures {:?}\nlate {}", state.calls, state.failures, state.late);
    text
}
