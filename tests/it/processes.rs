//! The swarm with each agent a process of its own, and `kill -9` for any of them at any moment.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use daa::core::seed::Seed;
use rand::RngExt;
use serde_json::Value;

use crate::program::{json_of, swarm, text};

const OPTIONS: [&str; 6] = ["--rounds", "6", "--seed", "5", "--kill", "3@3"];
/// Long enough for a slow machine.
const PATIENT: Duration = Duration::from_secs(180);

fn of_processes(options: &[&str]) -> Vec<String> {
    options.iter().chain(&["--transport", "process"]).map(|&option| option.to_owned()).collect()
}

fn pids(result: &Value) -> BTreeSet<u64> {
    let processes = result["processes"].as_array().expect("a list of processes");
    let pids = processes.iter().flat_map(|process| process["pids"].as_array().expect("a list of pids"));
    pids.map(|pid| pid.as_u64().expect("a pid")).collect()
}

#[test]
fn processes_train_the_same_model_as_tasks() {
    let tasks = json_of(&OPTIONS);
    let options = of_processes(&OPTIONS);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let processes = json_of(&options);
    for same in ["model_blake3", "agents", "accuracy", "bytes_sent", "rounds"] {
        assert_eq!(processes[same], tasks[same], "{same}");
    }
    assert_eq!((&tasks["transport"], &tasks["ledger"]["books"]), (&"memory".into(), &1.into()));
    assert_eq!((&processes["transport"], &processes["ledger"]["books"]), (&"process".into(), &7.into()));
    assert_eq!(pids(&tasks).len(), 0);
    assert_eq!(pids(&processes).len(), 6, "six agents, none of which died but by the script");
    let killed: Vec<&Value> = processes["processes"].as_array().unwrap().iter().collect();
    let killed: Vec<&Value> = killed
        .into_iter()
        .filter(|process| process["killed"] == true)
        .map(|process| &process["agent"])
        .collect();
    assert_eq!(killed, ["agent-3"]);
    for result in [&tasks, &processes] {
        assert_eq!(result["ledger"]["sum"], 0);
        assert_eq!(
            (&result["audit"]["verified"], &result["audit"]["unpermitted"]),
            (&true.into(), &0.into())
        );
    }
}

#[test]
fn a_run_of_tasks_is_not_continued_with_processes() {
    let dir = tempfile::tempdir().unwrap();
    let run = |transport| {
        let mut command = swarm();
        command.args(["--rounds", "3", "--quiet", "--transport", transport, "--data-dir"]);
        command.arg(dir.path().join("data")).output().expect("the example starts")
    };
    assert!(run("memory").status.success());
    let output = run("process");
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("--transport memory"), "{}", text(&output.stderr));
}

/// What the system knows of processes.
#[cfg(target_os = "linux")]
mod linux {
    use super::*;

    /// The number behind the name of a process, and whether it has ended and nobody has asked how.
    fn parent(pid: u32) -> Option<(u32, bool)> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let is_zombie = fields.next()? == "Z";
        Some((fields.next()?.parse().ok()?, is_zombie))
    }

    /// The processes that a process has started and that live.
    fn children(of: u32) -> Vec<u32> {
        let all = std::fs::read_dir("/proc").expect("a list of processes");
        let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut found: Vec<u32> = pids.filter(|pid| parent(*pid) == Some((of, false))).collect();
        found.sort_unstable();
        found
    }

    fn lives(pid: u32) -> bool {
        parent(pid).is_some_and(|(_, is_zombie)| !is_zombie)
    }

    fn kill(pid: u32) {
        // It may have ended meanwhile.
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).output().expect("kill");
    }

    fn begin(data: &Path, json: &Path) -> Child {
        let mut command = swarm();
        command
            .args(of_processes(&OPTIONS))
            .arg("--quiet")
            .arg("--data-dir")
            .arg(data)
            .arg("--json")
            .arg(json);
        command.spawn().expect("the example starts")
    }

    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENT;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what} did not come about");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn agents_end_with_their_conductor() {
        let dir = tempfile::tempdir().unwrap();
        let mut conductor = begin(&dir.path().join("data"), &dir.path().join("out.json"));
        until("five agents", || children(conductor.id()).len() == 5);
        let agents = children(conductor.id());
        conductor.kill().unwrap();
        conductor.wait().unwrap();
        until("their end", || !agents.iter().any(|agent| lives(*agent)));
    }

    /// Kills agents and, now and then, the conductor, until the run ends by itself. Says how many of each were killed.
    fn run_through_kills(data: &Path, json: &Path, seed: &Seed, longest: Duration) -> (u32, u32, Value) {
        const AGENTS: u32 = 6;
        const CONDUCTORS: u32 = 2;
        let (mut rng, mut agents, mut conductors) = (seed.rng(), 0, 0);
        let mut conductor = begin(data, json);
        let mut next = Instant::now() + longest.mul_f64(rng.random::<f64>());
        let deadline = Instant::now() + 20 * PATIENT;
        loop {
            if conductor.try_wait().expect("it can be asked").is_some() {
                let output = conductor.wait_with_output().expect("its output");
                let killed = format!("after {agents} agents and {conductors} conductors");
                assert!(output.status.success(), "{killed}: {}", text(&output.stderr));
                let json = std::fs::read(json).expect("the JSON file");
                return (agents, conductors, serde_json::from_slice(&json).expect("well-formed JSON"));
            }
            assert!(Instant::now() < deadline, "the run never came to its end");
            if Instant::now() >= next && agents + conductors < AGENTS + CONDUCTORS {
                next = Instant::now() + longest.mul_f64(rng.random::<f64>());
                if conductors < CONDUCTORS && rng.random::<f64>() < 0.25 {
                    conductor.kill().expect("it can be killed");
                    conductor.wait().expect("it can be waited for");
                    conductors += 1;
                    conductor = begin(data, json);
                } else if agents < AGENTS {
                    let living = children(conductor.id());
                    if !living.is_empty() {
                        kill(living[rng.random_range(0..living.len())]);
                        agents += 1;
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_run_whose_processes_are_killed_at_random_ends_as_if_none_had_been() {
        let undisturbed = Instant::now();
        let options = of_processes(&OPTIONS);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let expected = json_of(&options);
        let once = undisturbed.elapsed();
        let seed = Seed::from_u64(2_025).child("kills of processes");
        let (mut agents, mut conductors) = (0, 0);
        for run in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let (data, json) = (dir.path().join("data"), dir.path().join("out.json"));
            let (more, most, result) = run_through_kills(&data, &json, &seed.nth(run), once.mul_f64(0.3));
            (agents, conductors) = (agents + more, conductors + most);
            let killed = format!("after {more} agents and {most} conductors");
            assert_eq!(result["model_blake3"], expected["model_blake3"], "{killed}");
            assert_eq!(
                result["agents"], expected["agents"],
                "{killed}: somebody was paid twice or not at all"
            );
            assert_eq!(result["ledger"]["sum"], 0);
            assert_eq!(result["ledger"]["accounts"], expected["ledger"]["accounts"], "{killed}");
            assert_eq!(result["audit"]["verified"], true, "{killed}: something is left open");
            if agents >= 8 && conductors >= 2 {
                return;
            }
        }
        panic!("only {agents} agents and {conductors} conductors were killed");
    }
}
