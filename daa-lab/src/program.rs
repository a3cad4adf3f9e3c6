//! The program: what it is told, and how it ends.

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;

/// The machine cannot run the lab.
const MISSING: u8 = 3;

/// Runs `nat_lab` with the arguments of this process: 0 if all that the scene promises was seen, 1 if not, 2 for wrong arguments, 3 if this
/// machine cannot run it.
#[must_use]
pub fn main() -> ExitCode {
    run(&Args::parse())
}

#[cfg(target_os = "linux")]
fn run(args: &Args) -> ExitCode {
    use crate::linux::{Failure, node, outside, stage};

    let done = match &args.node {
        Some(part) => node::run(part),
        None if outside::is_inside() => stage::run(args),
        None => outside::enter(args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("nat_lab: {error}");
            ExitCode::from(if matches!(error, Failure::Missing { .. }) { MISSING } else { 1 })
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn run(_: &Args) -> ExitCode {
    eprintln!("nat_lab: the lab is made of network namespaces, which only Linux has");
    ExitCode::from(MISSING)
}
