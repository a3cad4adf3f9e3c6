//! Agents as tasks of this process, which share one store and one gate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use daa::core::action::Gate;
use daa::core::agent::CycleReport;
use daa::core::clock::{Clock, SystemClock};
use daa::core::event::EventStore;
use daa::core::id::AgentId;
use daa::core::shutdown::{Shutdown, ShutdownTrigger};
use daa::economy::{AgentTreasury, Ledger};
use daa::rules::{RulesEngine, Ruleset};
use daa::swarm::{Coordinator, Desk, Member, RULES, executors};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinHandle};

use crate::Failure;
use crate::conductor::Swarm;
use crate::display::Display;
use crate::problem::Problem;
use crate::script::{Script, agent_id, trainer};
use crate::staff::{News, Staff, deeds};

/// Agents that are tasks.
pub(crate) struct Tasks {
    store: Arc<dyn EventStore>,
    coordinator: Coordinator,
    clock: Arc<dyn Clock>,
    gate: Gate,
    seats: Arc<Semaphore>,
    script: Script,
    problem: Arc<Problem>,
    display: Arc<Mutex<Display>>,
    at_work: BTreeMap<AgentId, (AbortHandle, JoinHandle<()>)>,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    shutdown: (ShutdownTrigger, Shutdown),
}

impl Tasks {
    pub(crate) async fn new(
        swarm: &Swarm,
        problem: Arc<Problem>,
        script: Script,
        seats: Arc<Semaphore>,
    ) -> Result<Self, Failure> {
        let (store, clock): (_, Arc<dyn Clock>) = (swarm.store.clone(), Arc::new(SystemClock::new()));
        for shard in &problem.shards {
            swarm.artifacts.put(shard.encode()).await?;
        }
        let rules = RulesEngine::new(Ruleset::from_toml(RULES)?);
        let ledger = Ledger::open(store.clone(), clock.clone()).await?;
        let gate = Gate::builder(store.clone(), clock.clone())
            .with_policy(Arc::new(rules))
            .with_treasury(Arc::new(AgentTreasury::new(ledger, "compute".try_into()?)))
            .build();
        let coordinator = swarm.coordinator.clone();
        Ok(Self {
            store,
            coordinator,
            clock,
            gate,
            seats,
            script,
            problem,
            display: swarm.display.clone(),
            at_work: BTreeMap::new(),
            news: mpsc::channel(64),
            shutdown: ShutdownTrigger::new(),
        })
    }

    fn desk(&self, number: u32, died: mpsc::Sender<AgentId>) -> Result<Desk, Failure> {
        let (trainer, auditor, shard) = trainer(&self.script, &self.problem, number, &self.seats, died)?;
        let (coordinator, gate) = (Arc::new(self.coordinator.clone()), self.gate.clone());
        Ok(Desk::new(agent_id(number)?, shard, coordinator, gate, trainer, auditor, self.seats.clone()))
    }
}

#[async_trait]
impl Staff for Tasks {
    async fn employ(&mut self, number: u32) -> Result<(), Failure> {
        let id = agent_id(number)?;
        let (died, mut deaths) = mpsc::channel(1);
        let desk = self.desk(number, died)?;
        let mut member = Member::build(desk, self.store.clone(), self.clock.clone()).await?;
        let (display, shutdown, name) = (self.display.clone(), self.shutdown.1.clone(), id.clone());
        let work = tokio::spawn(async move {
            let report = |cycle: &CycleReport| {
                let mut display = display.lock().unwrap_or_else(PoisonError::into_inner);
                deeds(cycle).iter().for_each(|deed| display.deed(name.as_str(), deed));
            };
            member.work(shutdown, report).await
        });
        let (abort, news, name) = (work.abort_handle(), self.news.0.clone(), id.clone());
        let watcher = tokio::spawn(async move {
            let mut work = std::pin::pin!(work);
            let ended = loop {
                tokio::select! {
                    ended = &mut work => break ended,
                    Some(id) = deaths.recv() => drop(news.send(News::Dying(id)).await),
                }
            };
            let told = match ended {
                Ok(Ok(())) => News::Left,
                Ok(Err(error)) => News::Failed(name, crate::in_full(&error)),
                // Whoever killed it knows.
                Err(error) if error.is_cancelled() => return,
                Err(error) => News::Failed(name, error.to_string()),
            };
            drop(news.send(told).await);
        });
        self.at_work.insert(id, (abort, watcher));
        Ok(())
    }

    async fn next(&mut self) -> News {
        match self.news.1.recv().await {
            Some(news) => news,
            // One sender is held here.
            None => std::future::pending().await,
        }
    }

    async fn kill(&mut self, id: &AgentId) -> Result<(), Failure> {
        if let Some((abort, watcher)) = self.at_work.remove(id) {
            abort.abort();
            watcher.await?;
        }
        Ok(())
    }

    async fn settle(&mut self, number: u32) -> Result<(), Failure> {
        let id = agent_id(number)?;
        let (died, _) = mpsc::channel(1);
        let executors = executors(&Arc::new(self.desk(number, died)?))?;
        for open in self.gate.open_actions().await? {
            if *open.action.actor() == id {
                self.gate.reconcile(open.action.id(), &executors).await?;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.at_work.values().all(|(_, watcher)| watcher.is_finished())
    }

    async fn dismiss(&mut self, numbers: &[u32]) -> Result<(), Failure> {
        self.shutdown.0.trigger();
        for (_, watcher) in std::mem::take(&mut self.at_work).into_values() {
            watcher.await?;
        }
        while let Ok(news) = self.news.1.try_recv() {
            if let News::Failed(id, reason) = news {
                return Err(format!("{id} failed at the end: {reason}").into());
            }
        }
        // A process that was killed after the last verdict may have left somebody's last action open.
        for number in numbers {
            self.settle(*number).await?;
        }
        Ok(())
    }
}
