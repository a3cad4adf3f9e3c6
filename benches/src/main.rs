//! Measurements: ours beside a peer, in one run. `README.md` has how to run them, and figures.

mod agent_loop;
mod artefacts;
mod audit;
mod bus;
mod cache;
#[cfg(feature = "crypto")]
mod crypto;
#[cfg(feature = "net")]
mod discovery;
mod event_store;
#[cfg(feature = "net")]
mod gossip;
#[cfg(feature = "net")]
mod handshake;
mod heap;
mod ledger;
mod line;
mod peer;
#[cfg(feature = "net")]
mod plain_libp2p;
mod rules;
#[cfg(feature = "training")]
mod training;
#[cfg(feature = "net")]
mod transport;
mod workflow;

use std::process::ExitCode;

use line::Line;

const USAGE: &str = "\
usage: daa-benches NAME [--json]

  audit        records a second, proofs in a log of ten million, verification
  artefacts    put and read, beside bare object_store with a digest
  loop         one agent cycle with trivial parts, in-memory store
  bus          messages in process; on NATS and RabbitMQ, beside their bare clients
  event_store  durable batched appends, beside raw rusqlite
  ledger       durable transfers in batches
  rules        decisions of a ruleset, beside cel; of tables, beside zen-engine
  training     a local step, beside PyTorch where python3 has it (DAA_PYTHON names another python)
  crypto       signatures, key encapsulation, sealing, beside the providers called bare
  handshake    of two nodes, beside its primitives called bare
  discovery    lookups among 200 nodes, beside libp2p's Kademlia
  gossip       messages to 50 nodes, beside gossipsub
  transport    bytes between two nodes, beside raw quinn; requests
  workflow     durable steps of workflows, beside durare; parked runs
  steps        steps of workflows in memory; replay
  cache        hits in the process, and on Redis beside its bare client
  all          all of them
";

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

type Bench = (&'static str, fn() -> Vec<Line>);

const BENCHES: &[Bench] = &[
    ("artefacts", artefacts::run),
    ("audit", audit::run),
    ("loop", agent_loop::run),
    ("bus", bus::run),
    ("event_store", event_store::run),
    ("ledger", ledger::run),
    ("cache", cache::run),
    #[cfg(feature = "crypto")]
    ("crypto", crypto::run),
    ("rules", rules::run),
    #[cfg(feature = "training")]
    ("training", training::run),
    #[cfg(feature = "net")]
    ("handshake", handshake::run),
    #[cfg(feature = "net")]
    ("discovery", discovery::run),
    #[cfg(feature = "net")]
    ("gossip", gossip::run),
    #[cfg(feature = "net")]
    ("transport", transport::run),
    ("workflow", workflow::run),
    ("steps", workflow::steps),
];

fn main() -> ExitCode {
    let (flags, names): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let (json, known) =
        (flags.iter().any(|flag| flag == "--json"), flags.iter().all(|flag| flag == "--json"));
    let wanted: Vec<_> = match names.as_slice() {
        [name] if known => BENCHES.iter().filter(|(bench, _)| name == bench || name == "all").collect(),
        _ => Vec::new(),
    };
    if wanted.is_empty() {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    }
    for (_, run) in wanted {
        for line in run() {
            println!("{}", if json { line.json() } else { line.text() });
        }
    }
    ExitCode::SUCCESS
}
