//! `daa-audit`, which also knows the keys of `daa-crypto` that sign checkpoints beside the log's: `--also KEY`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daa::rules::audit::program::main(&[daa::audit::read_key])
}
