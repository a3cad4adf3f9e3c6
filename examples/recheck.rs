//! Repeats an audit from an evidence file alone, as anybody can who does not trust the one who wrote it.
//!
//!     cargo run --release --example recheck -- evidence-agent-4-round-9.json [DIGEST]
//!
//! The file shows that the update of its commitment does not follow from the committed data. That the accused made this
//! commitment is shown by the ledger: its slash names the digest of this evidence; give it as DIGEST to have the two
//! compared. Ends with 0 when the forgery is confirmed, 1 when it is not, 2 when the file cannot be read.

use std::error::Error;
use std::process::ExitCode;

use daa::compute::BurnBackend;
use daa::compute::evidence::Ruling;
use daa::swarm::EvidenceFile;

/// The largest file that is read.
const MAX_FILE: u64 = 256 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: recheck FILE [DIGEST]");
        return ExitCode::from(2);
    };
    match recheck(&path, std::env::args().nth(2)).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {path}: {error}");
            ExitCode::from(2)
        }
    }
}

async fn recheck(path: &str, slash: Option<String>) -> Result<bool, Box<dyn Error>> {
    if std::fs::metadata(path)?.len() > MAX_FILE {
        return Err(format!("more than {MAX_FILE} bytes").into());
    }
    let file = EvidenceFile::decode(&std::fs::read(path)?)?;
    if let Some(slash) = slash
        && slash != file.digest().to_string()
    {
        return Err(format!("this is the evidence {}, not {slash}", file.digest()).into());
    }
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
