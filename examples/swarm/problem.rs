//! What is to be learned: the data, cut into shards, and the configuration.

use std::io::Read;

use daa::compute::aggregate::{Aggregation, CenteredClip};
use daa::compute::config::RunConfig;
use daa::compute::dataset::{Digits, Shard, Text};

use crate::Failure;
use crate::args::{Aggregate, Args, Task};

/// How much of the held-out text is scored after each round, in bytes.
const SCORED_TEXT: usize = 16 * 1024;

/// A task, ready to be trained.
pub(crate) struct Problem {
    pub(crate) config: RunConfig,
    /// One for each agent, the late one included.
    pub(crate) shards: Vec<Shard>,
    /// All that any agent has.
    pub(crate) whole: Shard,
    /// What no agent sees.
    pub(crate) held_out: Shard,
}

impl Problem {
    pub(crate) fn new(args: &Args) -> Result<Self, Failure> {
        let mut config = match args.task {
            Task::Digits => RunConfig::digits(args.seed),
            Task::Text => RunConfig::text(args.seed),
        };
        config.rounds = u32::try_from(args.rounds()).unwrap_or(u32::MAX);
        config.protocol.min_members = args.agents;
        config.aggregation = match args.aggregate {
            Aggregate::CenteredClip => Aggregation::CenteredClip(CenteredClip::default()),
            Aggregate::Mean => Aggregation::Mean,
        };
        let count = args.agents as usize + 1;
        let seed = config.root();
        let (shards, whole, held_out) = match args.task {
            Task::Digits => {
                let digits = Digits::parse_csv(include_bytes!("../data/digits.csv"))?;
                let (train, held) = digits.hold_out_fifth(&seed);
                let shards = train.shards(count, &seed).into_iter().map(Shard::Digits).collect();
                (shards, Shard::Digits(train), Shard::Digits(held))
            }
            Task::Text => {
                let (train, held) = Text::new(bible()?)?.hold_out_fifth();
                let shards = train.shards(count, &seed).into_iter().map(Shard::Text).collect();
                let scored = held.bytes().slice(..held.bytes().len().min(SCORED_TEXT));
                (shards, Shard::Text(train), Shard::Text(Text::new(scored)?))
            }
        };
        Ok(Self { config, shards, whole, held_out })
    }
}

/// The King James Bible, 4,151,329 bytes.
fn bible() -> Result<Vec<u8>, Failure> {
    let packed: &[u8] = include_bytes!("../data/kjv.txt.zst");
    let mut text = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(packed)?.read_to_end(&mut text)?;
    Ok(text)
}
