//! An agent as a process of its own: its own key, its own books, its own gate; of the coordinator it knows the node and the address.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daa::core::action::Gate;
use daa::core::agent::CycleReport;
use daa::core::artifact::Artifacts;
use daa::core::clock::{Clock, SystemClock};
use daa::core::event::EventStore;
use daa::core::fault::{Reaction, Retry};
use daa::core::id::AgentId;
use daa::core::shutdown::ShutdownTrigger;
use daa::crypto::CryptoSuite;
use daa::economy::{AgentTreasury, Ledger};
use daa::net::auth::{Access, Auth};
use daa::net::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use daa::net::{NetworkName, Node, NodeOptions};
use daa::rules::{RulesEngine, Ruleset};
use daa::store::data_dir::DataDir;
use daa::swarm::{Desk, Member, RULES, RemoteCoordinator, RemoteParts, executors};
use tokio::sync::{Semaphore, mpsc};

use crate::Failure;
use crate::args::{Args, Job};
use crate::channel::{self, Said, say};
use crate::conductor::economics;
use crate::home::{identity, open_data};
use crate::problem::Problem;
use crate::script::{Script, agent_id, trainer};
use crate::staff::deeds;

/// The events, artefacts and lock of an agent, in its folder.
pub(crate) const DATA: &str = "data";
const KEY: &str = "node.key";
/// How long a directory that is in use is asked for again: the process before this one may still be ending.
const IN_USE: Duration = Duration::from_secs(30);

/// The network of a run: nobody of another one gets beyond the handshake.
pub(crate) fn network(problem: &Problem) -> Result<NetworkName, Failure> {
    let run: String = problem.config.run_id().to_string().chars().take(16).collect();
    Ok(format!("daa-swarm-{run}").parse()?)
}

/// What the process does from its start to its end.
pub(crate) async fn run(args: &Args, job: &Job) -> Result<(), Failure> {
    let may_go = channel::listen();
    std::fs::create_dir_all(&job.home)?;
    let suite = CryptoSuite::new();
    let identity = identity(&suite, &job.home.join(KEY))?;
    say(&Said::Node(identity.node().to_string()))?;
    let problem = Problem::new(args)?;
    let data = open_data(&job.home.join(DATA), IN_USE).await?;
    may_go.await?;

    // It calls one node, and lets in no other.
    let auth = Auth::new(suite, identity, network(&problem)?).with_access(Access::only([job.coordinator]));
    let transport = Libp2pTransport::start(auth.clone(), Libp2pOptions::new()).await?;
    let node = Node::start(&auth, Arc::new(transport), NodeOptions::new()).await?;
    match node.connect(job.coordinator, std::slice::from_ref(&job.at)).await {
        Err(error) if error.retry() == Retry::Never => return Err(error.into()),
        // It is asked for again as long as anything is asked of it.
        _ => {}
    }
    let office = Office::open(args, job, &problem, &data, node.clone()).await?;
    if !job.settle {
        office.work(&problem).await?;
    }
    office.settle(&problem).await?;
    drop(office);
    node.leave().await;
    data.close().await;
    say(&Said::Done)?;
    Ok(())
}

/// What the agent works with.
struct Office {
    id: AgentId,
    number: u32,
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    gate: Gate,
    coordinator: Arc<RemoteCoordinator>,
    script: Script,
    seats: Arc<Semaphore>,
}

impl Office {
    async fn open(
        args: &Args,
        job: &Job,
        problem: &Problem,
        data: &DataDir,
        node: Node,
    ) -> Result<Self, Failure> {
        let id = agent_id(job.agent)?;
        let store: Arc<dyn EventStore> = data.events().clone();
        let artifacts: Arc<dyn Artifacts> = data.artifacts().clone();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let economics = economics(problem, true)?;
        let ledger = Ledger::open(store.clone(), clock.clone()).await?;
        economics.open_own_books(&ledger, &problem.config, &id).await?;
        let gate = Gate::builder(store.clone(), clock.clone())
            .with_policy(Arc::new(RulesEngine::new(Ruleset::from_toml(RULES)?)))
            .with_treasury(Arc::new(AgentTreasury::new(ledger, "compute".try_into()?)))
            .build();
        let shard = problem.shards.get(job.agent as usize - 1).ok_or("there is no shard for this agent")?;
        artifacts.put(shard.encode()).await?;
        let parts = RemoteParts {
            config: problem.config,
            economics,
            agent: id.clone(),
            node,
            coordinator: job.coordinator,
            artifacts,
            clock: clock.clone(),
        };
        let coordinator = Arc::new(RemoteCoordinator::connect(parts).await?);
        let (script, seats) = (Script::new(args), Arc::new(Semaphore::new(1)));
        Ok(Self { id, number: job.agent, store, clock, gate, coordinator, script, seats })
    }

    fn desk(&self, problem: &Problem, died: mpsc::Sender<AgentId>) -> Result<Desk, Failure> {
        let (trainer, auditor, shard) = trainer(&self.script, problem, self.number, &self.seats, died)?;
        let (coordinator, gate) = (self.coordinator.clone(), self.gate.clone());
        Ok(Desk::new(self.id.clone(), shard, coordinator, gate, trainer, auditor, self.seats.clone()))
    }

    async fn work(&self, problem: &Problem) -> Result<(), Failure> {
        let (died, mut deaths) = mpsc::channel(1);
        let desk = self.desk(problem, died)?;
        let mut member = Member::build(desk, self.store.clone(), self.clock.clone()).await?;
        let (_trigger, shutdown) = ShutdownTrigger::new();
        let report = |cycle: &CycleReport| {
            for deed in deeds(cycle) {
                // A conductor that does not listen has gone: then this process ends as well.
                drop(say(&Said::Did(deed)));
            }
        };
        let mut work = std::pin::pin!(member.work(shutdown, report));
        loop {
            tokio::select! {
                done = &mut work => return Ok(done?),
                Some(_) = deaths.recv() => say(&Said::Dying)?,
            }
        }
    }

    /// Brings what is open to an end. Nobody else writes to these books, so nobody else can.
    async fn settle(&self, problem: &Problem) -> Result<(), Failure> {
        let (died, _) = mpsc::channel(1);
        let executors = executors(&Arc::new(self.desk(problem, died)?))?;
        for open in self.gate.open_actions().await? {
            self.gate.reconcile(open.action.id(), &executors).await?;
        }
        Ok(())
    }
}

/// Where the books of an agent are, below where everything is kept.
pub(crate) fn home(base: &Path, id: &AgentId) -> std::path::PathBuf {
    base.join("agents").join(id.as_str())
}
