//! Repeats an audit from an evidence file alone, as anybody can who does not trust the one who wrote it.
//!
//!     cargo run --release --example recheck -- evidence-agent-4-round-9.json
//!
//! Ends with 0 when the forgery is confirmed, 1 when it is not, 2 when the file cannot be read.

use std::error::Error;
use std::process::ExitCode;

use daa::compute::BurnBackend;
use daa::compute::evidence::Ruling;
use daa::swarm::EvidenceFile;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: recheck FILE");
        return ExitCode::from(2);
    };
    match recheck(&path).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {path}: {error}");
            ExitCode::from(2)
        }
    }
}

async fn recheck(path: &str) -> Result<bool, Box<dyn Error>> {
    let file = EvidenceFile::decode(&std::fs::read(path)?)?;
    let evidence = file.evidence();
    let commitment = &evidence.commitment;
    println!("accused     {}", commitment.agent);
    println!("round       {} of run {}", commitment.round.0 + 1, commitment.run);
    println!("evidence    {}", file.digest());
    println!("committed   {}", commitment.update);
    println!("accuser got {}  on {}", evidence.replayed.update, evidence.path);
    let backend = BurnBackend::flex(evidence.config.model)?;
    let ruling = file.recheck(&backend).await?;
    match &ruling {
        Ruling::Confirmed => {
            println!("confirmed: the committed data give what the accuser says, not what was committed")
        }
        Ruling::Refuted => println!("refuted: the committed data give exactly what was committed"),
        Ruling::Inconclusive { ours, same_path } => {
            println!("we got      {}", ours.update);
            let reason = if *same_path { "on the same compute path" } else { "but on another compute path" };
            println!("inconclusive: a third result, {reason}");
        }
        _ => println!("unknown ruling"),
    }
    Ok(ruling == Ruling::Confirmed)
}
