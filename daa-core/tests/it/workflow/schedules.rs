//! Runs that start by themselves.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use daa_core::action::MAX_PARAMS;
use daa_core::clock::Timestamp;
use daa_core::event::{EventStore, MemoryEventStore, Position};
use daa_core::workflow::schedule::{CronSchedule, Every, MissedRuns, Overlap, Schedule};
use daa_core::workflow::testing::{CrashStore, Script, World};
use daa_core::workflow::{Recurring, RunQuery, Step, Workflow, WorkflowError};
use serde_json::json;
use tokio::sync::watch;

use super::stores::{Behind, IcyLog};
use super::world::{Bench, alice};

const HOUR: Duration = Duration::from_secs(3600);

fn tidy() -> Workflow {
    Workflow::new("tidy".parse().unwrap()).with_step(Step::action(
        "tidy".parse().unwrap(),
        "a".parse().unwrap(),
        json!({}),
    ))
}

fn hourly(id: &str) -> Schedule {
    Schedule::new(id.parse().unwrap(), Every::new(HOUR).unwrap()).unwrap()
}

fn recurring(schedule: Schedule) -> Recurring {
    Recurring::new(schedule, "tidy".parse().unwrap(), alice(), json!(null))
}

async fn starts(bench: &Bench) -> Vec<u64> {
    let runs = bench.engine.runs(&RunQuery::new()).await.unwrap().runs;
    let mut starts: Vec<u64> =
        runs.iter().map(|run| run.run.as_str().rsplit('/').next().unwrap().parse().unwrap()).collect();
    starts.sort_unstable();
    starts
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_could_start_no_run_is_refused() {
    let bench = Bench::new();
    bench.engine.register(tidy()).await.unwrap();
    let given = |bytes: usize| {
        let input = json!("x".repeat(bytes - 2));
        Recurring::new(hourly("hourly"), "tidy".parse().unwrap(), alice(), input)
    };
    let refused = bench.engine.schedule(given(MAX_PARAMS + 1)).await.unwrap_err();
    assert!(
        matches!(refused, WorkflowError::InputTooLarge { actual, limit: MAX_PARAMS } if actual == MAX_PARAMS + 1),
        "{refused:?}"
    );
    // Those are the runs of agents' plans.
    let refused = bench.engine.schedule(recurring(hourly("agent/alice"))).await.unwrap_err();
    assert!(matches!(refused, WorkflowError::ReservedRun { .. }), "{refused:?}");
    assert_eq!(bench.store.head().await.unwrap(), Position::new(1), "nothing but the definition was written");
    bench.engine.schedule(given(MAX_PARAMS)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_schedule_starts_a_run_at_each_occurrence_once_with_two_workers() {
    let bench = Bench::new();
    bench.engine.register(tidy()).await.unwrap();
    bench.engine.schedule(recurring(hourly("hourly"))).await.unwrap();
    let workers = [bench.serve("one"), bench.serve("two")];
    bench.clock.sleep_until(Timestamp::from_millis(5 * 3_600_000 + 60_000)).await;
    for worker in workers {
        worker.stop().await.unwrap();
    }
    assert_eq!(starts(&bench).await, [1, 2, 3, 4, 5].map(|hour| hour * 3_600_000));
    assert_eq!(bench.outside.log().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_made_up_for_as_the_policy_says() {
    for (missed, expected) in [
        (MissedRuns::RunOnce, vec![7]),
        (MissedRuns::RunAll { at_most: NonZeroU32::new(3).unwrap() }, vec![5, 6, 7]),
        (MissedRuns::Skip { grace: Duration::from_secs(600) }, vec![]),
    ] {
        let bench = Bench::new();
        bench.engine.register(tidy()).await.unwrap();
        let schedule = hourly("hourly").with_missed(missed).unwrap().with_overlap(Overlap::Allow);
        bench.engine.schedule(recurring(schedule)).await.unwrap();
        // Nobody serves for seven hours and a half.
        bench.clock.sleep_until(Timestamp::from_millis(7 * 3_600_000 + 1_800_000)).await;
        let worker = bench.serve("late");
        bench.clock.sleep(Duration::from_secs(300)).await;
        worker.stop().await.unwrap();
        let expected: Vec<u64> = expected.into_iter().map(|hour| hour * 3_600_000).collect();
        assert_eq!(starts(&bench).await, expected, "{missed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_still_open_holds_the_next_one_back() {
    for (overlap, expected) in [(Overlap::Skip, vec![1, 4]), (Overlap::QueueOne, vec![1, 2, 4])] {
        let bench = Bench::new();
        bench.outside.script("a", [Script::succeed(1).after(HOUR * 5 / 2)]);
        bench.engine.register(tidy()).await.unwrap();
        let schedule = hourly("slow").with_overlap(overlap);
        bench.engine.schedule(recurring(schedule)).await.unwrap();
        let worker = bench.serve("main");
        bench.clock.sleep_until(Timestamp::from_millis(4 * 3_600_000 + 60_000)).await;
        worker.stop().await.unwrap();
        let expected: Vec<u64> = expected.into_iter().map(|hour| hour * 3_600_000).collect();
        assert_eq!(starts(&bench).await, expected, "{overlap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_log_has_not_told_of_yet_holds_the_next_one_back_too() {
    let memory: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let (clock, outside) = (Bench::new().clock, World::new());
    let outside = outside.with_clock(clock.clone());
    outside.script("a", [Script::succeed(1).after(HOUR * 12 / 5)]);
    let (freeze, ice) = watch::channel(false);
    let behind: Arc<dyn EventStore> = Behind::new(IcyLog(ice), memory);
    let bench = Bench::on(CrashStore::new(behind), clock, outside, "rules 1");
    bench.engine.register(tidy()).await.unwrap();
    bench.engine.schedule(recurring(hourly("slow").with_overlap(Overlap::QueueOne))).await.unwrap();
    let worker = bench.serve("main");
    let at = |hours: f64| bench.clock.sleep_until(Timestamp::from_millis((hours * 3_600_000.0) as u64));
    at(0.9).await;
    freeze.send_replace(true);
    // The first run is started, and the worker does not hear of it.
    at(2.5).await;
    assert_eq!(starts(&bench).await, [3_600_000]);
    freeze.send_replace(false);
    at(4.8).await;
    assert_eq!(starts(&bench).await, [3_600_000], "it is under way");
    at(5.1).await;
    assert_eq!(starts(&bench).await, [3_600_000, 2 * 3_600_000, 5 * 3_600_000]);
    worker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_between_run_and_schedule_strands_neither() {
    let bench = Bench::new();
    bench.engine.register(tidy()).await.unwrap();
    bench.engine.schedule(recurring(hourly("hourly"))).await.unwrap();
    let worker = bench.serve("main");
    bench.clock.sleep_until(Timestamp::from_millis(3_600_000 + 1_000)).await;
    worker.kill();
    let again = bench.restart();
    again.engine.register(tidy()).await.unwrap();
    let worker = again.serve("main");
    again.clock.sleep_until(Timestamp::from_millis(2 * 3_600_000 + 60_000)).await;
    worker.stop().await.unwrap();
    assert_eq!(starts(&again).await, [3_600_000, 7_200_000]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_schedule_starts_nothing_and_makes_up_for_nothing() {
    let bench = Bench::new();
    bench.engine.register(tidy()).await.unwrap();
    bench.engine.schedule(recurring(hourly("hourly"))).await.unwrap();
    let id = "hourly".parse().unwrap();
    bench.engine.pause_schedule(&id).await.unwrap();
    let worker = bench.serve("main");
    bench.clock.sleep_until(Timestamp::from_millis(3 * 3_600_000 + 60_000)).await;
    bench.engine.resume_schedule(&id).await.unwrap();
    bench.clock.sleep_until(Timestamp::from_millis(4 * 3_600_000 + 60_000)).await;
    bench.engine.unschedule(&id).await.unwrap();
    bench.clock.sleep_until(Timestamp::from_millis(6 * 3_600_000 + 60_000)).await;
    worker.stop().await.unwrap();
    assert_eq!(starts(&bench).await, [4 * 3_600_000]);
    let gone = bench.engine.view_schedule(&id).await;
    assert!(matches!(gone, Err(WorkflowError::UnknownSchedule { name }) if name == "hourly"));
}

#[tokio::test(start_paused = true)]
async fn a_night_in_berlin_starts_at_two_in_winter_and_in_summer() {
    // 2026-03-27, 12:00 UTC; clocks go forward on the 29th.
    let noon = Timestamp::from_millis(1_774_612_800_000);
    let bench = Bench::at(noon);
    bench.engine.register(tidy()).await.unwrap();
    let cron = CronSchedule::new("0 4 * * *", "Europe/Berlin").unwrap();
    let schedule = Schedule::new("nightly".parse().unwrap(), cron).unwrap();
    bench.engine.schedule(recurring(schedule)).await.unwrap();
    let worker = bench.serve("main");
    bench.clock.sleep(Duration::from_secs(3 * 24 * 3600)).await;
    worker.stop().await.unwrap();
    // 03:00 UTC in winter, 02:00 UTC in summer.
    assert_eq!(starts(&bench).await, [1_774_666_800_000, 1_774_749_600_000, 1_774_836_000_000]);
}
