//! A node of the lab, from outside.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::timeout;

use super::failure::Failure;
use super::message::{Answer, Ask, Kind, Order, Part, Reached, Say, Status};
use super::plan::Place;
use super::tool::within;

/// How long a node may take to begin, and to answer.
const BEGIN: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(150);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

/// A node of the lab.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) place: Place,
    pub(crate) id: String,
    pub(crate) addresses: Vec<String>,
    next: AtomicU64,
    input: AsyncMutex<ChildStdin>,
    waiting: Waiting,
    process: Mutex<Child>,
}

impl Remote {
    /// Starts a node in its place.
    pub(crate) async fn start(place: &Place, kind: Kind, logs: Option<&Path>) -> Result<Self, Failure> {
        let failed = |why: &str| Failure::node(&place.name, why);
        let part = Part { port: place.port, kind };
        let part = serde_json::to_string(&part).map_err(|error| failed(&error.to_string()))?;
        let program = std::env::current_exe().map_err(Failure::io("this program"))?;
        let [enter, namespace] = within(&place.name);
        let log = match logs {
            Some(folder) => {
                let file = folder.join(format!("{}.log", place.name));
                Stdio::from(File::create(&file).map_err(Failure::io(file.display().to_string()))?)
            }
            None => Stdio::null(),
        };
        let mut process = Command::new(enter)
            .arg(namespace)
            .arg("--")
            .arg(program)
            .args(["--node", &part])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::io(&place.name))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(failed("it has no pipes"));
        };
        let mut says = BufReader::new(output).lines();
        let first = timeout(BEGIN, says.next_line()).await.map_err(|_| failed("it does not begin"))?;
        let first = first.ok().flatten().ok_or_else(|| failed("it ended at once"))?;
        let Ok(Say::Ready { node, addresses }) = serde_json::from_str(&first) else {
            return Err(failed(&first));
        };
        let waiting = Waiting::default();
        tokio::spawn(hear(says, waiting.clone()));
        Ok(Self {
            place: place.clone(),
            id: node,
            addresses,
            next: AtomicU64::new(0),
            input: AsyncMutex::new(input),
            waiting,
            process: Mutex::new(process),
        })
    }

    /// Kills the process, as nothing a node could prepare for.
    pub(crate) fn kill(&self) -> Result<(), Failure> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.start_kill().map_err(Failure::io(&self.place.name))
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let failed = |why: &str| Failure::node(&self.place.name, why);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, reply);
        let mut line = serde_json::to_vec(&Order { id, ask }).map_err(|error| failed(&error.to_string()))?;
        line.push(b'\n');
        self.input.lock().await.write_all(&line).await.map_err(Failure::io(&self.place.name))?;
        let answer = timeout(ANSWER, answer).await.map_err(|_| failed("it does not answer"))?;
        match answer.map_err(|_| failed("it has ended"))? {
            Answer::Failed { why } => Err(failed(&why)),
            answer => Ok(answer),
        }
    }

    /// Joins by whoever is at these addresses.
    pub(crate) async fn join(&self, addresses: Vec<String>) -> Result<(), Failure> {
        self.ask(Ask::Join { addresses }).await.map(drop)
    }

    pub(crate) async fn status(&self) -> Result<Status, Failure> {
        match self.ask(Ask::Status).await? {
            Answer::Status(status) => Ok(status),
            other => Err(Failure::node(&self.place.name, format!("{other:?}"))),
        }
    }

    /// Sends something to a node, and has it back.
    pub(crate) async fn reach(&self, node: &Self) -> Result<Reached, Failure> {
        match self.ask(Ask::Reach { node: node.id.clone() }).await? {
            Answer::Reached(reached) => Ok(reached),
            other => Err(Failure::node(&self.place.name, format!("{other:?}"))),
        }
    }

    /// The nodes that it finds by what they offer.
    pub(crate) async fn find(&self) -> Result<Vec<String>, Failure> {
        match self.ask(Ask::Find).await? {
            Answer::Found { nodes } => Ok(nodes),
            other => Err(Failure::node(&self.place.name, format!("{other:?}"))),
        }
    }
}

/// Hands answers to who waits for them, until the node ends.
async fn hear(mut says: Lines<BufReader<ChildStdout>>, waiting: Waiting) {
    while let Ok(Some(line)) = says.next_line().await {
        if let Ok(Say::Answer { id, answer }) = serde_json::from_str(&line)
            && let Some(reply) = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
        {
            // Who asked may have given up.
            let _ = reply.send(answer);
        }
    }
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
