//! Agents as processes of their own. They reach the coordinator over sockets, and share nothing with it, nor with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use daa::core::id::AgentId;
use daa::crypto::CryptoSuite;
use daa::net::auth::Auth;
use daa::net::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use daa::net::{Node, NodeId, NodeOptions};
use daa::store::data_dir::DataDir;
use daa::swarm::{Admission, RunHost};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::Failure;
use crate::agent::{DATA, home, network};
use crate::args::Args;
use crate::channel::{GO, Said, hear};
use crate::conductor::Swarm;
use crate::display::Display;
use crate::home::identity;
use crate::problem::Problem;
use crate::script::agent_id;
use crate::staff::{News, Staff};

/// How often in a row an agent may die without having done anything in between.
const MAX_DEATHS: u32 = 8;
/// How long to wait before it is started again the first time; twice as long each time after.
const PAUSE: Duration = Duration::from_millis(100);
/// How long agents may take to leave when the run is over.
const FAREWELL: Duration = Duration::from_secs(300);

/// The processes that an agent was, in the life of this conductor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lives {
    pub(crate) pids: Vec<u32>,
    /// Whether the script had it killed.
    pub(crate) is_killed: bool,
}

/// The lives of all agents.
pub(crate) type Roll = Arc<Mutex<BTreeMap<AgentId, Lives>>>;

/// Agents that are processes.
pub(crate) struct Processes {
    office: Arc<Office>,
    at_work: BTreeMap<AgentId, (oneshot::Sender<()>, JoinHandle<()>)>,
    /// Who has left in good order.
    settled: Arc<Mutex<BTreeSet<AgentId>>>,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    display: Arc<Mutex<Display>>,
    /// Where everything is kept that is not to be kept.
    _temporary: Option<TempDir>,
}

/// What is needed to start an agent.
struct Office {
    /// The command line that every process of the run has.
    options: Vec<String>,
    base: PathBuf,
    host: RunHost,
    at: String,
    roll: Roll,
}

/// How the life of a process ended.
enum End {
    Done,
    Killed,
    Failed(String),
    /// Nobody knows why; and whether it had done something before.
    Died(ExitStatus, bool),
}

impl Processes {
    /// Opens the coordinator to the agents of this machine: on QUIC, at a port of the loopback interface that is free.
    pub(crate) async fn start(swarm: &Swarm, problem: &Problem, args: &Args) -> Result<Self, Failure> {
        let (base, temporary) = match &args.data_dir {
            Some(dir) => (dir.clone(), None),
            None => {
                let dir = tempfile::tempdir()?;
                (dir.path().to_owned(), Some(dir))
            }
        };
        let suite = CryptoSuite::new();
        let auth = Auth::new(suite.clone(), identity(&suite, &base.join("node.key"))?, network(problem)?);
        let options = Libp2pOptions::new().listening_on("/ip4/127.0.0.1/udp/0/quic-v1".parse()?);
        let transport = Arc::new(Libp2pTransport::start(auth.clone(), options).await?);
        let node = Node::start(&auth, transport, NodeOptions::new()).await?;
        let at = node.addresses().first().ok_or("the coordinator listens nowhere")?.to_string();
        let host = RunHost::serve(swarm.coordinator.clone(), node, Admission::Listed);
        let office = Office { options: args.to_options(), base, host, at, roll: Roll::default() };
        Ok(Self {
            office: Arc::new(office),
            at_work: BTreeMap::new(),
            settled: Arc::default(),
            news: mpsc::channel(256),
            display: swarm.display.clone(),
            _temporary: temporary,
        })
    }

    /// The lives of all agents.
    pub(crate) fn roll(&self) -> BTreeMap<AgentId, Lives> {
        self.office.roll.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The books of all agents that have some, to be looked at. Nobody may be at work.
    pub(crate) fn books(&self, agents: u32) -> Result<Vec<DataDir>, Failure> {
        let mut books = Vec::new();
        for number in 1..=agents {
            let data = home(&self.office.base, &agent_id(number)?).join(DATA);
            if data.exists() {
                books.push(DataDir::open(data)?);
            }
        }
        Ok(books)
    }
}

#[async_trait]
impl Staff for Processes {
    async fn employ(&mut self, number: u32) -> Result<(), Failure> {
        let (id, office) = (agent_id(number)?, self.office.clone());
        let (news, settled, display) = (self.news.0.clone(), self.settled.clone(), self.display.clone());
        let (kill, mut killed) = oneshot::channel();
        let name = id.clone();
        let supervisor = tokio::spawn(async move {
            let say = |text: &str| display.lock().unwrap_or_else(PoisonError::into_inner).say(text);
            let (mut deaths, mut pause) = (0, PAUSE);
            let told = loop {
                let watch = Watch { news: &news, display: &display };
                match office.live(&name, number, false, &mut killed, Some(&watch)).await {
                    Ok(End::Done) => {
                        settled.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
                        break News::Left;
                    }
                    Ok(End::Killed) => return,
                    Ok(End::Failed(reason)) => break News::Failed(name, reason),
                    Ok(End::Died(status, worked)) => {
                        if worked {
                            (deaths, pause) = (0, PAUSE);
                        }
                        deaths += 1;
                        if deaths > MAX_DEATHS {
                            break News::Failed(
                                name,
                                format!("it died {deaths} times in a row, last by {status}"),
                            );
                        }
                        say(&format!("{name} died ({status}): started again"));
                        tokio::time::sleep(pause).await;
                        pause *= 2;
                    }
                    Err(error) => break News::Failed(name, error.to_string()),
                }
            };
            drop(news.send(told).await);
        });
        self.at_work.insert(id, (kill, supervisor));
        Ok(())
    }

    async fn next(&mut self) -> News {
        match self.news.1.recv().await {
            Some(news) => news,
            // One sender is held here.
            None => std::future::pending().await,
        }
    }

    /// With SIGKILL, or what there is of it on this system.
    async fn kill(&mut self, id: &AgentId) -> Result<(), Failure> {
        if let Some((kill, supervisor)) = self.at_work.remove(id) {
            // It may have ended by itself meanwhile.
            let _ = kill.send(());
            supervisor.await?;
        }
        Ok(())
    }

    /// By the agent itself: a process of its own that does nothing else.
    async fn settle(&mut self, number: u32) -> Result<(), Failure> {
        let id = agent_id(number)?;
        if !home(&self.office.base, &id).join(DATA).exists() {
            return Ok(());
        }
        let mut pause = PAUSE;
        for _ in 0..=MAX_DEATHS {
            // Held, so that nobody is killed.
            let (_kill, mut killed) = oneshot::channel();
            match self.office.live(&id, number, true, &mut killed, None).await? {
                End::Done => {
                    self.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
                    return Ok(());
                }
                End::Failed(reason) => return Err(format!("{id} cannot settle its books: {reason}").into()),
                End::Died(..) | End::Killed => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
        Err(format!("{id} died each time it was to settle its books").into())
    }

    fn is_empty(&self) -> bool {
        self.at_work.values().all(|(_, supervisor)| supervisor.is_finished())
    }

    async fn dismiss(&mut self, numbers: &[u32]) -> Result<(), Failure> {
        let at_work = std::mem::take(&mut self.at_work);
        let all = async {
            for (kill, supervisor) in at_work.into_values() {
                supervisor.await?;
                drop(kill);
            }
            Ok::<_, Failure>(())
        };
        tokio::time::timeout(FAREWELL, all)
            .await
            .map_err(|_| "agents did not leave when the run was over")??;
        while let Ok(news) = self.news.1.try_recv() {
            if let News::Failed(id, reason) = news {
                return Err(format!("{id} failed at the end: {reason}").into());
            }
        }
        for number in numbers {
            let is_settled =
                self.settled.lock().unwrap_or_else(PoisonError::into_inner).contains(&agent_id(*number)?);
            if !is_settled {
                self.settle(*number).await?;
            }
        }
        self.office.host.node().leave().await;
        Ok(())
    }
}

/// A process, which ends when this does.
struct Process(Child);

impl Process {
    /// Waits for it, which says that it ends.
    async fn ended(mut self) -> io::Result<ExitStatus> {
        tokio::task::spawn_blocking(move || self.0.wait()).await.map_err(io::Error::other)?
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended, and then there is nothing to kill.
        if self.0.kill().is_ok() {
            let _ = self.0.wait();
        }
    }
}

/// Who hears of what an agent does.
struct Watch<'a> {
    news: &'a mpsc::Sender<News>,
    display: &'a Mutex<Display>,
}

impl Office {
    /// One process, from its start to its end.
    async fn live(
        &self,
        id: &AgentId,
        number: u32,
        settle: bool,
        killed: &mut oneshot::Receiver<()>,
        watch: Option<&Watch<'_>>,
    ) -> io::Result<End> {
        let mut child = Process(self.command(id, number, settle)?.spawn()?);
        if !settle {
            let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
            roll.entry(id.clone()).or_default().pids.push(child.0.id());
        }
        let (Some(mut orders), Some(says)) = (child.0.stdin.take(), child.0.stdout.take()) else {
            return Err(io::Error::other("a process without its pipes"));
        };
        let (mut says, mut worked) = (hear(says), false);
        loop {
            let said = tokio::select! {
                said = says.recv() => said.transpose()?,
                _ = &mut *killed => {
                    child.0.kill()?;
                    child.ended().await?;
                    let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
                    roll.entry(id.clone()).or_default().is_killed = true;
                    return Ok(End::Killed);
                }
            };
            match said {
                Some(Said::Node(node)) => {
                    let node: NodeId = node.parse().map_err(io::Error::other)?;
                    self.host.list(id.clone(), node);
                    // A process that has died meanwhile is noticed below.
                    drop(orders.write_all(format!("{GO}\n").as_bytes()));
                }
                Some(Said::Did(deed)) => {
                    worked = true;
                    if let Some(watch) = watch {
                        let mut display = watch.display.lock().unwrap_or_else(PoisonError::into_inner);
                        display.deed(id.as_str(), &deed);
                    }
                }
                Some(Said::Dying) => {
                    if let Some(watch) = watch {
                        drop(watch.news.send(News::Dying(id.clone())).await);
                    }
                }
                Some(Said::Failed(reason)) => {
                    child.ended().await?;
                    return Ok(End::Failed(reason));
                }
                Some(Said::Done) => {
                    child.ended().await?;
                    return Ok(End::Done);
                }
                None => return Ok(End::Died(child.ended().await?, worked)),
            }
        }
    }

    fn command(&self, id: &AgentId, number: u32, settle: bool) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.options);
        command.args(["--agent", &number.to_string(), "--at", &self.at]);
        command.args(["--coordinator", &self.host.node().id().to_string()]);
        command.arg("--home").arg(home(&self.base, id));
        if settle {
            command.arg("--settle");
        }
        // Its end of this pipe is how it learns that this process is gone.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Ok(command)
    }
}
