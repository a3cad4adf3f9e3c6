//! Two processes on one store, one of them stopped for longer than its lease.

use std::time::{Duration, Instant, SystemTime};

use daa_core::seed::Seed;
use rand::RngExt as _;

use super::effects::everything;
use super::process::{Process, budget, check};

/// Far longer than a lease and what is allowed for the clocks.
const STOPPED: Duration = Duration::from_millis(1_800);

#[tokio::test]
async fn a_process_that_was_stopped_beyond_its_lease_does_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Seed::from_u64(6).child("stop").rng();
    let until = SystemTime::now() + budget();
    let mut east = Process::spawn(dir.path(), "east", true, until);
    while east.says(Duration::from_secs(60)).expect("a line") != "ready" {}
    // The first one is in the middle of its work when it is stopped, and stays so until the second one has had time
    // to take over: however quick or slow the machine is.
    tokio::time::sleep(Duration::from_millis(300)).await;
    east.signal("STOP");
    let mut west = Process::spawn(dir.path(), "west", true, until);
    // Where the first one was stopped in the middle of a transaction, it holds the lock of the file, and the second
    // one can write nothing: it is let go on for a moment, and stopped elsewhere.
    let started = Instant::now();
    while west.says(STOPPED).is_none_or(|line| line != "ready") {
        assert!(started.elapsed() < Duration::from_secs(60), "the second process never began");
        east.signal("CONT");
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..100))).await;
        east.signal("STOP");
    }
    let mut said = [Vec::new(), Vec::new()];
    let mut done = [false, false];
    let mut turn = 0;
    while SystemTime::now() < until && !done[0] && !done[1] {
        let processes = [&mut east, &mut west];
        processes[turn].signal("STOP");
        let other = 1 - turn;
        // What the other one says; nobody else speaks meanwhile.
        let until = Instant::now() + STOPPED;
        while !done[other]
            && let Some(line) = processes[other].says(until.saturating_duration_since(Instant::now()))
        {
            done[other] |= line == "done";
            said[other].push(line);
        }
        processes[turn].signal("CONT");
        let moment = Instant::now() + Duration::from_millis(rng.random_range(100..900));
        while !done[turn]
            && let Some(line) = processes[turn].says(moment.saturating_duration_since(Instant::now()))
        {
            done[turn] |= line == "done";
            said[turn].push(line);
        }
        turn = other;
    }
    for (at, process) in [&mut east, &mut west].into_iter().enumerate() {
        if !done[at] {
            said[at].extend(process.done(Duration::from_secs(120)));
        }
    }
    let said = said.concat();
    let count = |what: &str| -> u64 {
        said.iter()
            .filter_map(|line| line.strip_prefix(what))
            .map(|count| count.parse::<u64>().unwrap())
            .sum()
    };
    assert!(count("taken over ") > 0, "nobody took anything over: {said:?}");
    assert!(count("fenced ") > 0, "nobody came back late: {said:?}");
    let lines = everything(dir.path());
    let late = lines.iter().filter(|line| line.what == "late").count();
    println!("{late} late attempts were refused");
    check(dir.path().to_owned(), true).await;
}
