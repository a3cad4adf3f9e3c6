//! A swarm behind NATs, on this machine: `nat_lab --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daa_lab::main()
}
