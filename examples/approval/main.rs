//! A payment that waits for a person, however long that takes, and whichever process is there when the answer comes.
//!
//!     cargo run --example approval                                           # starts a payment, and waits
//!     cargo run --example approval -- --approve payment-1 --by bob           # in a second terminal
//!     cargo run --example approval -- --amount 25000                         # a director has to agree, too
//!     cargo run --example approval -- --wait payment-1                       # after a Ctrl-C: goes on
//!
//! The rules say who may approve what. An answer holds for exactly what was asked: it names its digest.

mod answer;
mod args;
mod bank;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use daa::core::id::RunId;
use daa::core::shutdown::ShutdownTrigger;
use daa::core::workflow::{
    ApprovalRequest, RunEvent, RunOutcome, RunQuery, RunView, Start, Wait, WorkerOptions, Workflow,
    WorkflowEngine, WorkflowError,
};
use daa::prelude::*;
use daa::store::sqlite::{Sharing, SqliteOptions};
use serde_json::json;

use crate::args::Args;
use crate::bank::Bank;

const PAYMENT: &str = r#"
workflow: payment
about: A second person looks at every payment before it is made.
input: { to: string, cents: integer, asked_by: string }
steps:
  - step: review
    approval:
      of: { actor: "${input.asked_by}", cents: "${input.cents}", to: "${input.to}" }
      within: WITHIN
  - step: pay
    after: [review]
    action: { kind: payment.send, with: { to: "${input.to}", cents: "${input.cents}" } }
output: "${pay}"
"#;

const RULES: &str = r#"
[[rule]]
on = "payment.send"
effect = "permit"

[[rule]]
on = "payment.send"
when = "action.params.cents > 1000000"
effect = "escalate"
reason = "more than 10000.00 EUR: a director has to agree"

[[rule]]
on = "workflow.approve"
when = 'action.actor in ["alice", "bob", "carol"]'
effect = "permit"

[[rule]]
on = "workflow.approve"
when = 'action.actor == action.params.subject.actor'
effect = "deny"
reason = "nobody approves of a payment of their own"

[[rule]]
on = "workflow.approve"
when = 'action.params.step == "pay" && action.actor != "carol"'
effect = "deny"
reason = "only carol is a director"
"#;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    args.check();
    run(&args).await.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let data = args.data_dir();
    std::fs::create_dir_all(data.parent().unwrap_or(&data))
        .map_err(|error| format!("cannot make a folder for {}: {error}", data.display()))?;
    // Both terminals have it open at the same time.
    let dir = DataDir::open_with(&data, SqliteOptions::default().with_sharing(Sharing::Processes))?;
    let (store, clock) = (dir.events().clone(), Arc::new(SystemClock::new()));
    let rules = RulesEngine::new(Ruleset::from_toml(RULES)?);
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(rules)).build();
    let bank = Bank { folder: data.join("paid") };
    let engine = WorkflowEngine::builder(store.clone(), clock, gate)
        .with_executor("payment.send".try_into()?, bank)
        .build();

    let terminal = Terminal { engine, store, args };
    let code = match (&args.approve, &args.reject) {
        (Some(run), _) => terminal.answer(run, true).await?,
        (_, Some(run)) => terminal.answer(run, false).await?,
        _ if args.list => terminal.list().await?,
        _ => terminal.pay().await?,
    };
    terminal.store.close().await;
    Ok(code)
}

/// One of the terminals.
struct Terminal<'a> {
    engine: WorkflowEngine,
    store: Arc<SqliteEventStore>,
    args: &'a Args,
}

impl Terminal<'_> {
    /// Starts a payment, or finds it again, and performs it as soon as it was approved.
    async fn pay(&self) -> Result<ExitCode, Failure> {
        let within = format!("{}s", self.args.within);
        self.engine.register(Workflow::from_yaml(&PAYMENT.replace("WITHIN", &within))?).await?;
        let run = match &self.args.wait {
            Some(run) => run.clone(),
            None => self.next().await?,
        };
        if self.args.wait.is_none() {
            let asker: AgentId = "alice".try_into()?;
            let input = json!({ "to": self.args.to, "cents": self.args.amount, "asked_by": asker.as_str() });
            self.engine.start(Start::new(run.clone(), "payment".try_into()?, asker, input)).await?;
        }
        println!("{run}: {}\n", what(&self.engine.view(&run).await?));

        let (trigger, shutdown) = ShutdownTrigger::new();
        let (worker, name) = (self.engine.clone(), format!("terminal-{}", std::process::id()).try_into()?);
        // Both terminals have the same clock, and whoever goes on after a Ctrl-C need not wait long.
        let options =
            WorkerOptions::default().with_lease(Duration::from_secs(1)).with_clock_skew(Duration::ZERO);
        let mut serving = tokio::spawn(async move { worker.serve(name, options, shutdown).await });
        let outcome = tokio::select! {
            outcome = self.follow(&run) => outcome?,
            stopped = &mut serving => return Err(stopped?.map_or_else(Into::into, |()| "the worker stopped".into())),
        };
        trigger.trigger();
        serving.await??;
        Ok(match outcome {
            RunOutcome::Completed { .. } => ExitCode::SUCCESS,
            _ => ExitCode::from(3),
        })
    }

    /// The id of the next payment: behind the one that began last.
    async fn next(&self) -> Result<RunId, Failure> {
        let last = self.engine.runs(&RunQuery::new().with_page(1)).await?.runs.pop();
        let last = last.and_then(|last| last.run.as_str().strip_prefix("payment-")?.parse::<u64>().ok());
        Ok(RunId::new(format!("payment-{}", last.unwrap_or_default() + 1))?)
    }

    /// Shows what happens to a payment, until it has ended.
    async fn follow(&self, run: &RunId) -> Result<RunOutcome, WorkflowError> {
        let mut news = self.store.subscribe(self.store.head().await?).await?;
        let mut told = 0;
        loop {
            let history = self.engine.history(run).await?;
            while let Some(entry) = history.get(told) {
                told += 1;
                let answered =
                    history.iter().skip(told).any(|entry| matches!(entry.event, RunEvent::Decided { .. }));
                if !(answered && matches!(entry.event, RunEvent::Waiting { .. })) {
                    self.tell(run, &entry.event);
                }
                if let RunEvent::Ended(outcome) = &entry.event {
                    return Ok(outcome.clone());
                }
            }
            news.next().await?;
        }
    }

    fn tell(&self, run: &RunId, event: &RunEvent) {
        match event {
            RunEvent::Waiting { task, on: Wait::Approval(request), until } => {
                let who = if task.step.as_str() == "pay" { "carol" } else { "bob" };
                let answer = |how: String| self.args.command_line(&format!("--{how} --by {who}"));
                println!("  … {task} waits for a person");
                show(request, *until);
                println!("    answer in a second terminal:\n");
                println!("      {}", answer(format!("approve {run}")));
                println!("      {}\n", answer(format!("reject {run} --because \"we ordered nothing\"")));
            }
            RunEvent::Decided { approval, .. } if approval.approved => {
                println!("  ✓ approved by {}", approval.by)
            }
            RunEvent::Decided { approval, .. } => {
                println!("  ✗ turned down by {}: {}", approval.by, approval.comment)
            }
            RunEvent::AskedAgain { .. } => println!("  … the rules have changed: asked again"),
            RunEvent::Succeeded { task, output, .. } if task.step.as_str() == "pay" => {
                println!("  ✓ paid: {output}")
            }
            RunEvent::Ended(RunOutcome::RolledBack { cause, .. }) => println!("\nnot paid: {cause}"),
            RunEvent::Ended(_) => println!("\ndone"),
            _ => {}
        }
    }
}

/// A payment in words.
fn what(view: &RunView) -> String {
    let (input, cents) = (&view.started.input, view.started.input["cents"].as_u64().unwrap_or_default());
    let to = input["to"].as_str().unwrap_or_default();
    format!("{} wants to pay {}.{:02} EUR to {to}", view.started.actor, cents / 100, cents % 100)
}

/// What is asked, and for how long.
fn show(request: &ApprovalRequest, until: Option<Timestamp>) {
    println!("      what    {}", request.reason);
    println!("      digest  {}", request.subject);
    let left = until.map_or(0, |until| until.since(SystemClock::new().now()).as_secs());
    let left = match left {
        0..120 => format!("{left} s"),
        120..7_200 => format!("{} min", left.div_ceil(60)),
        7_200..172_800 => format!("{} h", left.div_ceil(3_600)),
        _ => format!("{} days", left.div_ceil(86_400)),
    };
    println!("      within  {left}\n");
}
