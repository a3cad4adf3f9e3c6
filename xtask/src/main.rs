//! Chores of the project: `cargo xtask tidy` and `cargo xtask docs`.

mod tidy;

use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask COMMAND

  tidy    checks what no compiler checks: which crate may depend on which, file sizes, links in documents
  docs    builds the API documentation with warnings as errors
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let done = match command.as_deref() {
        Some("tidy") => tidy::run(),
        Some("docs") => docs(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn docs() -> Result<(), String> {
    let status = Command::new(env!("CARGO"))
        .args(["doc", "--workspace", "--no-deps", "--exclude", "xtask"])
        // The conformance suites are documented, and linked to; so are schedules and the adapters to servers.
        .args(["--features", "daa-core/test-util,daa-crypto/hqc,daa-crypto/test-util,daa-core/schedule,daa-rules/audit,daa-store/live"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the documentation does not build".to_owned()) }
}
