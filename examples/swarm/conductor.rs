//! Puts the swarm together, makes the script happen, and waits for the end.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daa::compute::BurnBackend;
use daa::compute::commitment::Round;
use daa::compute::protocol::Standing;
use daa::core::artifact::{Artifacts, MemoryArtifacts};
use daa::core::clock::{Clock, SystemClock};
use daa::core::event::{EventStore, MemoryEventStore};
use daa::core::id::AgentId;
use daa::economy::Ledger;
use daa::swarm::{Coordinator, CoordinatorParts, Economics};

use crate::Failure;
use crate::display::Display;
use crate::home::open_data;
use crate::problem::Problem;
use crate::script::{Script, agent_id};
use crate::staff::{News, Staff};

/// How long a stage waits for a member that does not answer.
const STAGE_TIMEOUT: Duration = Duration::from_secs(1_800);
/// How long a data directory that is in use is asked for again: a process that was killed a moment ago may hold it.
const IN_USE: Duration = Duration::from_secs(2);

/// The run, and where it is kept.
#[derive(Clone)]
pub(crate) struct Swarm {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) artifacts: Arc<dyn Artifacts>,
    pub(crate) coordinator: Coordinator,
    pub(crate) display: Arc<Mutex<Display>>,
    script: Script,
}

/// Where everything is kept.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) artifacts: Arc<dyn Artifacts>,
}

impl Place {
    /// Opens the data directory; without one, keeps everything in memory.
    pub(crate) async fn open(data_dir: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = data_dir else {
            return Ok(Self {
                store: Arc::new(MemoryEventStore::new()),
                artifacts: Arc::new(MemoryArtifacts::new()),
            });
        };
        let data = open_data(path, IN_USE).await?;
        Ok(Self { store: data.events().clone(), artifacts: data.artifacts().clone() })
    }
}

/// What the run costs and earns; otherwise where the members keep books of their own.
pub(crate) fn economics(problem: &Problem, own_books: bool) -> Result<Economics, Failure> {
    let economics = Economics::standard(&problem.config)?;
    Ok(if own_books { economics.with_own_books() } else { economics })
}

impl Swarm {
    pub(crate) async fn open(
        place: Place,
        problem: &Problem,
        script: &Script,
        own_books: bool,
        display: Arc<Mutex<Display>>,
    ) -> Result<Self, Failure> {
        let Place { store, artifacts } = place;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let before_late = script.late.map(|(_, round)| Round(round.0.saturating_sub(1)));
        let parts = CoordinatorParts {
            config: problem.config,
            economics: economics(problem, own_books)?,
            store: store.clone(),
            artifacts: artifacts.clone(),
            ledger: Ledger::open(store.clone(), clock.clone()).await?,
            backend: Arc::new(BurnBackend::flex(problem.config.model)?),
            clock,
            stage_timeout: STAGE_TIMEOUT,
            hold: before_late,
        };
        let coordinator = Coordinator::open(parts).await?;
        Ok(Self { store, artifacts, coordinator, display, script: script.clone() })
    }

    /// Trains to the end.
    pub(crate) async fn train(&self, staff: &mut dyn Staff) -> Result<(), Failure> {
        for number in 1..=self.script.agents {
            self.employ(staff, number).await?;
        }
        for number in 1..=self.script.agents {
            self.joined(staff, number).await?;
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
                if self.employ(staff, late).await? {
                    let id = agent_id(late)?;
                    self.show(|display| display.say(&format!("{id} joins and catches up")));
                }
                self.joined(staff, late).await?;
                self.coordinator.release();
            }
            if staff.is_empty() && !self.coordinator.view().finished {
                return Err("nobody is left to train".into());
            }
            tokio::select! {
                done = &mut ended => {
                    done.map_err(|error| Failure::from(format!("the run cannot go on: {}", crate::in_full(&*error))))?;
                    break;
                }
                news = staff.next() => self.hear(staff, news).await?,
                changed = view.changed() => changed?,
            }
        }
        let members: Result<Vec<u32>, Failure> = self.coordinator.view().members.keys().map(number).collect();
        staff.dismiss(&members?).await
    }

    /// Starts an agent, and says so; not if it is gone for good.
    async fn employ(&self, staff: &mut dyn Staff, number: u32) -> Result<bool, Failure> {
        let view = self.coordinator.view();
        let standing = view.members.get(&agent_id(number)?).map(|member| member.standing);
        let works = matches!(standing, None | Some(Standing::Live));
        if works {
            staff.employ(number).await?
        } else {
            staff.settle(number).await?
        }
        Ok(works)
    }

    async fn hear(&self, staff: &mut dyn Staff, news: News) -> Result<(), Failure> {
        match news {
            News::Dying(id) => {
                staff.kill(&id).await?;
                self.show(|display| display.end(id.as_str(), "killed in the middle of a round"));
                self.bury(staff, id).await
            }
            // Who has left in good order may do so; who failed is lost to the swarm.
            News::Left => Ok(()),
            News::Failed(id, reason) => {
                self.show(|display| display.say(&format!("{id} failed: {reason}")));
                self.bury(staff, id).await
            }
        }
    }

    /// Tells the swarm that an agent is gone, and clears up after it.
    async fn bury(&self, staff: &mut dyn Staff, id: AgentId) -> Result<(), Failure> {
        let number = number(&id)?;
        self.coordinator.lost(id).await?;
        staff.settle(number).await
    }

    /// Waits until an agent is a member. An agent that ends before that will never be.
    async fn joined(&self, staff: &mut dyn Staff, number: u32) -> Result<(), Failure> {
        let id = agent_id(number)?;
        let mut view = self.coordinator.watch();
        loop {
            let now = view.borrow_and_update().clone();
            if now.members.contains_key(&id) || now.finished {
                return Ok(());
            }
            tokio::select! {
                changed = view.changed() => changed?,
                news = staff.next() => match news {
                    News::Failed(failed, reason) if !now.members.contains_key(&failed) => {
                        return Err(format!("{failed} cannot join: {reason}").into());
                    }
                    news => self.hear(staff, news).await?,
                }
            }
        }
    }

    fn show(&self, what: impl FnOnce(&mut Display)) {
        what(&mut self.display.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn number(id: &AgentId) -> Result<u32, Failure> {
    Ok(id.as_str().trim_start_matches("agent-").parse()?)
}
