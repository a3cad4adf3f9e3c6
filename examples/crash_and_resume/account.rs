//! What a person is told: each thing once it is durable, and never before.

use std::fmt::Display;
use std::io::IsTerminal;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, LazyLock};

use daa::core::event::{PageSize, Position};
use daa::core::id::RunId;
use daa::core::workflow::{RunEvent, RunOutcome, WorkflowError};
use daa::prelude::*;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{Failure, shop};

/// Tells what happens to orders, as it happens.
pub(crate) struct Account {
    store: Arc<dyn EventStore>,
    told: Mutex<(Position, String)>,
}

impl Account {
    pub(crate) fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, told: Mutex::default() }
    }

    /// Tells what is known of a run. What follows is about it until a heading says otherwise.
    pub(crate) async fn begin(&self, run: &RunId, data: &Path) -> Result<(), Failure> {
        println!("{}  in {}\n", bold(run), data.display());
        let mut position = Position::START;
        let mut known = Vec::new();
        while let Some((event, about)) = next(&*self.store, &mut position).await? {
            known.extend(words(&event).filter(|_| about == run.as_str()));
        }
        if !known.is_empty() {
            println!("  before\n  {}\n\n  now", known.join("\n  "));
        }
        *self.told.lock().await = (position, run.to_string());
        Ok(())
    }

    /// Tells what has happened by now, and not been told.
    pub(crate) async fn catch_up(&self) -> Result<(), Failure> {
        let mut told = self.told.lock().await;
        let (position, about) = &mut *told;
        while let Some((event, run)) = next(&*self.store, position).await? {
            if let Some(line) = words(&event) {
                tell(about, &run, &line);
            }
        }
        Ok(())
    }

    /// Tells something that is in no history: what the outside world does.
    pub(crate) async fn say(&self, run: &str, line: &str) -> Result<(), Failure> {
        self.catch_up().await?;
        tell(&mut self.told.lock().await.1, run, line);
        Ok(())
    }

    /// Tells everything until `outcome` is known.
    pub(crate) async fn follow(
        &self,
        outcome: impl Future<Output = Result<RunOutcome, WorkflowError>>,
    ) -> Result<RunOutcome, Failure> {
        let mut news = self.store.subscribe(self.told.lock().await.0).await?;
        let mut outcome = pin!(outcome);
        loop {
            let ended = tokio::select! {
                ended = &mut outcome => Some(ended?),
                event = news.next() => event.map(|_| None)?,
            };
            self.catch_up().await?;
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }
}

/// The next event of any run, and the run.
async fn next(store: &dyn EventStore, after: &mut Position) -> Result<Option<(RunEvent, String)>, Failure> {
    loop {
        let page = store.read_all(*after, PageSize::new(1)).await?;
        let Some(event) = page.first() else { return Ok(None) };
        *after = event.position;
        if let Some(read) = RunEvent::read(event)? {
            let run = event.stream.as_str().trim_start_matches("workflow/");
            return Ok(Some((read, run.to_owned())));
        }
    }
}

fn tell(about: &mut String, run: &str, line: &str) {
    if about != run {
        println!("\n  {}", bold(run));
        run.clone_into(about);
    }
    println!("  {line}");
}

fn words(event: &RunEvent) -> Option<String> {
    Some(match event {
        RunEvent::Started(started) => line("›", "", format_args!("started: {}", order(&started.input))),
        RunEvent::Began { task, attempt, .. } => line("›", task, paint(DIM, format!("try {attempt}"))),
        RunEvent::Succeeded { task, output } => {
            let id = output["id"].as_str().unwrap_or_default();
            line("✓", task, format!("{}: {id}", shop::done(&task.step)))
        }
        RunEvent::Failed { task, error, .. } => line("✗", task, error),
        RunEvent::Unknown { task, error, .. } => line("?", task, error),
        RunEvent::RollingBack { .. } => line("↶", "", "rolling back, the last effect first"),
        RunEvent::UndoBegan { task, attempt } => line("›", task, paint(DIM, format!("undo, try {attempt}"))),
        RunEvent::Undone { task, .. } => line("↶", task, shop::undone(&task.step)),
        RunEvent::UndoFailed { task, error, .. } => line("✗", task, error),
        _ => return None,
    })
}

fn order(input: &Value) -> String {
    let (item, cents) =
        (input["item"].as_str().unwrap_or_default(), input["cents"].as_u64().unwrap_or_default());
    format!("{item}, {}.{:02}", cents / 100, cents % 100)
}

/// One line about a step, or about the whole.
pub(crate) fn line(mark: &str, step: impl Display, text: impl Display) -> String {
    let colour = match mark {
        "✓" => GREEN,
        "✗" | "†" => RED,
        "?" => YELLOW,
        "↶" => MAGENTA,
        _ => DIM,
    };
    let step = step.to_string();
    let step = if step.is_empty() { step } else { format!("{step:<9}") };
    format!("{} {step}{text}", paint(colour, mark))
}

const DIM: u8 = 2;
const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const MAGENTA: u8 = 35;

pub(crate) fn bold(text: impl Display) -> String {
    paint(1, text)
}

/// In colour, where a person looks on.
fn paint(colour: u8, text: impl Display) -> String {
    static COLOURED: LazyLock<bool> =
        LazyLock::new(|| std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    if *COLOURED { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_string() }
}
