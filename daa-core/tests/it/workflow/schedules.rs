//! Runs that start by themselves.

use std::num::NonZeroU32;
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::workflow::schedule::{CronSchedule, Every, MissedRuns, Overlap, Schedule};
use daa_core::workflow::testing::Script;
use daa_core::workflow::{Recurring, Step, Workflow, WorkflowError};
use serde_json::json;

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
    let runs = bench.engine.runs().await.unwrap();
    let mut starts: Vec<u64> =
        runs.iter().map(|run| run.run.as_str().rsplit('/').next().unwrap().parse().unwrap()).collect();
    starts.sort_unstable();
    starts
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
