//! What a run came to: the JSON that `--json` writes, and what the table and the report show.

use std::collections::BTreeMap;

use daa::core::amount::Amount;
use daa::core::digest::Digest;
use serde::Serialize;

/// The result of a run. The first part is what `--json` writes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) task: String,
    pub(crate) seed: u64,
    pub(crate) aggregate: String,
    /// Right answers on the held-out fifth, 0 to 1; absent for text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<f64>,
    /// Bits to encode a byte of the held-out part; absent for digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bits_per_byte: Option<f64>,
    /// The same measure for one model trained on all the data in one place.
    pub(crate) baseline: f64,
    /// The same measure for a swarm under the same attack that averages without defence; absent where this run
    /// itself does, or where it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undefended: Option<f64>,
    pub(crate) rounds: u64,
    pub(crate) wall_seconds: f64,
    /// Updates and commitments that members sent.
    pub(crate) bytes_sent: u64,
    /// What they would have sent as fp32 gradients after every local step.
    pub(crate) bytes_ddp_fp32: u64,
    pub(crate) agents: Vec<AgentRow>,
    pub(crate) ledger: LedgerRow,
    pub(crate) audit: AuditRow,
    pub(crate) model_blake3: Digest,
    /// How the agents reached the coordinator.
    pub(crate) transport: String,
    /// The processes that the agents were; nothing where they were tasks of this one.
    pub(crate) processes: Vec<ProcessRow>,
    /// The round after which this process took up an earlier one's work; null for a run from the start.
    pub(crate) resumed_from_round: Option<u64>,
    #[serde(skip)]
    pub(crate) story: Story,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AgentRow {
    pub(crate) id: String,
    pub(crate) status: String,
    /// Rounds with an accepted submission.
    pub(crate) rounds: u64,
    /// What it was paid, in smallest units.
    pub(crate) reward: Amount,
    /// What was taken from its stake, in smallest units.
    pub(crate) slashed: Amount,
    /// What it paid for computation, in smallest units. Who does an audit that its auditor left behind is a matter of timing, and so
    /// it is not in the JSON, which is the same for each run with the same options.
    #[serde(skip)]
    pub(crate) spent: Amount,
    #[serde(skip)]
    pub(crate) note: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProcessRow {
    pub(crate) agent: String,
    /// In the life of this process; more than one where it died and was started again.
    pub(crate) pids: Vec<u32>,
    /// Whether it was killed because the script says so.
    pub(crate) killed: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct LedgerRow {
    /// How many ledgers there are: the house's, and those of agents that keep their own.
    pub(crate) books: usize,
    pub(crate) accounts: usize,
    pub(crate) transfers: u64,
    /// The sum over all accounts at every position of the store; anything but zero is a defect.
    pub(crate) sum: i64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuditRow {
    pub(crate) entries: u64,
    /// Effects without a permit, and whatever else must not be.
    pub(crate) unpermitted: u64,
    pub(crate) verified: bool,
}

/// What the report tells beside the figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    /// The measure on the held-out part after each round.
    pub(crate) measure: Vec<(u64, f64)>,
    /// The same, without defence.
    pub(crate) undefended: Vec<(u64, f64)>,
    /// The mean local loss of each agent in each round.
    pub(crate) losses: BTreeMap<String, Vec<(u64, f64)>>,
    /// What happened, and in which round.
    pub(crate) moments: Vec<(u64, String)>,
    /// One line per convicted agent, and the file name of the evidence.
    pub(crate) evidence: Vec<(String, String)>,
    /// What the ledger counts in: code and decimals.
    pub(crate) currency: Option<daa::core::amount::Currency>,
    /// Text that the model wrote.
    pub(crate) sample: Option<String>,
    /// What the verification found to be wrong, for people.
    pub(crate) findings: Vec<String>,
}

impl Outcome {
    /// The measure of the task: a share of right answers, or bits.
    pub(crate) fn measure(&self) -> f64 {
        self.accuracy.or(self.bits_per_byte).unwrap_or(f64::NAN)
    }

    /// Prints the measure as people read it.
    pub(crate) fn show(&self, value: f64) -> String {
        if self.accuracy.is_some() {
            format!("{:.2} %", value * 100.0)
        } else {
            format!("{value:.3} bits/byte")
        }
    }

    /// How many times fewer bytes were sent than plain data-parallel training would have.
    pub(crate) fn saving(&self) -> f64 {
        self.bytes_ddp_fp32 as f64 / self.bytes_sent.max(1) as f64
    }

    /// What agents that were processes had to themselves.
    pub(crate) fn apart(&self) -> String {
        let killed: Vec<&str> =
            self.processes.iter().filter(|row| row.killed).map(|row| row.agent.as_str()).collect();
        let killed = if killed.is_empty() {
            String::new()
        } else {
            format!("; {} ended by SIGKILL", killed.join(", "))
        };
        format!(
            "{} processes with keys and books of their own, over QUIC on loopback{killed}",
            self.processes.len()
        )
    }

    /// An amount as people read it.
    pub(crate) fn money(&self, amount: Amount) -> String {
        match self.story.currency {
            Some(currency) => currency.units(amount.units()).to_string(),
            None => amount.to_string(),
        }
    }
}

/// Bytes as people read them.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}
