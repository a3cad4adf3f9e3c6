//! Who employs the agents: as tasks of this process, or as processes of their own.

use async_trait::async_trait;
use daa::core::agent::{CycleReport, StepResult};
use daa::core::id::AgentId;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::display::Display;

/// The agents at work.
#[async_trait]
pub(crate) trait Staff: Send {
    /// Starts an agent.
    async fn employ(&mut self, number: u32) -> Result<(), Failure>;

    /// What happened next. To drop the future is to lose nothing.
    async fn next(&mut self) -> News;

    /// Ends an agent without warning.
    async fn kill(&mut self, id: &AgentId) -> Result<(), Failure>;

    /// Brings what an agent that is not at work left open to an end: what was reserved for it is given back.
    async fn settle(&mut self, number: u32) -> Result<(), Failure>;

    /// Whether nobody is at work.
    fn is_empty(&self) -> bool;

    /// The run is over: waits until everybody has left, and settles what is left of those who did not leave in good order.
    async fn dismiss(&mut self, numbers: &[u32]) -> Result<(), Failure>;
}

/// What happens to an agent.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// It is where the script has it killed.
    Dying(AgentId),
    /// It has left in good order.
    Left,
    /// It cannot go on.
    Failed(AgentId, String),
}

/// What an agent did, as far as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    Trained { round: u64, loss: f64, bytes: f64 },
    Convicted { accused: String, round: u64 },
}

/// What an agent did in a cycle.
pub(crate) fn deeds(cycle: &CycleReport) -> Vec<Deed> {
    let deed = |step: &daa::core::agent::StepReport| {
        let StepResult::Succeeded { outcome, .. } = &step.result else { return None };
        let number = |pointer: &str| outcome.output.pointer(pointer).and_then(serde_json::Value::as_f64);
        match step.kind.as_str() {
            daa::swarm::TRAIN => Some(Deed::Trained {
                round: number("/commitment/round").unwrap_or_default() as u64 + 1,
                loss: number("/loss").unwrap_or(f64::NAN),
                bytes: number("/bytes").unwrap_or_default(),
            }),
            daa::swarm::AUDIT if outcome.output["verdict"] == "forged" => Some(Deed::Convicted {
                accused: outcome.output["agent"].as_str().unwrap_or("?").to_owned(),
                round: number("/round").unwrap_or_default() as u64 + 1,
            }),
            _ => None,
        }
    };
    cycle.steps.iter().filter_map(deed).collect()
}

impl Display {
    /// Shows what an agent did.
    pub(crate) fn deed(&mut self, id: &str, deed: &Deed) {
        match deed {
            Deed::Trained { round, loss, bytes } => {
                self.agent(id, *round, &format!("loss {loss:.4}  {:.1} kB", bytes / 1e3));
            }
            Deed::Convicted { accused, round } => {
                self.say(&format!("{id} finds the update of {accused} in round {round} forged: slashed"));
                self.end(accused, "slashed: its update was forged");
            }
        }
    }
}
