//! The outside world of the processes: a file with a line for everything that takes place.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{Action, Authorized, ExecuteError, Executor, Outcome, Reconciled};
use daa_core::seed::Seed;
use rand::RngExt as _;

/// The name of the file, in the directory of the test.
const FILE: &str = "effects";

/// Appends a line, and makes it durable.
fn append(mut file: &File, line: &str) -> std::io::Result<()> {
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}

fn open(dir: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(dir.join(FILE))
}

fn lines(mut file: &File) -> std::io::Result<Vec<Line>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text.lines().map(Line::parse).collect())
}

/// Everything in the file.
pub(crate) fn everything(dir: &Path) -> Vec<Line> {
    lines(&open(dir).unwrap()).unwrap()
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) key: String,
    pub(crate) attempt: u32,
}

impl Line {
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, key, attempt] = words[..] else { panic!("a torn line: {line:?}") };
        Self { what: what.to_owned(), key: key.to_owned(), attempt: attempt.parse().unwrap() }
    }
}

/// How long a call takes before and after its effect: another time in each attempt.
fn latency(action: &Authorized, most: u64) -> (Duration, Duration) {
    let seed = Seed::from_u64(3).child(action.id().as_str()).nth(action.attempt().into());
    let mut rng = seed.rng();
    let mut millis = || Duration::from_millis(rng.random_range(0..most));
    (millis(), millis())
}

/// Takes effect whenever it is called; only when it is asked it looks what has taken place.
#[derive(Clone, Debug)]
pub(crate) struct Appends(pub(crate) PathBuf);

#[async_trait]
impl Executor for Appends {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let (before, after) = latency(action, 300);
        tokio::time::sleep(before).await;
        let line = format!("effect {} {}", action.id(), action.attempt());
        open(&self.0).and_then(|file| append(&file, &line)).map_err(ExecuteError::interrupted)?;
        tokio::time::sleep(after).await;
        Ok(Outcome::new(action.attempt()))
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let lines = open(&self.0).and_then(|file| lines(&file)).map_err(ExecuteError::interrupted)?;
        let found = lines.iter().find(|line| line.key == action.id().as_str());
        Ok(match found {
            Some(line) => Reconciled::Completed(Outcome::new(line.attempt)),
            None => Reconciled::NotFound,
        })
    }
}

/// Uses the number of the attempt as a fencing token, with the file as the place where all performers meet: whoever
/// is told that an action took no effect may rely on it, because every attempt that had begun by then is refused
/// from then on, however late it comes.
#[derive(Clone, Debug)]
pub(crate) struct Fenced(pub(crate) PathBuf);

impl Fenced {
    /// Does something with the file, alone.
    fn alone<T>(&self, act: impl FnOnce(&File, Vec<Line>) -> std::io::Result<T>) -> Result<T, ExecuteError> {
        let locked = || {
            let file = open(&self.0)?;
            file.lock()?;
            let lines = lines(&file)?;
            act(&file, lines)
        };
        locked().map_err(ExecuteError::interrupted)
    }
}

fn highest(lines: &[Line], what: &str, key: &str) -> u32 {
    let of_it = lines.iter().filter(|line| line.what == what && line.key == key);
    of_it.map(|line| line.attempt).max().unwrap_or_default()
}

#[async_trait]
impl Executor for Fenced {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let (key, attempt) = (action.id().as_str(), action.attempt());
        self.alone(|file, _| append(file, &format!("begun {key} {attempt}")))?;
        let (before, after) = latency(action, 150);
        tokio::time::sleep(before).await;
        let late = self.alone(|file, lines| {
            let late = attempt <= highest(&lines, "sealed", key) || attempt < highest(&lines, "begun", key);
            append(file, &format!("{} {key} {attempt}", if late { "late" } else { "effect" }))?;
            Ok(late)
        })?;
        if late {
            return Err(ExecuteError::unavailable("a later attempt was issued"));
        }
        tokio::time::sleep(after).await;
        Ok(Outcome::new(attempt))
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let key = action.id().as_str();
        self.alone(|file, lines| {
            let effect = highest(&lines, "effect", key);
            if effect > 0 {
                return Ok(Reconciled::Completed(Outcome::new(effect)));
            }
            append(file, &format!("sealed {key} {}", highest(&lines, "begun", key)))?;
            Ok(Reconciled::NotFound)
        })
    }
}
