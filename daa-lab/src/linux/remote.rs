//! A node of the lab, from outside.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::failure::Failure;
use super::message::{Answer, Ask, Kind, Order, Part, Reached, Say, Status};
use super::plan::Place;
use super::tool::within;

/// How long a node may take to begin, and to answer.
const BEGIN: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(150);
/// How many lines wait.
const LINES: usize = 64;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

/// A node of the lab.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) place: Place,
    pub(crate) id: String,
    pub(crate) addresses: Vec<String>,
    next: AtomicU64,
    input: Mutex<ChildStdin>,
    waiting: Waiting,
    process: Mutex<Process>,
}

/// A process that ends with who has it.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
        let process = Command::new(enter)
            .arg(namespace)
            .arg("--")
            .arg(program)
            .args(["--node", &part])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(Failure::io(&place.name))?;
        let mut process = Process(process);
        let (Some(input), Some(output)) = (process.0.stdin.take(), process.0.stdout.take()) else {
            return Err(failed("it has no pipes"));
        };
        let (says, mut said) = mpsc::channel(LINES);
        std::thread::spawn(move || read(output, &says));
        let first = timeout(BEGIN, said.recv()).await.map_err(|_| failed("it does not begin"))?;
        let first = first.ok_or_else(|| failed("it ended at once"))?;
        let Ok(Say::Ready { node, addresses }) = serde_json::from_str(&first) else {
            return Err(failed(&first));
        };
        let waiting = Waiting::default();
        tokio::spawn(hear(said, waiting.clone()));
        Ok(Self {
            place: place.clone(),
            id: node,
            addresses,
            next: AtomicU64::new(0),
            input: Mutex::new(input),
            waiting,
            process: Mutex::new(process),
        })
    }

    /// Kills the process, as nothing a node could prepare for.
    pub(crate) fn kill(&self) -> Result<(), Failure> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.0.kill().map_err(Failure::io(&self.place.name))
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let failed = |why: &str| Failure::node(&self.place.name, why);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, reply);
        let mut line = serde_json::to_vec(&Order { id, ask }).map_err(|error| failed(&error.to_string()))?;
        line.push(b'\n');
        // It always reads, and a line is shorter than what a pipe holds.
        let written = self.input.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        written.map_err(Failure::io(&self.place.name))?;
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

/// Hands over what a node says, until it ends.
fn read(output: ChildStdout, says: &mpsc::Sender<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if says.blocking_send(line).is_err() {
            return;
        }
    }
}

/// Hands answers to who waits for them, until the node ends.
async fn hear(mut said: mpsc::Receiver<String>, waiting: Waiting) {
    while let Some(line) = said.recv().await {
        if let Ok(Say::Answer { id, answer }) = serde_json::from_str(&line)
            && let Some(reply) = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
        {
            // Who asked may have given up.
            let _ = reply.send(answer);
        }
    }
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
