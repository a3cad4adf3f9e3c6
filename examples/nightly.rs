//! A report every night, by the clock on the wall: a week of it in a moment, because time is virtual.
//!
//!     cargo run --example nightly                                        # the night without a half past two
//!     cargo run --example nightly -- --from 2026-10-23 --missed all      # the night that has two of them
//!     cargo run --example nightly -- --cron "0 8 * * MON-FRI" --zone Asia/Tokyo
//!
//! From the fourth day to the sixth the machine is off. What becomes of the reports of those nights is a policy.

use std::error::Error;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use daa::core::clock::VirtualClock;
use daa::core::id::ScheduleId;
use daa::core::shutdown::ShutdownTrigger;
use daa::core::workflow::schedule::{CronSchedule, MissedRuns, Overlap, Schedule};
use daa::core::workflow::{Recurring, RunEvent, RunQuery, Workflow, WorkflowEngine, WorkflowError};
use daa::prelude::*;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::task::JoinHandle;

const REPORT: &str = r#"
workflow: report
steps:
  - step: collect
    action: { kind: figures.collect, with: { region: "${input.region}" } }
  - step: write
    action: { kind: report.write, with: { figures: "${collect}" } }
"#;

const RULES: &str = r#"
[[rule]]
on = "figures.collect"
effect = "permit"

[[rule]]
on = "report.write"
effect = "permit"
"#;

const HOUR: Duration = Duration::from_secs(3_600);

/// A report every night, by the clock on the wall: a week of it in a moment.
#[derive(Clone, Debug, Parser)]
#[command(name = "nightly", version)]
struct Args {
    /// When: minute, hour, day of the month, month, day of the week
    #[arg(long, value_name = "PATTERN", default_value = "30 2 * * *")]
    cron: String,

    /// By the clock on whose wall
    #[arg(long, value_name = "ZONE", default_value = "Europe/Berlin")]
    zone: String,

    /// The first day
    #[arg(long, value_name = "DATE", default_value = "2026-03-27")]
    from: Date,

    /// What becomes of reports that were missed while the machine was off
    #[arg(long, value_enum, default_value_t = Missed::Latest)]
    missed: Missed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Missed {
    /// The latest is made up for
    Latest,
    /// All are made up for
    All,
    /// None is made up for
    None,
}

impl From<Missed> for MissedRuns {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Latest => Self::RunOnce,
            Missed::All => Self::RunAll { at_most: NonZeroU32::MIN.saturating_add(99) },
            Missed::None => Self::Skip { grace: HOUR },
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let cron = CronSchedule::new(&args.cron, &args.zone).unwrap_or_else(|error| refuse(&error));
    let zone = TimeZone::get(&args.zone).unwrap_or_else(|error| refuse(&error));
    // Time passes only while nothing else happens, and then at once.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(week(&args, cron, zone))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ends the program, because what was given makes no sense.
fn refuse(reason: &(dyn Error + 'static)) -> ! {
    let reason = std::iter::successors(Some(reason), |error| (**error).source()).map(ToString::to_string);
    Args::command().error(ErrorKind::ValueValidation, reason.collect::<Vec<_>>().join(": ")).exit()
}

async fn week(args: &Args, cron: CronSchedule, zone: TimeZone) -> Result<(), Box<dyn Error>> {
    let noon = args.from.at(12, 0, 0, 0).to_zoned(zone.clone())?.timestamp();
    let clock = Arc::new(VirtualClock::new(Timestamp::from_millis(noon.as_millisecond().try_into()?)));
    let store = Arc::new(MemoryEventStore::new());
    let rules = RulesEngine::new(Ruleset::from_toml(RULES)?);
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(rules)).build();
    let engine = WorkflowEngine::builder(store.clone(), clock.clone(), gate)
        .with_executor("figures.collect".try_into()?, takes(HOUR / 4, clock.clone()))
        .with_executor("report.write".try_into()?, takes(HOUR / 12, clock.clone()))
        .build();

    let id: ScheduleId = "nightly".try_into()?;
    let schedule =
        Schedule::new(id.clone(), cron)?.with_missed(args.missed.into())?.with_overlap(Overlap::QueueOne);
    engine.register(Workflow::from_yaml(REPORT)?).await?;
    let input = json!({ "region": "north" });
    engine.schedule(Recurring::new(schedule, "report".try_into()?, "editor".try_into()?, input)).await?;

    let wall = Wall { zone, clock };
    println!("a report at {:?} by the clock of {}\n", args.cron, args.zone);
    let telling = tokio::spawn(tell(store.subscribe(store.head().await?).await?, wall.clone()));
    wall.say("the machine is on");
    let machine = Machine::on(&engine)?;
    wall.clock.sleep(HOUR * 72).await;
    machine.off().await?;
    wall.say("the machine is off");
    wall.clock.sleep(HOUR * 48).await;
    wall.say("the machine is on again");
    let machine = Machine::on(&engine)?;
    wall.clock.sleep(HOUR * 48).await;
    machine.off().await?;
    telling.abort();

    let (runs, state) = (engine.runs(&RunQuery::new()).await?.runs, engine.view_schedule(&id).await?.state);
    let next =
        engine.view_schedule(&id).await?.recurring.schedule.recurrence().next_after(state.considered_to());
    let next = next.map_or_else(|| "never".to_owned(), |next| wall.at(next));
    println!("\n{} reports in 7 days; the next one: {next}", runs.len());
    Ok(())
}

/// What performs runs, as long as it is on.
struct Machine {
    trigger: ShutdownTrigger,
    serving: JoinHandle<Result<(), WorkflowError>>,
}

impl Machine {
    fn on(engine: &WorkflowEngine) -> Result<Self, Box<dyn Error>> {
        let (trigger, shutdown) = ShutdownTrigger::new();
        let (engine, name) = (engine.clone(), "main".try_into()?);
        let serving = tokio::spawn(async move { engine.serve(name, Default::default(), shutdown).await });
        Ok(Self { trigger, serving })
    }

    async fn off(self) -> Result<(), Box<dyn Error>> {
        self.trigger.trigger();
        Ok(self.serving.await??)
    }
}

/// An executor that takes its time.
fn takes(span: Duration, clock: Arc<VirtualClock>) -> impl Executor + 'static {
    executor_fn(move |_| {
        let clock = clock.clone();
        Box::pin(async move {
            clock.sleep(span).await;
            Ok(Outcome::new("done"))
        })
    })
}

/// The clock on the wall.
#[derive(Clone)]
struct Wall {
    zone: TimeZone,
    clock: Arc<VirtualClock>,
}

impl Wall {
    fn at(&self, moment: Timestamp) -> String {
        let moment = jiff::Timestamp::from_millisecond(moment.as_millis().try_into().unwrap_or(i64::MAX));
        moment.map_or_else(
            |_| "later".to_owned(),
            |moment| moment.to_zoned(self.zone.clone()).strftime("%a %d %b  %H:%M %Z").to_string(),
        )
    }

    fn say(&self, text: &str) {
        println!("  {:<24}{text}", self.at(self.clock.now()));
    }
}

/// Tells which report begins, and which is done.
async fn tell(mut news: daa::core::event::Subscription, wall: Wall) {
    while let Ok(Some(event)) = news.next().await {
        match RunEvent::read(&event) {
            Ok(Some(RunEvent::Started(started))) => {
                let due = started.run.as_str().rsplit('/').next().and_then(|millis| millis.parse().ok());
                let due = Timestamp::from_millis(due.unwrap_or_default());
                let late = event.at.since(due).as_secs() / 3_600;
                let late = if late == 0 {
                    String::new()
                } else {
                    format!(", {late} hours late: it was due {}", wall.at(due))
                };
                println!("  {:<24}› report begins{late}", wall.at(event.at));
            }
            Ok(Some(RunEvent::Ended(_))) => println!("  {:<24}✓ report done", wall.at(event.at)),
            _ => {}
        }
    }
}
