//! The example `swarm`, as a person runs it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The built example.
pub(crate) fn swarm() -> Command {
    example("swarm")
}

/// A built example by its name. `cargo test` builds examples before it runs tests.
pub(crate) fn example(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().expect("the test's own path");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is not built; run `cargo build --examples` first", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end, and returns what `--json` wrote.
pub(crate) fn json_of(arguments: &[&str]) -> Value {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("out.json");
    let output =
        swarm().args(arguments).arg("--quiet").arg("--json").arg(&file).output().expect("the example starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&std::fs::read(&file).expect("the JSON file")).expect("well-formed JSON")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn refused(arguments: &[&str]) -> Output {
    let output = swarm().args(arguments).output().expect("the example starts");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    output
}

fn agent<'a>(result: &'a Value, id: &str) -> &'a Value {
    let agents = result["agents"].as_array().expect("a list of agents");
    agents.iter().find(|agent| agent["id"] == id).unwrap_or_else(|| panic!("no {id} in {agents:?}"))
}

#[test]
fn one_attacker_and_one_death_do_not_keep_the_swarm_from_learning() {
    let result = json_of(&["--seed", "7"]);
    let (accuracy, baseline) = (result["accuracy"].as_f64().unwrap(), result["baseline"].as_f64().unwrap());
    assert!(accuracy >= 0.96, "{accuracy}");
    assert!(baseline - accuracy <= 0.015, "{accuracy} against {baseline}");
    assert_eq!(result["ledger"]["sum"], 0);
    assert_eq!(result["audit"]["verified"], true);
    assert_eq!(result["resumed_from_round"], Value::Null);
    assert!(result["bytes_sent"].as_u64().unwrap() * 10 < result["bytes_ddp_fp32"].as_u64().unwrap());

    let (killed, hostile, late) =
        (agent(&result, "agent-3"), agent(&result, "agent-4"), agent(&result, "agent-6"));
    assert_eq!((&killed["status"], &killed["slashed"]), (&"lost".into(), &"0".into()));
    assert_eq!(hostile["status"], "slashed");
    assert_ne!(hostile["slashed"], "0");
    assert_eq!(late["status"], "active");
    assert!(late["rounds"].as_u64().unwrap() >= 1);
    assert!(late["rounds"].as_u64().unwrap() < agent(&result, "agent-1")["rounds"].as_u64().unwrap());
    for id in ["agent-1", "agent-2", "agent-5"] {
        assert_eq!(agent(&result, id)["status"], "active");
        assert_eq!(agent(&result, id)["slashed"], "0");
    }

    // Paid by the round: whoever did fewer rounds has less.
    let paid = |id: &str| agent(&result, id)["reward"].as_str().unwrap().parse::<u128>().unwrap();
    assert!(paid("agent-1") > paid("agent-3"));
    assert!(paid("agent-1") > paid("agent-4"));
}

#[test]
fn without_the_defence_the_same_attack_ruins_the_model() {
    let result = json_of(&["--seed", "7", "--aggregate", "mean"]);
    let accuracy = result["accuracy"].as_f64().unwrap();
    assert!(accuracy < 0.6, "{accuracy}");
    assert_eq!(agent(&result, "agent-4")["status"], "slashed");
}

#[test]
fn the_same_seed_gives_the_same_model() {
    let options = ["--rounds", "5", "--seed", "11"];
    let (one, two) = (json_of(&options), json_of(&options));
    assert_eq!(one["model_blake3"], two["model_blake3"]);
    let other = json_of(&["--rounds", "5", "--seed", "12"]);
    assert_ne!(one["model_blake3"], other["model_blake3"]);
}

#[test]
fn bad_values_are_refused_with_code_two_and_a_reason() {
    for (arguments, reason) in [
        (&["--agents", "0"][..], "agents"),
        (&["--rounds", "many"], "many"),
        (&["--task", "chess"], "digits"),
        (&["--kill", "3"], "N@ROUND"),
        (&["--kill", "9@2"], "the agents are 1 to 5"),
        (&["--kill", "3@99"], "the rounds are 1 to"),
        (&["--attackers", "3"], "fewer than half"),
        (&["--aggregate", "median"], "mean"),
        (&["--attackers", "4000000000"], "4000000000"),
        (&["--json", "/nowhere/at/all.json"], "/nowhere/at/all.json"),
        (&["--frobnicate"], "--frobnicate"),
    ] {
        let output = refused(arguments);
        assert!(text(&output.stderr).contains(reason), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn the_report_opens_from_disk_and_needs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report");
    let output = swarm()
        .args(["--rounds", "6", "--quiet", "--report"])
        .arg(&report)
        .output()
        .expect("the example starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("agent-4"));
    let links = page.split(['"', '\'']).filter(|part| part.contains("://") && !part.contains(' '));
    let foreign: Vec<&str> = links.filter(|link| !link.contains("www.w3.org")).collect();
    assert!(foreign.is_empty(), "the page must not lead or load anywhere: {foreign:?}");
    assert!(!page.contains("<script"));
}
