//! The outside world: the systems of a shop. What took place there outlives every crash, and the engine never learns of
//! it but through `execute` and `reconcile`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Table, TableComponent};
use daa::core::action::Reconciled;
use daa::core::id::{IdError, RunId, StepName};
use daa::prelude::*;
use serde_json::{Value, json};

use crate::account::{Account, line};
use crate::args::Args;

/// Something that the shop does for a step.
struct Effect {
    step: &'static str,
    kind: &'static str,
    done: &'static str,
    /// What the shop says when it does not do it.
    refusal: &'static str,
    undo: &'static str,
    undone: &'static str,
}

const EFFECTS: [Effect; 4] = [
    Effect {
        step: "reserve",
        kind: "stock.reserve",
        done: "stock reserved",
        refusal: "it is out of stock",
        undo: "stock.release",
        undone: "stock released",
    },
    Effect {
        step: "charge",
        kind: "card.charge",
        done: "card charged",
        refusal: "the card was declined",
        undo: "card.refund",
        undone: "card refunded",
    },
    Effect {
        step: "book",
        kind: "courier.book",
        done: "courier booked",
        refusal: "no courier goes there",
        undo: "courier.cancel",
        undone: "courier cancelled",
    },
    Effect {
        step: "send",
        kind: "receipt.send",
        done: "receipt sent",
        refusal: "the address does not exist",
        undo: "receipt.correct",
        undone: "receipt corrected",
    },
];

pub(crate) struct Shop {
    /// One line for each effect that took place: its key, and what it yielded.
    ledger: PathBuf,
    account: Arc<Account>,
    /// The end of the key of the effect after which the process dies, and its last words.
    crash_at: Option<String>,
    again: String,
    fail_at: Option<String>,
}

/// The shop performs everything that it can do.
pub(crate) fn executors(shop: &Arc<Shop>) -> Result<Executors, IdError> {
    EFFECTS
        .iter()
        .flat_map(|effect| [effect.kind, effect.undo])
        .try_fold(Executors::new(), |all, kind| Ok(all.with(kind.try_into()?, shop.clone())))
}

impl Shop {
    pub(crate) fn open(data: &Path, args: &Args, account: Arc<Account>) -> Self {
        let key = |moment: &String| match moment.strip_prefix("undo:") {
            Some(step) => format!("/{step}/undo"),
            None => format!("/{moment}"),
        };
        Self {
            ledger: data.join("shop.ledger"),
            account,
            crash_at: args.crash_at.as_ref().map(key),
            again: args.again(),
            fail_at: args.fail_at.as_ref().map(key),
        }
    }

    /// Appends an effect, and waits until the disk has it.
    fn take_effect(&self, key: &str, output: &Value) -> io::Result<()> {
        let mut ledger = File::options().create(true).append(true).open(&self.ledger)?;
        ledger.write_all(format!("{key}\t{output}\n").as_bytes())?;
        ledger.sync_all()
    }

    /// Every effect that ever took place: key and output.
    fn ledger(&self) -> io::Result<Vec<(String, String)>> {
        let text = match fs::read_to_string(&self.ledger) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let fields =
            |line: &str| line.split_once('\t').map(|(key, output)| (key.to_owned(), output.to_owned()));
        Ok(text.lines().filter_map(fields).collect())
    }

    /// What took place for an order, and how often: a table.
    pub(crate) fn effects(&self, run: &RunId) -> io::Result<Table> {
        let own = format!("{run}/");
        let mut counts: Vec<(String, u32)> = Vec::new();
        for (key, _) in self.ledger()?.into_iter().filter(|(key, _)| key.starts_with(&own)) {
            match counts.iter_mut().find(|(known, _)| *known == key) {
                Some((_, count)) => *count += 1,
                None => counts.push((key, 1)),
            }
        }
        let mut table = Table::new();
        table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
            "in the outside world",
            "took place",
            "under the key",
        ]);
        table.remove_style(TableComponent::HorizontalLines).remove_style(TableComponent::MiddleIntersections);
        for (key, count) in counts {
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            table.add_row([of(&key).1.to_owned(), times, key]);
        }
        Ok(table)
    }
}

#[async_trait]
impl Executor for Shop {
    /// Does not look whether it did that before, so that an effect that takes place twice is seen.
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let key = action.id().as_str();
        let (effect, done) = of(key);
        if self.fail_at.as_ref().is_some_and(|at| key.ends_with(at)) {
            return Err(ExecuteError::rejected(effect.refusal));
        }
        let number = self.ledger().map_err(ExecuteError::unavailable)?.len() + 1;
        let system = action.kind().as_str().split('.').next().unwrap_or_default();
        let output = json!({ "id": format!("{system}-{number}") });
        self.take_effect(key, &output).map_err(ExecuteError::interrupted)?;
        if self.crash_at.as_ref().is_some_and(|at| key.ends_with(at)) {
            let last =
                line("†", effect.step, format!("{done}, and the process dies before that is written down"));
            self.account.say(run_of(key), &last).await.map_err(ExecuteError::interrupted)?;
            println!("\n{}", self.again);
            std::process::abort();
        }
        Ok(Outcome::new(output))
    }

    /// After a crash: did it take place?
    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let key = action.id().as_str();
        let ledger = self.ledger().map_err(ExecuteError::unavailable)?;
        let (reconciled, answer) = match ledger.into_iter().find(|(known, _)| known == key) {
            Some((_, output)) => {
                let output: Value = serde_json::from_str(&output).map_err(ExecuteError::unavailable)?;
                (Reconciled::Completed(Outcome::new(output)), "it took place, and is not repeated")
            }
            None => (Reconciled::NotFound, "it never took place"),
        };
        let line = line("?", of(key).0.step, format!("asked the shop: {answer}"));
        self.account.say(run_of(key), &line).await.map_err(ExecuteError::unavailable)?;
        Ok(reconciled)
    }
}

/// What took place in the step of this name.
pub(crate) fn done(step: &StepName) -> &'static str {
    of(&format!("/{step}")).1
}

/// What took place when it was undone.
pub(crate) fn undone(step: &StepName) -> &'static str {
    of(&format!("/{step}/undo")).1
}

fn run_of(key: &str) -> &str {
    key.split('/').next().unwrap_or_default()
}

/// What a key of the form `RUN/STEP` or `RUN/STEP/undo` stands for, and what one says when it took place.
fn of(key: &str) -> (&'static Effect, &'static str) {
    let mut parts = key.split('/').skip(1);
    let step = parts.next();
    let effect = EFFECTS.iter().find(|effect| Some(effect.step) == step).unwrap_or(&EFFECTS[0]);
    (effect, if parts.next().is_some() { effect.undone } else { effect.done })
}
