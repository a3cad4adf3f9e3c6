//! What was measured on the way, kept beside the run, so that a run that was resumed has its whole curve.

use std::collections::BTreeMap;

use daa::core::clock::{Clock, SystemClock};
use daa::core::digest::Digest;
use daa::core::event::{Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Version};
use daa::core::id::{EventKind, StreamId};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::args::{Args, Transport};

const STREAM: &str = "swarm";
const CONFIGURED: &str = "swarm.configured.v1";
const MEASURED: &str = "swarm.measured.v1";

/// What a run was started with. Another run must not go on in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Options {
    task: String,
    seed: u64,
    agents: u32,
    rounds: u64,
    attackers: u32,
    kill: Option<(u32, u64)>,
    aggregate: String,
    #[serde(default = "memory")]
    transport: String,
    /// Digest of everything else that the members agree on.
    config: Digest,
}

/// How agents reached the coordinator when there was no choice.
fn memory() -> String {
    Transport::Memory.to_string()
}

impl Options {
    fn of(args: &Args, config: Digest) -> Self {
        Self {
            config,
            task: args.task.to_string(),
            seed: args.seed,
            agents: args.agents,
            rounds: args.rounds(),
            attackers: args.attackers,
            kill: args.kill(),
            aggregate: args.aggregate.to_string(),
            transport: args.transport.to_string(),
        }
    }

    /// The first difference, in words.
    fn difference(&self, other: &Self) -> Option<String> {
        let words = |name: &str, a: &dyn ToString, b: &dyn ToString| {
            let (a, b) = (a.to_string(), b.to_string());
            (a != b).then(|| format!("it was started with --{name} {a}, not {b}"))
        };
        let kill =
            |kill: &Option<(u32, u64)>| kill.map_or("none".to_owned(), |(who, when)| format!("{who}@{when}"));
        words("task", &self.task, &other.task)
            .or_else(|| words("seed", &self.seed, &other.seed))
            .or_else(|| words("agents", &self.agents, &other.agents))
            .or_else(|| words("rounds", &self.rounds, &other.rounds))
            .or_else(|| words("attackers", &self.attackers, &other.attackers))
            .or_else(|| words("kill", &kill(&self.kill), &kill(&other.kill)))
            .or_else(|| words("aggregate", &self.aggregate, &other.aggregate))
            .or_else(|| words("transport", &self.transport, &other.transport))
            .or_else(|| {
                (self.config != other.config).then(|| "it is of another version of this program".to_owned())
            })
    }
}

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measured {
    /// The model after a round.
    Round { round: u64, score: f64 },
    /// One model, all the data.
    Baseline { score: f64 },
    /// The swarm without defence, after each round.
    Undefended { scores: Vec<(u64, f64)> },
}

/// All measurements of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measures {
    pub(crate) rounds: BTreeMap<u64, f64>,
    pub(crate) baseline: Option<f64>,
    pub(crate) undefended: Option<Vec<(u64, f64)>>,
}

impl Measures {
    /// Opens the stream: says whether the run is a new one, and what was measured so far.
    pub(crate) async fn open(
        store: &dyn EventStore,
        args: &Args,
        config: Digest,
    ) -> Result<(bool, Self), Failure> {
        let (stream, ours) = (StreamId::new(STREAM)?, Options::of(args, config));
        let (mut measures, mut after) = (Self::default(), Version::EMPTY);
        loop {
            let page = store.read_stream(&stream, after, PageSize::default()).await?;
            let Some(last) = page.last() else { break };
            after = last.version;
            for event in &page {
                if event.kind.as_str() == CONFIGURED {
                    if let Some(difference) = event.json::<Options>()?.difference(&ours) {
                        return Err(format!("the data directory holds another run: {difference}").into());
                    }
                } else {
                    measures.take(event.json()?);
                }
            }
        }
        if after == Version::EMPTY {
            append(store, ExpectedVersion::NO_STREAM, CONFIGURED, &ours).await?;
        }
        Ok((after == Version::EMPTY, measures))
    }

    fn take(&mut self, measured: Measured) {
        match measured {
            Measured::Round { round, score } => drop(self.rounds.insert(round, score)),
            Measured::Baseline { score } => self.baseline = Some(score),
            Measured::Undefended { scores } => self.undefended = Some(scores),
        }
    }

    /// Records a measurement.
    pub(crate) async fn record(&mut self, store: &dyn EventStore, measured: Measured) -> Result<(), Failure> {
        append(store, ExpectedVersion::Any, MEASURED, &measured).await?;
        self.take(measured);
        Ok(())
    }
}

async fn append<T: Serialize + Sync>(
    store: &dyn EventStore,
    expected: ExpectedVersion,
    kind: &str,
    payload: &T,
) -> Result<(), Failure> {
    let event = NewEvent::json(EventKind::new(kind)?, SystemClock::new().now(), payload)?;
    store.append(Batch::new().with_event(StreamId::new(STREAM)?, expected, event)).await?;
    Ok(())
}
