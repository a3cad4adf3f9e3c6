//! Machines that perform runs, and what happens to them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{Executors, Gate};
use daa_core::clock::Clock;
use daa_core::event::EventStore;
use daa_core::seed::{Rng, Seed};
use daa_core::shutdown::ShutdownTrigger;
use daa_core::workflow::testing::{CrashPoint, CrashStore};
use daa_core::workflow::{WorkerOptions, WorkflowEngine, WorkflowError};
use rand::RngExt as _;
use std::sync::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::stores::{Behind, Ice, Weather};
use super::super::world::ByKind;
use super::outside::{Outside, Way};

/// A store that takes its time, so that everybody gets in between.
#[derive(Debug)]
pub(crate) struct Slowness {
    clock: Arc<dyn Clock>,
    rng: Mutex<Rng>,
}

impl Slowness {
    pub(crate) fn new(clock: Arc<dyn Clock>, seed: Seed) -> Self {
        Self { clock, rng: Mutex::new(seed.rng()) }
    }

    async fn pass(&self) -> bool {
        let wait = self.rng.lock().unwrap().random_range(0..24_u64);
        match wait {
            0..12 => {}
            12..20 => {
                for _ in 12..wait {
                    tokio::task::yield_now().await;
                }
            }
            _ => self.clock.sleep(Duration::from_millis((wait - 19) * 4)).await,
        }
        true
    }
}

#[async_trait]
impl Weather for Slowness {
    async fn request(&self) -> bool {
        self.pass().await
    }

    async fn answer(&self) -> bool {
        self.pass().await
    }
}

/// A process that performs runs; dropped, it dies.
pub(crate) struct Machine {
    store: Arc<CrashStore>,
    serving: JoinHandle<Result<(), WorkflowError>>,
    ice: watch::Sender<bool>,
    _trigger: ShutdownTrigger,
}

pub(crate) fn engine(store: Arc<dyn EventStore>, clock: &Arc<dyn Clock>, way: &Way) -> WorkflowEngine {
    let kinds = ["a", "b", "c", "d", "refund", "recall", "escalate.it"];
    let executors =
        kinds.iter().fold(Executors::new(), |all, kind| all.with(kind.parse().unwrap(), way.clone()));
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(ByKind("rules 1"))).build();
    WorkflowEngine::builder(store, clock.clone(), gate)
        .with_executors(executors)
        .with_artifacts(way.outside.artifacts.clone())
        .build()
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Machine {
    pub(crate) fn start(
        store: Arc<dyn EventStore>,
        clock: &Arc<dyn Clock>,
        outside: &Outside,
        name: &str,
        options: WorkerOptions,
    ) -> Self {
        let (ice, icy) = watch::channel(false);
        let store = CrashStore::new(store);
        let way = Way { outside: outside.clone(), ice: icy.clone() };
        let engine = engine(Behind::new(Ice(icy), store.clone()), clock, &way);
        let (trigger, shutdown) = ShutdownTrigger::new();
        let name = name.parse().unwrap();
        let serving = tokio::spawn(async move { engine.serve(name, options, shutdown).await });
        Self { store, serving, ice, _trigger: trigger }
    }

    async fn kill(mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        // Those who performed runs for it go with it.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
}

/// What happens to a machine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Incident {
    /// It dies at an append, counted from its start.
    Crash { at: u64, point: CrashPoint },
    /// It dies after this time.
    Kill { after: Duration },
    /// It stands still after this time, for so long.
    Freeze { after: Duration, span: Duration },
}

/// The lives of one worker: what happens in each, how long it is gone then, and what it is called.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    pub(crate) lives: Vec<(String, Incident, Duration)>,
    /// What it is called in the end, when nothing happens any more; `None`: it does not come back.
    pub(crate) last: Option<String>,
    pub(crate) options: WorkerOptions,
}

impl Fate {
    /// Lives through all of it, and then on; returns only when the worker stopped that should not have.
    pub(crate) async fn live(
        self,
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
        outside: Outside,
    ) -> String {
        let start = |name: &str| Machine::start(store.clone(), &clock, &outside, name, self.options);
        for (name, incident, gone) in &self.lives {
            let mut machine = start(name);
            match *incident {
                Incident::Crash { at, point } => {
                    machine.store.crash_at(at, point);
                    machine.store.died().await;
                }
                Incident::Kill { after } => {
                    tokio::select! {
                        biased;
                        ended = &mut machine.serving => return format!("{name} stopped: {ended:?}"),
                        () = clock.sleep(after) => {}
                    }
                }
                Incident::Freeze { after, span } => {
                    tokio::select! {
                        biased;
                        ended = &mut machine.serving => return format!("{name} stopped: {ended:?}"),
                        () = clock.sleep(after) => {}
                    }
                    machine.ice.send_replace(true);
                    clock.sleep(span).await;
                    machine.ice.send_replace(false);
                    tokio::select! {
                        biased;
                        ended = &mut machine.serving => return format!("{name} stopped: {ended:?}"),
                        () = clock.sleep(Duration::from_secs(30)) => {}
                    }
                }
            }
            machine.kill().await;
            clock.sleep(*gone).await;
        }
        let Some(last) = &self.last else { return std::future::pending().await };
        let mut machine = start(last);
        let ended = (&mut machine.serving).await;
        format!("{last} stopped: {ended:?}")
    }
}

pub(crate) fn fates(rng: &mut Rng) -> Vec<Fate> {
    let pair = rng.random_range(0..100) < 40;
    let lease = Duration::from_millis(if pair { rng.random_range(600..4_000) } else { 15_000 });
    let skew = Duration::from_millis(rng.random_range(0..500));
    let options = WorkerOptions::default().with_lease(lease).with_clock_skew(skew);
    let options = options.with_runs_at_once(if rng.random_range(0..4) == 0 { 1 } else { 8 });
    let retention = (rng.random_range(0..3) == 0).then(|| Duration::from_millis(rng.random_range(0..60_000)));
    let options = retention.map_or(options, |retention| options.with_retention(retention));
    let fate = |rng: &mut Rng, worker: &str, incidents: usize| {
        let mut life = 0;
        let mut name = |rng: &mut Rng| {
            life += rng.random_range(0..2);
            format!("{worker}-{life}")
        };
        let lives = (0..incidents).map(|_| {
            let millis = |rng: &mut Rng, most: u64| {
                let most = rng.random_range(1..=most);
                Duration::from_millis(rng.random_range(0..most))
            };
            let incident = match rng.random_range(0..10) {
                0..6 => Incident::Crash {
                    at: rng.random_range(1..20),
                    point: if rng.random_range(0..2) == 0 { CrashPoint::Before } else { CrashPoint::After },
                },
                6 | 7 => Incident::Kill { after: millis(rng, 20_000) },
                _ => Incident::Freeze { after: millis(rng, 10_000), span: millis(rng, 12_000) },
            };
            (name(rng), incident, millis(rng, 6_000))
        });
        lives.collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    let workers: &[&str] = if pair { &["east", "west"] } else { &["main"] };
    for worker in workers {
        let incidents = rng.random_range(0..4);
        let lives = fate(rng, worker, incidents);
        // One of them always goes on; of a pair the other one may be gone for good.
        let back = *worker != "west" || rng.random_range(0..2) == 0;
        all.push(Fate { lives, last: back.then(|| format!("{worker}-last")), options });
    }
    all
}
