//! Measurements: ours beside a peer, in one run.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml -- NAME --json`

mod agent_loop;
mod event_store;
mod ledger;
mod line;
mod training;

use std::process::ExitCode;

const USAGE: &str = "\
usage: daa-benches NAME [--json]

  loop         one agent cycle with trivial parts, in-memory store
  event_store  durable batched appends, beside raw rusqlite
  ledger       durable transfers in batches
  training     a local step, beside PyTorch where python3 has it (DAA_PYTHON names another python)
  all          all of them
";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let mut json = false;
    let mut names = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            name => names.push(name.to_owned()),
        }
    }
    let [name] = names.as_slice() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let wanted = |bench: &str| name == bench || name == "all";
    let mut lines = Vec::new();
    if wanted("loop") {
        lines.extend(agent_loop::run().await);
    }
    if wanted("event_store") {
        lines.extend(event_store::run().await);
    }
    if wanted("ledger") {
        lines.extend(ledger::run().await);
    }
    if wanted("training") {
        lines.extend(training::run().await);
    }
    if lines.is_empty() {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    }
    for line in lines {
        println!("{}", if json { line.json() } else { line.text() });
    }
    ExitCode::SUCCESS
}
