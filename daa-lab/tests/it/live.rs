//! Scenes in namespaces of this machine. Each has two cores to itself: one after the other.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Plays a scene, and gives what it reports. All of it has to be so.
fn play(args: &[&str]) -> Value {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_nat_lab")).args(args).arg("--json").arg(&file).output();
    let output = output.unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// How the pairs of a report are connected.
fn ways(report: &Value, at: usize) -> Vec<&str> {
    let pairs = report["pairs"][at]["pairs"].as_array().unwrap();
    pairs.iter().map(|pair| pair["how"].as_str().unwrap()).collect()
}

#[test]
fn holes_are_punched_where_nats_keep_ports() {
    assert_eq!(ways(&play(&["punch"]), 0), ["punched"]);
}

#[test]
fn the_relay_stays_where_nats_change_ports() {
    assert_eq!(ways(&play(&["symmetric"]), 0), ["relayed"]);
}

#[test]
fn nodes_learn_whether_others_can_call_them() {
    let report = play(&["autonat"]);
    assert_eq!(report["checks"].as_array().unwrap().len(), 6);
}

#[test]
fn nodes_of_a_local_network_find_each_other_by_multicast() {
    assert_eq!(ways(&play(&["lan", "--loss", "0"]), 0), ["local"; 3]);
}

#[test]
fn twenty_nodes_reach_each_other_and_the_leaves_of_a_killed_hub_find_others() {
    let report = play(&["swarm"]);
    let (before, after) = (ways(&report, 0), ways(&report, 1));
    assert_eq!((before.len(), after.len()), (190, 171));
    assert!([&before, &after].iter().all(|ways| !ways.contains(&"unreached")));
    // The two of one flat; others that can be called, or punch holes; and those behind NATs that change ports.
    for way in ["local", "direct", "punched", "relayed"] {
        assert!(before.contains(&way), "{way}: {before:?}");
    }
    assert!(!report["rehomed"].as_array().unwrap().is_empty());
}

/// The processes that were started with this among their arguments.
fn running(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())).count()
}

#[test]
fn nothing_is_left_when_the_program_is_killed() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // No other lab has this seed.
    let seed = format!("{}", 4_000_000_000_u64 + u64::from(std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_nat_lab"));
    let command = command.args(["symmetric", "--seed", &seed]).stdout(Stdio::piped());
    let mut lab = command.spawn().unwrap();
    let mut lines = BufReader::new(lab.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("a relay listens for each of them")));
    assert!(running(&seed) >= 2, "the one outside and the one inside");
    lab.kill().unwrap();
    lab.wait().unwrap();
    let killed = Instant::now();
    while running(&seed) > 0 {
        assert!(killed.elapsed() < Duration::from_secs(30), "{} are left", running(&seed));
        std::thread::sleep(Duration::from_millis(50));
    }
}
