//! The example that grows, as a person runs it.

use std::process::Output;

use crate::program::{example, text};

const SAID: &str = "\
10.40 is asked: too dear
 9.80 is asked: bought
 9.10 is asked: bought
11.00 is asked: too dear
 8.70 is asked: bought
 9.90 is asked: failed: refused: budget hourly allows 2.40 USD more in this period, 9.90 USD are needed
22.40 USD is left
what coffee is worth was looked up: 1
purchases the auditor heard of: 3
";

fn grow(arguments: &[&str]) -> Output {
    example("grow").args(arguments).output().expect("the example starts")
}

#[test]
fn it_says_the_same_on_a_file_and_in_memory_and_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", dir.path().join("events.db").display());
    for store in [&file, "memory:", &file] {
        let output = grow(&["--store", store]);
        assert!(output.status.success(), "{store}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), SAID, "{store}");
    }
}

#[test]
fn a_backend_that_there_is_none_of_is_refused_with_those_that_there_are() {
    let output = grow(&["--store", "mysql://me:s3cret@localhost"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("memory, sqlite, postgres") && !said.contains("s3cret"), "{said}");
}
