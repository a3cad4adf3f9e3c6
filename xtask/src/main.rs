//! Chores of the project: `cargo xtask` says which.

mod tidy;

use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask COMMAND

  tidy       checks what no compiler checks: which crate may depend on which, file sizes, links in documents
  docs       builds the API documentation with warnings as errors
  features   says which features the documentation has, and the tests of `.ci/run`
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let done = match command.as_deref() {
        Some("tidy") => tidy::run(),
        Some("docs") => docs(),
        Some("features") => {
            println!("{}", FEATURES.join(","));
            Ok(())
        }
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

/// What the default features leave out, but Cedar, which changes how JSON is kept in the whole program, and what another
/// device is needed for.
const FEATURES: [&str; 14] = [
    "daa/cli",
    "daa/lab",
    "daa/nats",
    "daa/postgres",
    "daa/rabbitmq",
    "daa/redis",
    "daa/schedule",
    "daa-compute/live",
    "daa-core/test-util",
    "daa-crypto/hqc",
    "daa-lab/live",
    "daa-rules/audit-http",
    "daa-rules/audit-test",
    "daa-store/live",
];

fn docs() -> Result<(), String> {
    let status = Command::new(env!("CARGO"))
        .args(["doc", "--workspace", "--no-deps", "--exclude", "workspace-hack", "--exclude", "xtask"])
        .args(["--features", &FEATURES.join(",")])
        .env("RUSTDOCFLAGS", "-D warnings")
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the documentation does not build".to_owned()) }
}
