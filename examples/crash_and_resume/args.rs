//! The command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use daa::core::workflow::RunOutcome;

/// An order that survives its own process: kill it at the worst moment, run it again, and everything took place once.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "crash_and_resume",
    version,
    after_help = "Exit codes: 0 the order is done, 2 the command line is wrong, 3 the order was rolled back."
)]
pub(crate) struct Args {
    /// Die after this step took effect, and before that is written down; undo:STEP dies while undoing
    #[arg(long, value_name = "STEP", value_parser = MOMENTS)]
    pub(crate) crash_at: Option<String>,

    /// Let the shop turn this step down, so that everything before it is undone
    #[arg(long, value_name = "STEP", value_parser = STEPS)]
    pub(crate) fail_at: Option<String>,

    /// Start another order, even though one is unfinished
    #[arg(long)]
    pub(crate) new: bool,

    /// Show everything that happened, crash by crash
    #[arg(long)]
    pub(crate) explain: bool,

    /// Draw the order as an SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) diagram: Option<PathBuf>,

    /// Where orders are kept [default: daa-crash-and-resume in the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

const STEPS: [&str; 4] = ["reserve", "charge", "book", "send"];
const MOMENTS: [&str; 7] = ["reserve", "charge", "book", "send", "undo:reserve", "undo:charge", "undo:book"];

impl Args {
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| std::env::temp_dir().join("daa-crash-and-resume"))
    }

    /// Ends the program where a new order would never come to the moment of the crash.
    pub(crate) fn check_reachable(&self) {
        let Some(crash_at) = &self.crash_at else { return };
        let moments = self.moments();
        if moments.contains(crash_at) {
            return;
        }
        let moments = moments.join(", ");
        let reason = match &self.fail_at {
            Some(fail_at) => {
                format!("--crash-at {crash_at}: with --fail-at {fail_at} an order takes effect at {moments}")
            }
            None => format!(
                "--crash-at {crash_at}: nothing is undone unless a later step fails; add --fail-at send"
            ),
        };
        Self::command().error(ErrorKind::ValueValidation, reason).exit();
    }

    /// When a new order takes effect, in this order.
    fn moments(&self) -> Vec<String> {
        let fails = |step: &&str| self.fail_at.as_deref() == Some(step);
        let done: Vec<&str> = STEPS.iter().copied().take_while(|step| !fails(step)).collect();
        let undone =
            done.iter().rev().map(|step| format!("undo:{step}")).filter(|_| done.len() < STEPS.len());
        done.iter().map(|step| (*step).to_owned()).chain(undone).collect()
    }

    /// What to type next.
    pub(crate) fn next(&self, outcome: &RunOutcome, resumed: bool) -> String {
        let unmet =
            self.crash_at.as_ref().map(|at| format!("it was past {at} already, so nothing crashed\n"));
        let hint = match outcome {
            RunOutcome::Completed { .. } if !resumed => "--crash-at charge",
            RunOutcome::Completed { .. } => "--fail-at send",
            _ if !resumed => "--fail-at send --crash-at undo:charge",
            _ => "--explain --diagram order.svg",
        };
        format!("{}next: {}", unmet.unwrap_or_default(), self.command_line(hint))
    }

    /// What to type after the crash that was asked for.
    pub(crate) fn again(&self) -> String {
        format!("now the same again, without the crash: {}", self.command_line(""))
    }

    fn command_line(&self, more: &str) -> String {
        let data = self.data_dir.as_ref().map(|dir| format!("--data-dir {} ", dir.display()));
        let arguments = format!("{}{more}", data.unwrap_or_default());
        let separator = if arguments.is_empty() { "" } else { " -- " };
        format!("cargo run --example crash_and_resume{separator}{}", arguments.trim_end())
    }
}
