//! `kill -9` at any moment, and the same command again.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use daa::core::seed::Seed;
use rand::RngExt;
use serde_json::Value;

use crate::program::{json_of, swarm, text};

const OPTIONS: [&str; 6] = ["--rounds", "8", "--seed", "5", "--kill", "3@4"];
const KILLS: usize = 20;

/// Waits for the child to end, at most until the deadline; kills it there, without warning.
fn ends_before(child: &mut Child, deadline: Instant) -> bool {
    loop {
        if child.try_wait().expect("the child can be asked").is_some() {
            return true;
        }
        if Instant::now() >= deadline {
            child.kill().expect("the child can be killed");
            child.wait().expect("the child can be waited for");
            return false;
        }
        std::thread::yield_now();
    }
}

/// Starts the run over and over and kills it after a random while, until it ends by itself. Returns how often it
/// was killed, and the result.
fn run_through_kills(data: &Path, json: &Path, seed: &Seed, longest: Duration) -> (usize, Value) {
    let mut rng = seed.rng();
    for kills in 0..500 {
        let mut command = swarm();
        command.args(OPTIONS).arg("--quiet").arg("--data-dir").arg(data).arg("--json").arg(json);
        let mut child = command.spawn().expect("the example starts");
        let span = longest.mul_f64(rng.random::<f64>());
        if ends_before(&mut child, Instant::now() + span) {
            let output = child.wait_with_output().expect("its output");
            assert!(output.status.success(), "after {kills} kills: {}", text(&output.stderr));
            let json = std::fs::read(json).expect("the JSON file");
            return (kills, serde_json::from_slice(&json).expect("well-formed JSON"));
        }
    }
    panic!("the run never came to its end");
}

#[test]
fn a_run_that_is_killed_at_random_ends_as_if_it_had_not_been() {
    let undisturbed = Instant::now();
    let expected = json_of(&OPTIONS);
    let once = undisturbed.elapsed();
    let seed = Seed::from_u64(2_024).child("kills");
    let (mut kills, mut resumed) = (0, 0);
    for run in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (data, json) = (dir.path().join("data"), dir.path().join("out.json"));
        let (killed, result) = run_through_kills(&data, &json, &seed.nth(run), once.mul_f64(0.7));
        kills += killed;
        resumed += usize::from(result["resumed_from_round"].is_u64());
        assert_eq!(result["model_blake3"], expected["model_blake3"], "after {killed} kills");
        assert_eq!(
            result["agents"], expected["agents"],
            "after {killed} kills: somebody was paid twice or not at all"
        );
        assert_eq!(result["ledger"]["sum"], 0);
        assert_eq!(result["ledger"]["accounts"], expected["ledger"]["accounts"], "after {killed} kills");
        assert_eq!(result["audit"]["verified"], true, "something is left open after {killed} kills");
        if kills >= KILLS {
            break;
        }
    }
    assert!(resumed > 0, "no run was ever resumed");
}

#[test]
fn a_finished_run_is_shown_again_and_nothing_is_done_twice() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().expect("a plain path");
    let options: Vec<&str> = ["--rounds", "4", "--data-dir", data].to_vec();
    let (first, second) = (json_of(&options), json_of(&options));
    assert_eq!(second["resumed_from_round"], 4);
    for same in ["model_blake3", "agents", "ledger", "accuracy", "bytes_sent"] {
        assert_eq!(first[same], second[same], "{same}");
    }
}
