//! `daa-audit witness`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::audit::{
    Checkpoint, CosignRequest, FolderTiles, KeyName, LogReader, MAX_REQUEST, SecretKey, Witness,
    WitnessError, WitnessFile, WitnessMemory,
};
use daa_core::clock::Timestamp;
use serde_json::json;

use super::ReadKey;
use super::failure::Failure;
use super::files::{self, Trusted};

/// Signs the checkpoint of a request, or that of a log's folder, and prints the line of the signature.
#[derive(Debug, clap::Args)]
pub(super) struct Cosign {
    /// The request, as in the body of `add-checkpoint` of C2SP tlog-witness; `-` for the standard input
    #[arg(required_unless_present = "log", conflicts_with = "log")]
    request: Option<PathBuf>,
    /// The folder of a log
    #[arg(long, value_name = "FOLDER")]
    log: Option<PathBuf>,
    /// A file with the witness's secret key
    #[arg(long, value_name = "FILE")]
    secret: PathBuf,
    /// The file in which the witness remembers what it signed
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
}

impl Cosign {
    pub(super) async fn run(self, json: bool, readers: &[ReadKey]) -> Result<(), Failure> {
        let secret: SecretKey = files::read_text(&self.secret, 4096)?
            .parse()
            .map_err(|error| Failure::unable(format!("{error}")))?;
        let mut trust = self.trusted.trust(readers)?;
        let memory = WitnessFile::new(&self.state);
        let request = match &self.log {
            None => {
                let bytes = files::read(&self.request.unwrap_or_else(|| "-".into()), MAX_REQUEST)?;
                CosignRequest::parse(&bytes).map_err(Failure::invalid)?
            }
            Some(folder) => {
                let log = LogReader::new(Arc::new(FolderTiles::new(folder)));
                let rotations = log.rotations().await.map_err(Failure::unable)?;
                let keys = trust.succession(&rotations).map_err(Failure::invalid)?;
                trust = keys.newest().map_err(Failure::invalid)?;
                request(&log, &memory, trust.origin()).await?
            }
        };
        let witness = Witness::new(secret, memory).map_err(Failure::unable)?.with_log(trust);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::unable)?;
        let now = Timestamp::EPOCH + now;
        match witness.cosign(&request, now).await {
            Ok(line) if json => {
                files::print(&format!("{}\n", json!({ "result": "signed", "signature": line })))
            }
            Ok(line) => files::print(&line),
            Err(error @ WitnessError::Memory(_)) => Err(Failure::unable(error)),
            Err(error) => Err(Failure::invalid(error)),
        }
    }
}

/// What to ask for the checkpoint of a folder: a proof from what was signed last.
async fn request(log: &LogReader, memory: &WitnessFile, origin: &KeyName) -> Result<CosignRequest, Failure> {
    let note = log.checkpoint().await.map_err(Failure::unable)?;
    let note = note.ok_or_else(|| Failure::unable("the log has no checkpoint"))?;
    let size = Checkpoint::parse(note.text()).map_err(Failure::invalid)?.size;
    let seen = memory.seen(origin).await.map_err(Failure::unable)?;
    // A log that shrank has no proof, and the witness says so.
    let proof = if seen.size <= size {
        log.consistency(seen.size, size).await.map_err(Failure::unable)?
    } else {
        crate::audit::Proof::default()
    };
    Ok(CosignRequest::new(seen.size, proof, note))
}
