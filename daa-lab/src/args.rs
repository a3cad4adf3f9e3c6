//! What the program is told.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Nodes of DAA behind real NATs, on one machine.
///
/// Each node is a process in a network namespace of its own. Half of them are behind NATs of the Linux kernel; between all of them lies
/// a line with delay and loss. The lab ends with 0 only if everything that its scene promises was seen.
#[derive(Clone, Debug, Parser)]
#[command(name = "nat_lab")]
pub(crate) struct Args {
    /// What is played.
    #[arg(value_enum, default_value_t = Scene::Swarm)]
    pub(crate) scene: Scene,

    /// How long a packet takes to the other side and another one back, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=2_000))]
    pub(crate) rtt: u64,

    /// How many of a hundred packets are lost on their way.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    pub(crate) loss: f64,

    /// Which packets are lost.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Writes what was measured there, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Writes what each node logs there; `RUST_LOG` says what.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) logs: Option<PathBuf>,

    /// Says only whether this machine can run the lab, and what is missing.
    #[arg(long)]
    pub(crate) check: bool,

    /// Runs one node, as the lab tells it to.
    #[arg(long, hide = true, value_name = "JSON")]
    pub(crate) node: Option<String>,
}

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scene {
    /// Twenty nodes, ten of them behind NATs: all reach each other; a hub is killed, and its leaves find another.
    Swarm,
    /// Two nodes behind NATs that keep their ports: a relayed connection becomes a direct one.
    Punch,
    /// Two nodes behind NATs that give each connection another port: the relay stays.
    Symmetric,
    /// A node behind a NAT and a public one learn which of them others can call.
    Autonat,
    /// Three nodes of one local network find each other without being told of anybody.
    Lan,
}

impl Scene {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number from 0 to 50".to_owned())?;
    if (0.0..=50.0).contains(&value) { Ok(value) } else { Err("a number from 0 to 50".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_about_the_line_is_within_bounds() {
        let parsed = |args: &[&str]| Args::try_parse_from([&["nat_lab"], args].concat());
        let args = parsed(&["punch", "--loss", "2.5", "--rtt", "10"]).unwrap();
        assert_eq!((args.scene, args.loss, args.rtt), (Scene::Punch, 2.5, 10));
        for wrong in [["--loss", "51"], ["--loss", "NaN"], ["--loss", "-1"], ["--rtt", "2001"]] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
    }
}
