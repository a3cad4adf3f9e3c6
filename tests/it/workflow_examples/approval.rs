//! A payment that one process waits for and another answers.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Output};

use crate::program::{example, text};

/// The first terminal, in which a payment waits.
struct Waiting {
    program: Child,
    said: BufReader<ChildStdout>,
}

impl Waiting {
    /// Starts a payment, and reads until it waits for a person.
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut program = example("approval");
        let mut program = program.arg("--data-dir").arg(data).args(arguments).spawn().expect("it starts");
        let said = BufReader::new(program.stdout.take().expect("a pipe"));
        let mut waiting = Self { program, said };
        waiting.read_until("--reject");
        waiting
    }

    fn read_until(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).expect("text"), 0, "it ended before it said {words:?}");
        }
    }

    fn ends(mut self, words: &str, code: i32) {
        self.read_until(words);
        assert_eq!(self.program.wait().expect("it ends").code(), Some(code));
    }

    fn kill(mut self) {
        self.program.kill().expect("it is killed");
        self.program.wait().expect("it ends");
    }
}

/// The second terminal.
fn answer(data: &Path, arguments: &[&str]) -> Output {
    example("approval").arg("--data-dir").arg(data).args(arguments).output().expect("it starts")
}

fn accepted(data: &Path, arguments: &[&str]) {
    let output = answer(data, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
}

fn refused(data: &Path, arguments: &[&str], why: &str) {
    let output = answer(data, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{arguments:?}: {said}");
    assert!(said.contains(why), "{arguments:?}: {said}");
}

fn paid(data: &Path) -> usize {
    std::fs::read_dir(data.join("paid")).map_or(0, Iterator::count)
}

#[test]
fn an_answer_from_a_second_process_lets_the_first_one_pay() {
    let dir = tempfile::tempdir().unwrap();
    let waiting = Waiting::start(dir.path(), &[]);
    assert!(text(&answer(dir.path(), &["--list"]).stdout).contains("payment-1 (review)"));
    accepted(dir.path(), &["--approve", "payment-1", "--by", "bob"]);
    waiting.ends("done", 0);
    assert_eq!(paid(dir.path()), 1);
    refused(dir.path(), &["--approve", "payment-1", "--by", "carol"], "bob approved it");
    assert!(text(&answer(dir.path(), &["--list"]).stdout).contains("nothing waits"));
}

#[test]
fn who_is_not_entitled_is_refused_and_the_payment_waits_on() {
    let dir = tempfile::tempdir().unwrap();
    let waiting = Waiting::start(dir.path(), &[]);
    refused(dir.path(), &["--approve", "payment-1", "--by", "alice"], "alice may not");
    refused(dir.path(), &["--approve", "payment-1", "--by", "mallory"], "mallory may not");
    refused(dir.path(), &["--approve", "payment-7", "--by", "bob"], "no payment payment-7");
    accepted(dir.path(), &["--reject", "payment-1", "--by", "bob", "--because", "we ordered nothing"]);
    waiting.ends("we ordered nothing", 3);
    assert_eq!(paid(dir.path()), 0);
}

#[test]
fn a_large_payment_takes_a_director_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut waiting = Waiting::start(dir.path(), &["--amount", "25000"]);
    accepted(dir.path(), &["--approve", "payment-1", "--by", "bob"]);
    waiting.read_until("--reject");
    refused(dir.path(), &["--approve", "payment-1", "--by", "bob"], "bob may not");
    assert_eq!(paid(dir.path()), 0);
    accepted(dir.path(), &["--approve", "payment-1", "--by", "carol"]);
    waiting.ends("done", 0);
    assert_eq!(paid(dir.path()), 1);
}

#[test]
fn an_answer_outlives_the_process_that_waited_for_it_and_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    Waiting::start(dir.path(), &[]).kill();
    accepted(dir.path(), &["--approve", "payment-1", "--by", "bob"]);
    refused(dir.path(), &["--reject", "payment-1", "--by", "carol", "--because", "no"], "bob has answered");
    assert_eq!(paid(dir.path()), 0);
    accepted(dir.path(), &["--wait", "payment-1"]);
    assert_eq!(paid(dir.path()), 1);
}

#[test]
fn nobody_approves_what_has_expired() {
    let dir = tempfile::tempdir().unwrap();
    Waiting::start(dir.path(), &["--within", "1"]).kill();
    let output = answer(dir.path(), &["--wait", "payment-1"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    refused(dir.path(), &["--approve", "payment-1", "--by", "bob"], "nobody answered in time");
    assert_eq!(paid(dir.path()), 0);
}

#[test]
fn bad_values_are_refused_with_code_two_and_what_is_right() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, right) in [
        (&["--approve", "payment-1"][..], "--by"),
        (&["--reject", "payment-1", "--by", "bob"], "--because"),
        (&["--by", "bob"], "--approve RUN"),
        (&["--amount", "much"], "12.50"),
        (&["--within", "0"], "1..=604800"),
        (&["--list", "--approve", "payment-1", "--by", "bob"], "cannot be used with"),
    ] {
        let output = answer(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(right), "{arguments:?}: {}", text(&output.stderr));
    }
}
