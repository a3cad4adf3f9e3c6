//! Directories that the swarm must not touch.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::program::{swarm, text};

fn refused(data: &Path, more: &[&str]) -> String {
    let output = swarm()
        .args(["--rounds", "3", "--quiet", "--data-dir"])
        .arg(data)
        .args(more)
        .output()
        .expect("the example starts");
    assert!(!output.status.success(), "{} was accepted", data.display());
    text(&output.stderr)
}

fn run(data: &Path) {
    let output =
        swarm().args(["--rounds", "3", "--quiet", "--data-dir"]).arg(data).output().expect("it starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
    let error = refused(dir.path(), &[]);
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(dir.path().join("thesis.tex")).unwrap(), "years of work");
}

#[test]
fn the_run_of_another_seed_is_not_continued() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    run(&data);
    let error = refused(&data, &["--seed", "8"]);
    assert!(error.contains("seed"), "{error}");
    run(&data);
}

#[test]
fn a_corrupt_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    run(&data);
    let events = data.join("events.db");
    let mut bytes = fs::read(&events).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x5a);
    fs::write(&events, &bytes).unwrap();
    let error = refused(&data, &[]);
    assert!(error.contains("corrupt") || error.contains("damaged"), "{error}");
    assert_eq!(fs::read(&events).unwrap(), bytes, "a refused store must not be changed");
}

#[test]
fn a_directory_in_use_is_refused_and_the_one_who_uses_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut command = swarm();
    command.args(["--rounds", "8", "--quiet", "--data-dir"]).arg(&data);
    let mut first = command.spawn().expect("the example starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !data.join("events.db").exists() {
        assert!(Instant::now() < deadline && first.try_wait().unwrap().is_none(), "it never began");
        std::thread::yield_now();
    }
    let error = refused(&data, &[]);
    assert!(error.contains("in use"), "{error}");
    assert!(first.wait_with_output().unwrap().status.success());
}
