//! `daa-rules`: checks rulesets, runs their tests, and explains what they decide and decided.
//!
//! It ends with 0 where nothing is to be told, with 1 where there are findings, and with 2 where it was used wrongly or a
//! file could not be read.

mod check;
mod decide;
mod history;
mod output;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use daa_core::id::ActionId;

use crate::output::{Findings, Output};

/// Checks rulesets, runs their tests, and explains what they decide.
#[derive(Parser)]
#[command(name = "daa-rules")]
struct Arguments {
    /// Writes JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tells what is wrong with rulesets: errors, and rules that never match or never count.
    Check {
        /// Rulesets in TOML, YAML or JSON.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Runs the tests in a ruleset, and tells which rules they do not reach.
    Test {
        /// A ruleset.
        file: PathBuf,
    },
    /// Decides a request, and tells why.
    Simulate {
        /// A ruleset.
        file: PathBuf,
        /// A request in JSON; `-` is the standard input.
        request: PathBuf,
    },
    /// Tells why decisions on record are what they are.
    Explain {
        /// A ruleset.
        file: PathBuf,
        /// A journal: JSON lines, as `daa_rules::export` writes them; `-` is the standard input.
        journal: PathBuf,
        /// Only decisions about this action.
        #[arg(long)]
        action: Option<ActionId>,
        /// Only the decision at this position of the log.
        #[arg(long)]
        position: Option<u64>,
    },
    /// Tells what a ruleset would have decided otherwise.
    Backtest {
        /// A ruleset.
        file: PathBuf,
        /// A journal: JSON lines, as `daa_rules::export` writes them; `-` is the standard input.
        journal: PathBuf,
    },
}

fn main() -> ExitCode {
    // Ends with 2 itself when it is used wrongly.
    let Arguments { json, command } = Arguments::parse();
    let mut out = Output::new(json);
    let done = match command {
        Command::Check { files } => check::check(&files, &mut out),
        Command::Test { file } => test::test(&file, &mut out),
        Command::Simulate { file, request } => decide::simulate(&file, &request, &mut out),
        Command::Explain { file, journal, action, position } => {
            history::explain(&file, &journal, &history::Wanted { action, position }, &mut out)
        }
        Command::Backtest { file, journal } => history::backtest(&file, &journal, &mut out),
    };
    match done {
        Ok(Findings::None) => ExitCode::SUCCESS,
        Ok(Findings::Some) => ExitCode::FAILURE,
        // Whoever read the output has seen enough.
        Err(error) if output::is_closed(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            output::tell(&*error);
            ExitCode::from(2)
        }
    }
}
