//! The command line of the swarm.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};
use daa::net::NodeId;
use daa::net::transport::Multiaddr;

/// Five agents that do not trust each other train one model: governed, paid and audited.
#[derive(Clone, Debug, Parser)]
#[command(name = "swarm", version, about, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// How many agents start; one more joins late
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=32))]
    pub(crate) agents: u32,

    /// How many rounds to train [default: 24 for digits, 20 for text]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) rounds: Option<u64>,

    /// The seed that everything random derives from
    #[arg(long, value_name = "S", default_value_t = 7)]
    pub(crate) seed: u64,

    /// What to learn
    #[arg(long, value_enum, default_value_t = Task::Digits)]
    pub(crate) task: Task,

    /// How many agents turn hostile and send poisoned updates
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=32))]
    pub(crate) attackers: u32,

    /// Which agent dies in the middle of which round, or "none" [default: 3 at half time]
    #[arg(long, value_name = "N@ROUND")]
    pub(crate) kill: Option<Kill>,

    /// How updates are combined
    #[arg(long, value_enum, default_value_t = Aggregate::CenteredClip)]
    pub(crate) aggregate: Aggregate,

    /// Keep everything in this folder, and resume from it
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write a page with the curves, and the evidence against whoever cheated
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,

    /// Print nothing but errors
    #[arg(long)]
    pub(crate) quiet: bool,

    /// How the agents reach the coordinator
    #[arg(long, value_enum, default_value_t = Transport::Memory)]
    pub(crate) transport: Transport,

    #[command(flatten)]
    pub(crate) job: Option<Job>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// They are tasks of this process
    Memory,
    /// Each is a process of its own, with its own key and books, and reaches the coordinator over QUIC
    Process,
}

/// What a process is started with that is one agent of a swarm. Nobody but the conductor starts one.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Job {
    /// Which agent it is
    #[arg(long, hide = true, required = false)]
    pub(crate) agent: u32,

    /// The folder with its key and its books
    #[arg(long, hide = true, required = false)]
    pub(crate) home: PathBuf,

    /// The node of the coordinator, and no other
    #[arg(long, hide = true, required = false)]
    pub(crate) coordinator: NodeId,

    /// Where that is
    #[arg(long, hide = true, required = false)]
    pub(crate) at: Multiaddr,

    /// Do nothing but bring to an end what is open
    #[arg(long, hide = true)]
    pub(crate) settle: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Task {
    /// Handwritten digits: 1,797 images of 8x8 pixels
    Digits,
    /// The next byte of the King James Bible
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Aggregate {
    /// Robust: one hostile member cannot move the model far
    CenteredClip,
    /// The plain average, for comparison
    Mean,
}

/// Who dies, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    Nobody,
    Agent { agent: u32, round: u64 },
}

impl FromStr for Kill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Nobody);
        }
        let form = || format!("{text:?} is not of the form N@ROUND, such as 3@12");
        let (agent, round) = text.split_once('@').ok_or_else(form)?;
        let (agent, round) = (agent.parse().map_err(|_| form())?, round.parse().map_err(|_| form())?);
        Ok(Self::Agent { agent, round })
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digits => "digits",
            Self::Text => "text",
        })
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CenteredClip => "centered-clip",
            Self::Mean => "mean",
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Process => "process",
        })
    }
}

impl Args {
    /// The command line that says the same of the run.
    pub(crate) fn to_options(&self) -> Vec<String> {
        let kill = self.kill().map_or("none".to_owned(), |(agent, round)| format!("{agent}@{round}"));
        let values = [
            ("--agents", self.agents.to_string()),
            ("--rounds", self.rounds().to_string()),
            ("--seed", self.seed.to_string()),
            ("--task", self.task.to_string()),
            ("--attackers", self.attackers.to_string()),
            ("--kill", kill),
            ("--aggregate", self.aggregate.to_string()),
        ];
        values.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.unwrap_or(match self.task {
            Task::Digits => 24,
            Task::Text => 20,
        })
    }

    /// Who dies, and when: agent 3 at half time where nothing else is said and there are enough rounds.
    pub(crate) fn kill(&self) -> Option<(u32, u64)> {
        match self.kill {
            Some(Kill::Nobody) => None,
            Some(Kill::Agent { agent, round }) => Some((agent, round)),
            None => (self.rounds() >= 4).then(|| (3, self.rounds() / 2)),
        }
    }

    /// The agents that turn hostile: the last but one, and on downwards, but never the one that dies.
    pub(crate) fn hostile(&self) -> Vec<u32> {
        let dies = self.kill().map(|(agent, _)| agent);
        (1..self.agents).rev().filter(|&agent| Some(agent) != dies).take(self.attackers as usize).collect()
    }

    /// What no single value shows to be wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.attackers * 2 >= self.agents {
            return Err(format!(
                "--attackers {}: fewer than half of the {} agents can be hostile",
                self.attackers, self.agents
            ));
        }
        if let Some(Kill::Agent { agent, round }) = self.kill {
            if agent == 0 || agent > self.agents {
                return Err(format!("--kill {agent}@{round}: the agents are 1 to {}", self.agents));
            }
            if round == 0 || round > self.rounds() {
                return Err(format!("--kill {agent}@{round}: the rounds are 1 to {}", self.rounds()));
            }
        }
        if (self.hostile().len() as u32) < self.attackers {
            return Err(format!("--attackers {}: too few agents are left to be hostile", self.attackers));
        }
        Ok(())
    }
}
