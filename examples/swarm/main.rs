//! Five agents that do not trust each other train one model: governed, paid and audited.
//!
//!     cargo run --release --example swarm
//!     cargo run --release --example swarm -- --report report
//!     cargo run --release --example swarm -- --aggregate mean
//!     cargo run --release --example swarm -- --transport process
//!
//! Agent 4 turns hostile, agent 3 is killed, a sixth one joins late. `docs/design/swarm.md` tells how it works.

mod agent;
mod args;
mod books;
mod channel;
mod chart;
mod conductor;
mod display;
mod home;
mod measures;
mod outcome;
mod problem;
mod processes;
mod reference;
mod report;
mod script;
mod staff;
mod summary;
mod table;
mod tasks;

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use daa::compute::BurnBackend;
use daa::compute::checkpoint::Checkpoint;
use daa::core::event::EventStore;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::args::{Aggregate, Args, Task, Transport};
use crate::books::Books;
use crate::channel::Said;
use crate::conductor::{Place, Swarm};
use crate::display::Display;
use crate::measures::{Measured, Measures};
use crate::problem::Problem;
use crate::processes::Processes;
use crate::script::Script;
use crate::staff::Staff;
use crate::tasks::Tasks;

/// Whatever ends a run early.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(reason) = args.check().and_then(|()| report::writable(&args)) {
        Args::command().error(ErrorKind::ValueValidation, reason).exit();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime.map_err(Failure::from).and_then(|runtime| {
        let done = match &args.job {
            None => runtime.block_on(run(&args)),
            Some(job) => runtime.block_on(agent::run(&args, job)).inspect_err(|error| {
                // To a conductor that listens; otherwise nobody is there to be told.
                drop(channel::say(&Said::Failed(in_full(&**error))));
            }),
        };
        // Local steps of an agent that was killed may still compute; nobody waits for them.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The conductor tells it.
        Err(_) if args.job.is_some() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", in_full(&*error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn in_full(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Errors that only pass another one on say the same twice.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

async fn run(args: &Args) -> Result<(), Failure> {
    let began = Instant::now();
    let display = Arc::new(Mutex::new(Display::new(args.quiet, args.rounds())));
    let say = |text: &str| display.lock().unwrap_or_else(PoisonError::into_inner).say(text);
    say(&format!(
        "DAA swarm: {} agents learn {}, {} rounds, seed {}, aggregation {}{}",
        args.agents,
        args.task,
        args.rounds(),
        args.seed,
        args.aggregate,
        if args.transport == Transport::Process { ", each agent a process" } else { "" }
    ));
    let place = Place::open(args.data_dir.as_deref()).await?;
    let store = place.store.clone();
    let problem = Arc::new(Problem::new(args)?);
    let (fresh, mut measures) = Measures::open(&*store, args, problem.config.digest()).await?;
    let script = Script::new(args);
    let seats = std::thread::available_parallelism().map_or(1, usize::from);
    let seats = Arc::new(Semaphore::new(seats));
    let own_books = args.transport == Transport::Process;
    let swarm = Swarm::open(place, &problem, &script, own_books, display.clone()).await?;
    let resumed_from_round = (!fresh).then(|| u64::from(swarm.coordinator.view().closed));
    if let Some(round) = resumed_from_round {
        say(&format!("resumed after round {round}"));
    }

    let books = match args.transport {
        Transport::Memory => {
            let mut tasks = Tasks::new(&swarm, problem.clone(), script.clone(), seats.clone()).await?;
            train(&swarm, &mut tasks, &problem, &mut measures, &display).await?;
            Books::one(store.clone())
        }
        Transport::Process => {
            let mut processes = Processes::start(&swarm, &problem, args).await?;
            train(&swarm, &mut processes, &problem, &mut measures, &display).await?;
            Books::with_agents(store.clone(), processes, args.agents + 1)?
        }
    };
    let mut display = display.lock().unwrap_or_else(PoisonError::into_inner).take();
    display.say("training is done; now the same without a swarm, and without a defence");
    // Not beside the training: however often a run is killed, its rounds must come first.
    let references = References::begin(args, &problem, &script, &measures, &seats);
    references.finish(&*store, &mut measures).await?;
    let sample = if args.task == Task::Text { Some(sample(&swarm, &problem).await?) } else { None };
    display.finish();

    let took = (began.elapsed().as_secs_f64(), resumed_from_round);
    let (outcome, evidence) =
        summary::summarise(args, &problem, &swarm, &books, &measures, took, sample).await?;
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&outcome)?;
        report::replace(path, &json).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    if let Some(dir) = &args.report {
        report::write(dir, &outcome, &evidence)
            .map_err(|error| format!("cannot write to {}: {error}", dir.display()))?;
    }
    display.say(&table::render(&outcome));
    if let Some(dir) = &args.report {
        display.say(&format!("report: {}", dir.join("index.html").display()));
    }
    books.close().await;
    Ok(())
}

/// Trains, and measures the model after each round.
async fn train(
    swarm: &Swarm,
    staff: &mut dyn Staff,
    problem: &Arc<Problem>,
    measures: &mut Measures,
    display: &Arc<Mutex<Display>>,
) -> Result<(), Failure> {
    let backend = BurnBackend::flex(problem.config.model)?;
    let held_out = backend.load_shard_blocking(&problem.held_out)?;
    let mut view = swarm.coordinator.watch();
    let mut training = std::pin::pin!(swarm.train(staff));
    let mut done = false;
    loop {
        let now = view.borrow_and_update().clone();
        let round = u64::from(now.closed);
        if round > 0
            && !measures.rounds.contains_key(&round)
            && let Some((_, checkpoint)) = now.latest
        {
            match Checkpoint::load(&*swarm.artifacts, &checkpoint, problem.config.initial()?.layout()).await {
                Ok(checkpoint) => {
                    let (backend, config) = (backend.clone(), problem.config);
                    let scored = tokio::task::spawn_blocking(move || {
                        reference::score(&config, &backend, &checkpoint.parameters, &held_out)
                    });
                    let score = scored.await??;
                    measures.record(&*swarm.store, Measured::Round { round, score }).await?;
                    let shown = if matches!(problem.held_out, daa::compute::dataset::Shard::Digits(_)) {
                        format!("accuracy {:.2} %", score * 100.0)
                    } else {
                        format!("{score:.3} bits/byte")
                    };
                    display.lock().unwrap_or_else(PoisonError::into_inner).round(round, &shown);
                }
                // The run was faster, and the model of that round is gone: the curve has one point less.
                Err(_) if now.closed < swarm.coordinator.view().closed => {}
                Err(error) => return Err(error.into()),
            }
        }
        if done {
            return Ok(());
        }
        tokio::select! {
            ended = &mut training, if !done => {
                ended?;
                done = true;
            }
            changed = view.changed() => changed?,
        }
    }
}

/// A computation that was given a seat.
type Seated<T> = JoinHandle<Result<T, daa::swarm::SwarmError>>;

/// What the swarm is compared with.
struct References {
    baseline: Option<Seated<f64>>,
    undefended: Option<Seated<Vec<(u64, f64)>>>,
}

impl References {
    fn begin(
        args: &Args,
        problem: &Arc<Problem>,
        script: &Script,
        measures: &Measures,
        seats: &Arc<Semaphore>,
    ) -> Self {
        let agents = args.agents;
        let baseline = measures.baseline.is_none().then(|| {
            let problem = problem.clone();
            seated(seats, move || {
                reference::baseline(&problem.config, agents, &problem.whole, &problem.held_out)
            })
        });
        let comparable =
            args.task == Task::Digits && args.aggregate == Aggregate::CenteredClip && args.attackers > 0;
        let undefended = (comparable && measures.undefended.is_none()).then(|| {
            let (problem, script) = (problem.clone(), script.clone());
            seated(seats, move || {
                reference::undefended(&problem.config, &script, &problem.shards, &problem.held_out)
            })
        });
        Self { baseline, undefended }
    }

    async fn finish(self, store: &dyn EventStore, measures: &mut Measures) -> Result<(), Failure> {
        if let Some(baseline) = self.baseline {
            let score = baseline.await??;
            measures.record(store, Measured::Baseline { score }).await?;
        }
        if let Some(undefended) = self.undefended {
            let scores = undefended.await??;
            measures.record(store, Measured::Undefended { scores }).await?;
        }
        Ok(())
    }
}

/// Computes on a thread, on one of the machine's seats.
fn seated<T: Send + 'static>(
    seats: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, daa::swarm::SwarmError> + Send + 'static,
) -> Seated<T> {
    let seats = seats.clone();
    tokio::spawn(async move {
        let panicked = |message: String| daa::swarm::SwarmError::Panicked { message };
        let seat = seats.acquire_owned().await.map_err(|error| panicked(error.to_string()))?;
        let done = tokio::task::spawn_blocking(work).await.map_err(|error| panicked(error.to_string()))?;
        drop(seat);
        done
    })
}

/// What the model writes when it is asked to go on.
async fn sample(swarm: &Swarm, problem: &Problem) -> Result<String, Failure> {
    const PROMPT: &str = "And God said unto ";
    let backend = BurnBackend::flex(problem.config.model)?;
    let (_, checkpoint) = swarm.coordinator.view().latest.ok_or("there is no model")?;
    let layout = problem.config.initial()?.layout().clone();
    let model = Checkpoint::load(&*swarm.artifacts, &checkpoint, &layout).await?.parameters;
    let seed = problem.config.root().child("sample");
    let text =
        tokio::task::spawn_blocking(move || backend.generate_blocking(&model, PROMPT.as_bytes(), 400, &seed));
    Ok(format!("{PROMPT}{}", String::from_utf8_lossy(&text.await??)))
}
