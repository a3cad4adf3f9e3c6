//! The command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use daa::core::id::RunId;
use daa::prelude::*;

/// A payment that waits for a person.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "approval",
    version,
    after_help = "People: alice asks, bob and carol approve, carol is a director.\nExit codes: 0 it was done, \
                  2 the command line is wrong, 3 the payment was not made, 4 the answer was refused."
)]
pub(crate) struct Args {
    /// What alice wants to pay, in EUR
    #[arg(long, value_name = "EUR", default_value = "480.00", value_parser = cents)]
    pub(crate) amount: i64,

    /// Whom she wants to pay
    #[arg(long, value_name = "NAME", default_value = "Acme Supplies")]
    pub(crate) to: String,

    /// How long she waits for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) within: u64,

    /// Wait for a payment that was started before
    #[arg(long, value_name = "RUN", conflicts_with_all = ["approve", "reject", "list"])]
    pub(crate) wait: Option<RunId>,

    /// Approve a payment that waits
    #[arg(long, value_name = "RUN", requires = "by", conflicts_with_all = ["reject", "list"])]
    pub(crate) approve: Option<RunId>,

    /// Turn a payment down that waits
    #[arg(long, value_name = "RUN", requires = "by", requires = "because", conflicts_with = "list")]
    pub(crate) reject: Option<RunId>,

    /// Who answers
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<AgentId>,

    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: Option<String>,

    /// Show what waits
    #[arg(long)]
    pub(crate) list: bool,

    /// Where payments are kept [default: daa-approval in the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

impl Args {
    /// Ends the program where what was given makes no sense together.
    pub(crate) fn check(&self) {
        if self.by.is_some() && self.approve.is_none() && self.reject.is_none() {
            let reason = "--by goes with --approve RUN or --reject RUN";
            Self::command().error(ErrorKind::ValueValidation, reason).exit();
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| std::env::temp_dir().join("daa-approval"))
    }

    /// What to type for the same payments.
    pub(crate) fn command_line(&self, arguments: &str) -> String {
        let data = self.data_dir.as_ref().map(|dir| format!("--data-dir {} ", dir.display()));
        format!("cargo run --example approval -- {}{arguments}", data.unwrap_or_default())
    }
}

fn cents(text: &str) -> Result<i64, String> {
    let euro = Currency::new("EUR", 2).map_err(|error| error.to_string())?;
    let money = euro.parse(text).map_err(|error| error.to_string())?;
    i64::try_from(money.amount().units()).map_err(|_| format!("{text} is too much"))
}
