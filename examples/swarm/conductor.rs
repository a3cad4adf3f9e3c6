//! Puts the swarm together, makes the script happen, and waits for the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daa::compute::protocol::Standing;
use daa::compute::{BurnBackend, LocalWorker};
use daa::core::action::Gate;
use daa::core::agent::{CycleReport, StepResult};
use daa::core::artifact::{Artifacts, MemoryArtifacts};
use daa::core::clock::{Clock, SystemClock};
use daa::core::event::{EventStore, MemoryEventStore};
use daa::core::id::AgentId;
use daa::core::shutdown::{Shutdown, ShutdownTrigger};
use daa::economy::{AgentTreasury, Ledger};
use daa::rules::{RulesEngine, Ruleset};
use daa::store::data_dir::DataDir;
use daa::store::open::OpenError;
use daa::swarm::{
    Coordinator, CoordinatorParts, Desk, Economics, LocalTrainer, Member, RULES, Trainer, executors,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::Failure;
use crate::display::Display;
use crate::problem::Problem;
use crate::script::{DiesAt, Script, TurnsHostile, agent_id};

/// How long a stage waits for a member that does not answer.
const STAGE_TIMEOUT: Duration = Duration::from_secs(1_800);

/// Everything that the agents share.
#[derive(Clone)]
pub(crate) struct Swarm {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) artifacts: Arc<dyn Artifacts>,
    pub(crate) coordinator: Coordinator,
    clock: Arc<dyn Clock>,
    gate: Gate,
    seats: Arc<Semaphore>,
    script: Script,
    display: Arc<Mutex<Display>>,
}

/// Where everything is kept.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) artifacts: Arc<dyn Artifacts>,
}

impl Place {
    /// Opens the data directory; without one, keeps everything in memory. A process that was killed a moment ago may
    /// hold the directory a little longer, so one that is in use is asked for again for two seconds.
    pub(crate) async fn open(data_dir: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = data_dir else {
            return Ok(Self {
                store: Arc::new(MemoryEventStore::new()),
                artifacts: Arc::new(MemoryArtifacts::new()),
            });
        };
        let patience = Instant::now() + Duration::from_secs(2);
        let data = loop {
            match DataDir::open(path) {
                Err(OpenError::InUse { .. }) if Instant::now() < patience => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                opened => break opened?,
            }
        };
        Ok(Self { store: data.events().clone(), artifacts: data.artifacts().clone() })
    }
}

type Task = JoinHandle<Result<(), daa::swarm::SwarmError>>;

impl Swarm {
    pub(crate) async fn open(
        place: Place,
        problem: &Problem,
        script: &Script,
        seats: Arc<Semaphore>,
        display: Arc<Mutex<Display>>,
    ) -> Result<Self, Failure> {
        let Place { store, artifacts } = place;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let ledger = Ledger::open(store.clone(), clock.clone()).await?;
        let rules = RulesEngine::new(Ruleset::from_toml(RULES)?);
        let treasury = AgentTreasury::new(ledger.clone(), "compute".try_into()?);
        let gate = Gate::builder(store.clone(), clock.clone())
            .with_policy(Arc::new(rules))
            .with_treasury(Arc::new(treasury))
            .build();
        for shard in &problem.shards {
            artifacts.put(shard.encode()).await?;
        }
        let before_late =
            script.late.map(|(_, round)| daa::compute::commitment::Round(round.0.saturating_sub(1)));
        let parts = CoordinatorParts {
            config: problem.config,
            economics: Economics::standard(&problem.config)?,
            store: store.clone(),
            artifacts: artifacts.clone(),
            ledger: ledger.clone(),
            backend: Arc::new(BurnBackend::flex(problem.config.model)?),
            clock: clock.clone(),
            stage_timeout: STAGE_TIMEOUT,
            hold: before_late,
        };
        let coordinator = Coordinator::open(parts).await?;
        let script = script.clone();
        Ok(Self { store, artifacts, coordinator, clock, gate, seats, script, display })
    }

    /// Trains to the end.
    pub(crate) async fn train(&self, problem: &Problem) -> Result<(), Failure> {
        let (trigger, shutdown) = ShutdownTrigger::new();
        let (died, mut deaths) = mpsc::channel(4);
        let (end, mut ends) = mpsc::channel(64);
        let mut tasks: BTreeMap<AgentId, Task> = BTreeMap::new();
        for number in 1..=self.script.agents {
            if let Some((id, task)) = self.employ(number, problem, &died, &end, &shutdown).await? {
                tasks.insert(id, task);
            }
        }
        for number in 1..=self.script.agents {
            self.joined(number, &mut ends).await?;
        }
        self.coordinator.start().await?;
        let mut view = self.coordinator.watch();
        let ended = self.coordinator.clone();
        let mut ended = std::pin::pin!(async move { ended.finished().await });
        let mut awaited = self.script.late;
        loop {
            if let Some((late, from)) = awaited
                && self.coordinator.view().closed + 1 >= from.0
            {
                awaited = None;
                if let Some((id, task)) = self.employ(late, problem, &died, &end, &shutdown).await? {
                    self.show(|display| display.say(&format!("{id} joins and catches up")));
                    tasks.insert(id, task);
                }
                self.joined(late, &mut ends).await?;
                self.coordinator.release();
            }
            if tasks.is_empty() && !self.coordinator.view().finished {
                return Err("nobody is left to train".into());
            }
            tokio::select! {
                done = &mut ended => {
                    done.map_err(|error| Failure::from(format!("the run cannot go on: {}", crate::in_full(&*error))))?;
                    break;
                }
                Some(id) = deaths.recv() => {
                    if let Some(task) = tasks.remove(&id) {
                        task.abort();
                        // An error is all that an aborted task can end with; it is over then.
                        drop(task.await);
                    }
                    self.show(|display| display.end(id.as_str(), "killed in the middle of a round"));
                    self.bury(&id, problem).await?;
                }
                Some(()) = ends.recv() => {}
                changed = view.changed() => changed?,
            }
            let failed: Vec<AgentId> =
                tasks.iter().filter(|(_, task)| task.is_finished()).map(|(id, _)| id.clone()).collect();
            for id in failed {
                let Some(task) = tasks.remove(&id) else { continue };
                // Who has left in good order may do so; who failed is lost to the swarm.
                if let Err(error) = task.await? {
                    self.show(|display| display.say(&format!("{id} failed: {}", crate::in_full(&error))));
                    self.bury(&id, problem).await?;
                }
            }
        }
        trigger.trigger();
        for (_, task) in tasks {
            task.await??;
        }
        // A process that was killed after the last verdict may have left somebody's last action open.
        let agents: Vec<AgentId> = self.coordinator.view().members.keys().cloned().collect();
        for id in agents {
            self.settle(&id, problem).await?;
        }
        Ok(())
    }

    /// Starts an agent, unless it is gone for good.
    async fn employ(
        &self,
        number: u32,
        problem: &Problem,
        died: &mpsc::Sender<AgentId>,
        end: &mpsc::Sender<()>,
        shutdown: &Shutdown,
    ) -> Result<Option<(AgentId, Task)>, Failure> {
        let id = agent_id(number)?;
        let view = self.coordinator.view();
        match view.members.get(&id).map(|member| member.standing) {
            None | Some(Standing::Live) => {}
            Some(_) => {
                self.settle(&id, problem).await?;
                return Ok(None);
            }
        }
        let desk = self.desk(number, problem, died)?;
        let mut member = Member::build(desk, self.store.clone(), self.clock.clone()).await?;
        let (display, shutdown, name) = (self.display.clone(), shutdown.clone(), id.clone());
        let end = AtTheEnd(end.clone());
        let task = tokio::spawn(async move {
            let _end = end;
            let report = |cycle: &CycleReport| tell(&display, &name, cycle);
            member.work(shutdown, report).await
        });
        Ok(Some((id, task)))
    }

    fn desk(&self, number: u32, problem: &Problem, died: &mpsc::Sender<AgentId>) -> Result<Desk, Failure> {
        let id = agent_id(number)?;
        let config = problem.config;
        let shard = problem.shards.get(number as usize - 1).ok_or("there is no shard for this agent")?;
        let backend = BurnBackend::flex(config.model)?;
        let shard = backend.load_shard_blocking(shard)?;
        let worker = LocalWorker::new(Arc::new(backend), config, id.clone(), shard);
        let honest = LocalTrainer::new(worker, self.seats.clone());
        let mut trainer: Arc<dyn Trainer> = if self.script.hostile.contains(&number) {
            Arc::new(TurnsHostile { honest, codec: config.codec, from: self.script.attack })
        } else {
            Arc::new(honest)
        };
        if let Some((_, round)) = self.script.dies.filter(|(dies, _)| *dies == number) {
            trainer = Arc::new(DiesAt { inner: trainer, round, died: died.clone(), agent: id.clone() });
        }
        let auditor = Arc::new(BurnBackend::flex(config.model)?);
        let (coordinator, gate) = (self.coordinator.clone(), self.gate.clone());
        Ok(Desk::new(id, shard, coordinator, gate, trainer, auditor, self.seats.clone()))
    }

    /// Tells the swarm that an agent is gone, and clears up after it.
    async fn bury(&self, id: &AgentId, problem: &Problem) -> Result<(), Failure> {
        self.coordinator.lost(id.clone()).await?;
        self.settle(id, problem).await
    }

    /// Brings what an absent agent left open to an end: what was reserved for it is given back.
    async fn settle(&self, id: &AgentId, problem: &Problem) -> Result<(), Failure> {
        let (died, _) = mpsc::channel(1);
        let number = id.as_str().trim_start_matches("agent-").parse()?;
        let executors = executors(&Arc::new(self.desk(number, problem, &died)?))?;
        for open in self.gate.open_actions().await? {
            if open.action.actor() == id {
                self.gate.reconcile(open.action.id(), &executors).await?;
            }
        }
        Ok(())
    }

    /// Waits until an agent is a member. An agent whose task ends before that will never be.
    async fn joined(&self, number: u32, ends: &mut mpsc::Receiver<()>) -> Result<(), Failure> {
        let id = agent_id(number)?;
        let mut view = self.coordinator.watch();
        loop {
            let now = view.borrow_and_update().clone();
            if now.members.contains_key(&id) || now.finished {
                return Ok(());
            }
            tokio::select! {
                changed = view.changed() => changed?,
                Some(()) = ends.recv() => return Err(format!("{id} cannot join").into()),
            }
        }
    }

    fn show(&self, what: impl FnOnce(&mut Display)) {
        what(&mut self.display.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Says so when a task ends, however it ends.
struct AtTheEnd(mpsc::Sender<()>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        // A full channel wakes the conductor as well.
        let _ = self.0.try_send(());
    }
}

/// Shows what an agent did in a cycle.
fn tell(display: &Mutex<Display>, id: &AgentId, cycle: &CycleReport) {
    let mut display = display.lock().unwrap_or_else(PoisonError::into_inner);
    for step in &cycle.steps {
        let StepResult::Succeeded { outcome, .. } = &step.result else { continue };
        let number = |pointer: &str| outcome.output.pointer(pointer).and_then(serde_json::Value::as_f64);
        match step.kind.as_str() {
            daa::swarm::TRAIN => {
                let round = number("/commitment/round").unwrap_or_default() as u64 + 1;
                let (loss, bytes) =
                    (number("/loss").unwrap_or(f64::NAN), number("/bytes").unwrap_or_default());
                display.agent(id.as_str(), round, &format!("loss {loss:.4}  {:.1} kB", bytes / 1e3));
            }
            daa::swarm::AUDIT => {
                let accused = outcome.output["agent"].as_str().unwrap_or("?");
                let round = number("/round").unwrap_or_default() as u64 + 1;
                if outcome.output["verdict"] == "forged" {
                    display
                        .say(&format!("{id} finds the update of {accused} in round {round} forged: slashed"));
                    display.end(accused, "slashed: its update was forged");
                }
            }
            _ => {}
        }
    }
}
