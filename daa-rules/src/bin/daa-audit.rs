//! `daa-audit`, with the keys that this crate knows: those of Ed25519.

use std::process::ExitCode;

fn main() -> ExitCode {
    daa_rules::audit::program::main(&[])
}
