//! Whenever the process dies, everything takes place once.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::program::{example, text};

const DONE: [&str; 4] = ["reserve", "charge", "book", "send"];
const UNDONE: [&str; 6] = ["reserve", "charge", "book", "book/undo", "charge/undo", "reserve/undo"];

fn run(data: &Path, arguments: &[&str]) -> Output {
    let mut command = example("crash_and_resume");
    command.arg("--data-dir").arg(data).args(arguments).output().expect("the example starts")
}

/// Runs until the process dies of itself.
fn crash(data: &Path, arguments: &[&str]) {
    let output = run(data, arguments);
    assert!(!matches!(output.status.code(), Some(0..=3)), "{arguments:?}: {}", text(&output.stdout));
    assert!(text(&output.stdout).contains("†"), "{arguments:?}: {}", text(&output.stdout));
}

/// Runs to the end, which has this code; what the program said.
fn ends(data: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(data, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The effects in the outside world, in the order in which they took place, each as often as it did.
fn effects(data: &Path, order: &str) -> Vec<String> {
    let ledger = fs::read_to_string(data.join("shop.ledger")).expect("the ledger");
    let keys = ledger.lines().filter_map(|line| line.split('\t').next());
    keys.filter_map(|key| key.strip_prefix(order)?.strip_prefix('/')).map(str::to_owned).collect()
}

#[test]
fn after_a_crash_at_any_step_each_effect_takes_place_once() {
    let dir = tempfile::tempdir().unwrap();
    for (number, step) in (1..).zip(DONE) {
        crash(dir.path(), &["--crash-at", step]);
        let said = ends(dir.path(), &[], 0);
        assert!(said.contains("it took place, and is not repeated"), "{said}");
        assert!(said.contains("done by 2 processes"), "{said}");
        assert_eq!(effects(dir.path(), &format!("order-{number}")), DONE, "{step}");
    }
}

#[test]
fn after_a_crash_at_any_undo_each_undo_takes_place_once_and_in_reverse_order() {
    let dir = tempfile::tempdir().unwrap();
    for (number, step) in (1..).zip(["undo:book", "undo:charge", "undo:reserve"]) {
        crash(dir.path(), &["--fail-at", "send", "--crash-at", step]);
        ends(dir.path(), &[], 3);
        assert_eq!(effects(dir.path(), &format!("order-{number}")), UNDONE, "{step}");
    }
}

#[test]
fn an_order_that_crashes_at_every_moment_ends_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for moment in ["reserve", "charge", "book", "undo:book", "undo:charge", "undo:reserve"] {
        crash(dir.path(), &["--fail-at", "send", "--crash-at", moment]);
    }
    let said = ends(dir.path(), &["--explain"], 3);
    assert!(said.contains("undone by 7 processes"), "{said}");
    assert!(said.contains("life 7"), "{said}");
    assert_eq!(effects(dir.path(), "order-1"), UNDONE);
}

#[test]
fn what_was_done_before_a_failure_is_undone_in_reverse_order() {
    let dir = tempfile::tempdir().unwrap();
    ends(dir.path(), &["--fail-at", "reserve"], 3);
    ends(dir.path(), &["--fail-at", "charge"], 3);
    ends(dir.path(), &["--fail-at", "book"], 3);
    assert_eq!(effects(dir.path(), "order-1"), [] as [&str; 0]);
    assert_eq!(effects(dir.path(), "order-2"), ["reserve", "reserve/undo"]);
    assert_eq!(effects(dir.path(), "order-3"), ["reserve", "charge", "charge/undo", "reserve/undo"]);
}

#[test]
fn another_order_leaves_an_unfinished_one_whole() {
    let dir = tempfile::tempdir().unwrap();
    crash(dir.path(), &["--crash-at", "charge"]);
    ends(dir.path(), &["--new"], 0);
    assert_eq!(effects(dir.path(), "order-1"), DONE);
    assert_eq!(effects(dir.path(), "order-2"), DONE);
}

#[test]
fn the_picture_and_the_table_tell_what_became_of_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let picture = dir.path().join("order.svg");
    let said =
        ends(&dir.path().join("data"), &["--fail-at", "send", "--diagram", picture.to_str().unwrap()], 3);
    assert_eq!(said.lines().filter(|line| line.contains(" once ")).count(), UNDONE.len(), "{said}");
    let picture = fs::read_to_string(picture).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains("undone") && picture.contains("failed"));
}

#[test]
fn bad_values_are_refused_with_code_two_and_what_is_right() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, right) in [
        (&["--crash-at", "walk"][..], "undo:charge"),
        (&["--fail-at", "undo:book"], "reserve, charge, book, send"),
        (&["--crash-at", "undo:book"], "--fail-at send"),
        (&["--crash-at", "send", "--fail-at", "charge"], "reserve, undo:reserve"),
        (&["--crash-at", "charge", "--fail-at", "charge"], "reserve, undo:reserve"),
        (&["--frobnicate"], "--help"),
    ] {
        let output = run(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(right), "{arguments:?}: {}", text(&output.stderr));
    }
    assert!(!dir.path().join("shop.ledger").exists());
}
