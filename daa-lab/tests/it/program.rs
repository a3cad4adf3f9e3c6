//! What the program says where it does not run.

use std::process::{Command, Output};

fn lab(args: &[&str], path: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nat_lab"));
    command.args(args).env("PATH", path).output().unwrap()
}

#[test]
fn who_lacks_a_program_is_told_which_one() {
    let output = lab(&["punch"], "/nowhere");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("there is no program unshare") && said.contains("util-linux"), "{said}");
}

#[test]
fn wrong_arguments_are_refused() {
    let output = lab(&["nonsense"], "/nowhere");
    assert_eq!(output.status.code(), Some(2));
}
