//! One process at a time, killed at random moments.

use std::time::{Duration, Instant, SystemTime};

use daa_core::seed::Seed;
use rand::RngExt as _;

use super::effects::everything;
use super::process::{Process, budget, check};

#[tokio::test]
async fn a_hundred_workflows_complete_with_each_effect_once_however_often_their_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Seed::from_u64(5).child("kill").rng();
    let (until, mut kills) = (SystemTime::now() + budget(), 0);
    while SystemTime::now() < until {
        let mut process = Process::spawn(dir.path(), "main", false, until);
        let moment = Duration::from_millis(rng.random_range(0..700));
        // Some die before they are ready, while they create or recover the store.
        if rng.random_range(0..4) > 0 {
            while process.says(Duration::from_secs(60)).expect("a line") != "ready" {}
        }
        let deadline = Instant::now() + moment;
        while let Some(line) = process.says(deadline.saturating_duration_since(Instant::now())) {
            assert_ne!(line, "done", "there is always a run to perform before the time is over");
        }
        drop(process);
        kills += 1;
    }
    Process::spawn(dir.path(), "main", false, until).done(Duration::from_secs(120));
    assert!(kills > 5, "{kills} kills prove little");
    let again = everything(dir.path()).iter().filter(|line| line.attempt > 1).count();
    assert!(again > 0, "nothing was interrupted");
    println!("{kills} kills, {again} effects of a later attempt");
    check(dir.path().to_owned(), false).await;
}
