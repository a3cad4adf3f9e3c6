//! A payment that waits for a person, however long that takes, and whichever process is there when the answer comes.
//!
//!     cargo run --example approval                                           # starts a payment, and waits
//!     cargo run --example approval -- --approve payment-1 --by bob           # in a second terminal
//!     cargo run --example approval -- --amount 25000                         # a director has to agree, too
//!
//! The rules say who may approve what. An answer holds for exactly what was asked: it names its digest.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use daa::core::action::Reconciled;
use daa::core::id::{ActionId, RunId};
use daa::core::shutdown::ShutdownTrigger;
use daa::core::workflow::{
    Answer, ApprovalRequest, Refused, RunEvent, RunOutcome, RunView, Start, Task, Wait, Workflow,
    WorkflowEngine, WorkflowError,
};
use daa::prelude::*;
use daa::store::sqlite::{Sharing, SqliteOptions};
use serde_json::{Value, json};

const PAYMENT: &str = r#"
workflow: payment
about: A second person looks at every payment before it is made.
input: { to: string, cents: integer, asked_by: string }
steps:
  - step: review
    approval:
      of: { pay: "${input.cents} cents", to: "${input.to}", actor: "${input.asked_by}" }
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

/// A payment that waits for a person.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "approval",
    version,
    after_help = "People: alice asks, bob and carol approve, carol is a director.\nExit codes: 0 it was done, \
                  2 the command line is wrong, 3 the payment was not made, 4 the answer was refused."
)]
struct Args {
    /// What alice wants to pay, in EUR
    #[arg(long, value_name = "EUR", default_value = "480.00", value_parser = cents)]
    amount: i64,

    /// Whom she wants to pay
    #[arg(long, value_name = "NAME", default_value = "Acme Supplies")]
    to: String,

    /// How long she waits for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    within: u64,

    /// Wait for a payment that was started before
    #[arg(long, value_name = "RUN", conflicts_with_all = ["approve", "reject", "list"])]
    wait: Option<RunId>,

    /// Approve a payment that waits
    #[arg(long, value_name = "RUN", requires = "by", conflicts_with_all = ["reject", "list"])]
    approve: Option<RunId>,

    /// Turn a payment down that waits
    #[arg(long, value_name = "RUN", requires = "by", requires = "because", conflicts_with = "list")]
    reject: Option<RunId>,

    /// Who answers
    #[arg(long, value_name = "NAME")]
    by: Option<AgentId>,

    /// Why
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,

    /// Show what waits
    #[arg(long)]
    list: bool,

    /// Where payments are kept [default: daa-approval in the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if args.by.is_some() && args.approve.is_none() && args.reject.is_none() {
        Args::command()
            .error(ErrorKind::ValueValidation, "--by goes with --approve RUN or --reject RUN")
            .exit();
    }
    run(&args).await.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let data = args.data_dir.clone().unwrap_or_else(|| std::env::temp_dir().join("daa-approval"));
    fs::create_dir_all(data.parent().unwrap_or(&data))?;
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
            None => RunId::new(format!("payment-{}", self.engine.runs().await?.len() + 1))?,
        };
        if self.args.wait.is_none() {
            let asker: AgentId = "alice".try_into()?;
            let input = json!({ "to": self.args.to, "cents": self.args.amount, "asked_by": asker.as_str() });
            self.engine.start(Start::new(run.clone(), "payment".try_into()?, asker, input)).await?;
        }
        println!("{run}: {}\n", what(&self.engine.view(&run).await?));

        let (trigger, shutdown) = ShutdownTrigger::new();
        let (worker, name) = (self.engine.clone(), format!("terminal-{}", std::process::id()).try_into()?);
        let serving = tokio::spawn(async move { worker.serve(name, Default::default(), shutdown).await });
        let outcome = self.follow(&run).await?;
        trigger.trigger();
        serving.await??;
        Ok(match outcome {
            RunOutcome::Completed { .. } => ExitCode::SUCCESS,
            _ => ExitCode::from(3),
        })
    }

    /// Shows what happens to a payment, until it has ended.
    async fn follow(&self, run: &RunId) -> Result<RunOutcome, WorkflowError> {
        let mut news = self.store.subscribe(self.store.head().await?).await?;
        let mut outcome = pin!(self.engine.outcome(run));
        let mut told = 0;
        loop {
            let history = self.engine.history(run).await?;
            history.iter().skip(told).for_each(|entry| self.tell(run, &entry.event));
            told = history.len();
            tokio::select! {
                ended = &mut outcome, if matches!(history.last().map(|entry| &entry.event), Some(RunEvent::Ended(_))) => return ended,
                event = news.next() => drop(event?),
            }
        }
    }

    fn tell(&self, run: &RunId, event: &RunEvent) {
        match event {
            RunEvent::Waiting { task, on: Wait::Approval(request), until } => {
                println!("  … {task} waits for somebody to approve");
                show(request, *until);
                println!("    in a second terminal:");
                println!("      {}", self.command(&format!("--approve {run} --by bob")));
                println!(
                    "      {}\n",
                    self.command(&format!("--reject {run} --by bob --because \"we ordered nothing\""))
                );
            }
            RunEvent::Decided { approval, .. } if approval.approved => {
                println!("  ✓ approved by {}", approval.by)
            }
            RunEvent::Decided { approval, .. } => {
                println!("  ✗ turned down by {}: {}", approval.by, approval.comment)
            }
            RunEvent::AskedAgain { .. } => println!("  … the rules have changed: asked again"),
            RunEvent::Succeeded { task, output } if task.step.as_str() == "pay" => {
                println!("  ✓ paid: {output}")
            }
            RunEvent::Ended(RunOutcome::RolledBack { cause, .. }) => println!("\nnot paid: {cause}"),
            RunEvent::Ended(_) => println!("\ndone"),
            _ => {}
        }
    }

    async fn answer(&self, run: &RunId, approved: bool) -> Result<ExitCode, Failure> {
        let Some(by) = self.args.by.clone() else { return Err("--by NAME is missing".into()) };
        match self.try_answer(run, by, approved).await {
            Ok(task) => {
                println!("{run}: {task} {}", if approved { "approved" } else { "turned down" });
                Ok(ExitCode::SUCCESS)
            }
            Err(WorkflowError::Refused(refused)) => {
                eprintln!("refused: {}", self.reason(run, &refused).await?);
                Ok(ExitCode::from(4))
            }
            Err(WorkflowError::UnknownRun { run }) => {
                eprintln!("refused: there is no payment {run}; see what waits: {}", self.command("--list"));
                Ok(ExitCode::from(4))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn try_answer(&self, run: &RunId, by: AgentId, approved: bool) -> Result<Task, WorkflowError> {
        let view = self.engine.view(run).await?;
        let waiting = view.approvals().next().map(|(task, request, _)| (task.clone(), request.subject));
        let answered = || {
            let mut steps = view.steps.iter().rev();
            steps.find_map(|step| Some((step.task.clone(), step.approval.as_ref()?.subject)))
        };
        let (task, subject) = waiting.or_else(answered).ok_or(Refused::Ended)?;
        let answer = if approved { Answer::approve } else { Answer::turn_down }(task.clone(), subject, by);
        let answer = answer.with_comment(self.args.because.clone().unwrap_or_default());
        self.engine.answer(run, answer).await?;
        Ok(task)
    }

    /// Why an answer is refused, and what would be right.
    async fn reason(&self, run: &RunId, refused: &Refused) -> Result<String, WorkflowError> {
        let again = self.command("--list");
        Ok(match refused {
            Refused::NotEntitled { by } => {
                format!("{by} may not answer this: it takes somebody else whom the rules permit")
            }
            Refused::Answered { by } => format!("{by} has answered it already, and once is enough"),
            Refused::Expired => "it has expired; ask again".to_owned(),
            Refused::RulesChanged { .. } => {
                format!("the rules have changed since; look at it again: {again}")
            }
            Refused::Ended => {
                let view = self.engine.view(run).await?;
                let answers = view.steps.iter().filter_map(|step| step.approval.as_ref());
                let answers: Vec<String> = answers
                    .map(|answer| {
                        format!(
                            "{} {}",
                            answer.by,
                            if answer.approved { "approved it" } else { "turned it down" }
                        )
                    })
                    .collect();
                let how = if answers.is_empty() {
                    "nobody answered in time".to_owned()
                } else {
                    answers.join(", ")
                };
                format!("it is over: {how}")
            }
            other => other.to_string(),
        })
    }

    async fn list(&self) -> Result<ExitCode, Failure> {
        let mut waiting = 0;
        for run in self.engine.runs().await?.iter().filter(|run| run.completed.is_none()) {
            let view = self.engine.view(&run.run).await?;
            for (task, request, until) in view.approvals() {
                waiting += 1;
                println!("{} ({task}): {}", run.run, what(&view));
                show(request, until);
            }
        }
        if waiting == 0 {
            println!("nothing waits");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn command(&self, arguments: &str) -> String {
        let data = self.args.data_dir.as_ref().map(|dir| format!("--data-dir {} ", dir.display()));
        format!("cargo run --example approval -- {}{arguments}", data.unwrap_or_default())
    }
}

/// A payment in words.
fn what(view: &RunView) -> String {
    let (input, cents) = (&view.started.input, view.started.input["cents"].as_u64().unwrap_or_default());
    let to = input["to"].as_str().unwrap_or_default();
    format!("{} wants to pay {}.{:02} EUR to {to}", view.started.actor, cents / 100, cents % 100)
}

/// What is asked, and until when.
fn show(request: &ApprovalRequest, until: Option<Timestamp>) {
    let left = until.map_or(Duration::MAX, |until| until.since(SystemClock::new().now()));
    println!("      what    {}", request.reason);
    println!("      digest  {}", request.subject);
    println!("      still   {} min {} s\n", left.as_secs() / 60, left.as_secs() % 60);
}

fn cents(text: &str) -> Result<i64, String> {
    let euro = Currency::new("EUR", 2).map_err(|error| error.to_string())?;
    let money = euro.parse(text).map_err(|error| error.to_string())?;
    i64::try_from(money.amount().units()).map_err(|_| format!("{text} is too much"))
}

/// Pays: the file named after the payment is the payment.
struct Bank {
    folder: PathBuf,
}

impl Bank {
    fn file(&self, id: &ActionId) -> PathBuf {
        self.folder.join(id.as_str().replace('/', "-"))
    }
}

#[async_trait]
impl Executor for Bank {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let file = self.file(action.id());
        fs::create_dir_all(&self.folder).map_err(ExecuteError::unavailable)?;
        fs::write(&file, action.params().to_string()).map_err(ExecuteError::interrupted)?;
        Ok(receipt(&file))
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let file = self.file(action.id());
        Ok(if file.exists() { Reconciled::Completed(receipt(&file)) } else { Reconciled::NotFound })
    }
}

fn receipt(file: &Path) -> Outcome {
    Outcome::new(Value::from(file.display().to_string()))
}
