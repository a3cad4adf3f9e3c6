//! An order that survives its own process: kill it at the worst moment, run it again, and everything took place once.
//!
//!     cargo run --example crash_and_resume
//!     cargo run --example crash_and_resume -- --crash-at charge                       # then again, without it
//!     cargo run --example crash_and_resume -- --fail-at send --crash-at undo:charge   # then again, without them
//!
//! Four steps in the systems of a shop, each with an undo. The engine never knows of the crash beforehand: the process
//! is aborted after an effect took place in the outside world and before anybody wrote that down.

mod account;
mod args;
mod shop;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use daa::core::id::RunId;
use daa::core::shutdown::ShutdownTrigger;
use daa::core::workflow::{HistoryEntry, RunEvent, RunOutcome, RunQuery, Start, Workflow, WorkflowEngine};
use daa::prelude::*;
use serde_json::json;

use crate::account::Account;
use crate::args::Args;
use crate::shop::Shop;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

const ORDER: &str = r#"
workflow: order
about: From the shelf to the customer, or back.
input: { item: string, cents: integer }
undo_required: true
steps:
  - step: reserve
    action: { kind: stock.reserve, with: { item: "${input.item}" } }
    gives: { id: string }
    undo: { action: { kind: stock.release, with: { reservation: "${reserve.id}" } } }
  - step: charge
    action: { kind: card.charge, with: { cents: "${input.cents}", for: "${reserve.id}" } }
    gives: { id: string }
    undo: { action: { kind: card.refund, with: { charge: "${charge.id}" } } }
  - step: book
    action: { kind: courier.book, with: { parcel: "${reserve.id}", paid: "${charge.id}" } }
    gives: { id: string }
    undo: { action: { kind: courier.cancel, with: { booking: "${book.id}" } } }
  - step: send
    action: { kind: receipt.send, with: { charge: "${charge.id}", tracking: "${book.id}" } }
    gives: { id: string }
    undo: { action: { kind: receipt.correct, with: { receipt: "${send.id}" } } }
output: { tracking: "${book.id}", receipt: "${send.id}" }
"#;

const RULES: &str = r#"
[[rule]]
on = "card.charge"
when = "action.params.cents <= 100000"
effect = "permit"

[[rule]]
on = "*"
when = 'action.kind != "card.charge"'
effect = "permit"
"#;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(RunOutcome::Completed { .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error}{}", causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<RunOutcome, Failure> {
    let data = args.data_dir();
    std::fs::create_dir_all(data.parent().unwrap_or(&data))
        .map_err(|error| format!("cannot make a folder for {}: {error}", data.display()))?;
    let dir = DataDir::open(&data)?;
    let (store, clock) = (dir.events().clone(), Arc::new(SystemClock::new()));
    let account = Arc::new(Account::new(store.clone()));
    let shop = Arc::new(Shop::open(&data, args, account.clone()));

    let rules = RulesEngine::new(Ruleset::from_toml(RULES)?);
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(rules)).build();
    let engine =
        WorkflowEngine::builder(store.clone(), clock, gate).with_executors(shop::executors(&shop)?).build();
    engine.register(Workflow::from_yaml(ORDER)?).await?;

    // An order that a crash left behind goes on; otherwise the next one begins.
    let orders = engine.runs(&RunQuery::new()).await?.runs;
    // The one that began last comes first.
    let last =
        orders.first().and_then(|order| order.run.as_str().strip_prefix("order-")?.parse::<u64>().ok());
    let open = || orders.iter().filter(|order| order.status.is_open());
    let resumed = open().next().filter(|_| !args.new);
    let run = match resumed {
        Some(order) => order.run.clone(),
        None => RunId::new(format!("order-{}", last.unwrap_or_default() + 1))?,
    };
    if resumed.is_none() {
        args.check_reachable();
    }
    account.begin(&run, &data).await?;
    if resumed.is_none() {
        let input = json!({ "item": "espresso machine", "cents": 24_900 });
        engine.start(Start::new(run.clone(), "order".try_into()?, "shop".try_into()?, input)).await?;
    }

    let (trigger, shutdown) = ShutdownTrigger::new();
    let (worker, name) = (engine.clone(), "main".try_into()?);
    let mut serving = tokio::spawn(async move { worker.serve(name, Default::default(), shutdown).await });
    for unfinished in open().map(|order| &order.run).filter(|other| **other != run).chain([&run]) {
        tokio::select! {
            ended = account.follow(engine.outcome(unfinished)) => ended?,
            stopped = &mut serving => return Err(stopped?.map_or_else(Into::into, |()| "the worker stopped".into())),
        };
    }
    trigger.trigger();
    serving.await??;

    if args.explain {
        print!("\n  how it came about\n{}", engine.explain(&run).await?);
    }
    let outcome = engine.outcome(&run).await?;
    println!("\n{}\n{}", shop.effects(&run)?, closing(&outcome, &engine.history(&run).await?));
    if let Some(file) = &args.diagram {
        std::fs::write(file, engine.svg(&run).await?)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        println!("picture: {}", file.display());
    }
    println!("\n{}", args.next(&outcome, resumed.is_some()));
    store.close().await;
    Ok(outcome)
}

/// How it ended, and how many processes that took: each life of the worker takes the order anew.
fn closing(outcome: &RunOutcome, history: &[HistoryEntry]) -> String {
    let lives = history.iter().filter(|entry| matches!(entry.event, RunEvent::Claimed(_))).count();
    let by =
        if lives == 1 { "one process".to_owned() } else { format!("{lives} processes, one after the other") };
    match outcome {
        RunOutcome::Completed { .. } => format!("done by {by}"),
        RunOutcome::RolledBack { cause, left } if left.is_empty() => format!("undone by {by}: {cause}"),
        other => format!("{other:?}"),
    }
}

/// The causes of an error, in one line.
fn causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |error| (**error).source());
    causes.map(|cause| format!(": {cause}")).collect()
}
