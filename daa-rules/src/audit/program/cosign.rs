//! `daa-audit cosign`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{AskError, Declined, FolderTiles, HttpWitness, LogReader, ask_witnesses};
use serde_json::json;

use super::failure::Failure;
use super::files;

/// Has the checkpoint of a log signed by witnesses over HTTP, and prints the lines of their signatures.
#[derive(Debug, clap::Args)]
pub(super) struct AskAll {
    /// The folder of the log
    #[arg(long, value_name = "FOLDER")]
    log: PathBuf,
    /// A witness: its submission prefix, an equals sign, and its public key or a file with it; may be given several times
    #[arg(long, value_name = "URL=KEY", required = true)]
    witness: Vec<String>,
    /// How many of them must sign; all of them unless given
    #[arg(long, value_name = "K")]
    quorum: Option<usize>,
    /// Where to write the lines, for `prove --cosignatures`; to the standard output unless given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl AskAll {
    pub(super) async fn run(self, json: bool) -> Result<(), Failure> {
        let mut witnesses = Vec::new();
        for given in &self.witness {
            let (url, key) = given
                .split_once('=')
                .ok_or_else(|| Failure::unable(format!("{given} is not a URL, an equals sign and a key")))?;
            witnesses.push(HttpWitness::new(files::public_key(key)?, url).map_err(Failure::unable)?);
        }
        let log = LogReader::new(Arc::new(FolderTiles::new(&self.log)));
        let note = log.checkpoint().await.map_err(Failure::unable)?;
        let note = note.ok_or_else(|| Failure::unable("the log has no checkpoint"))?;
        let quorum = self.quorum.unwrap_or(witnesses.len());
        let asked = ask_witnesses(&log, &note, &witnesses, quorum).await.map_err(failure)?;
        for (name, why) in &asked.declined {
            eprintln!("{name} did not sign: {}", super::failure::chain(why));
        }
        match &self.output {
            Some(path) => files::write(path, &asked.lines),
            None if json => {
                files::print(&format!("{}\n", json!({ "result": "signed", "signatures": asked.lines })))
            }
            None => files::print(&asked.lines),
        }
    }
}

/// A witness that has seen more of the log than there is says that it was rolled back; all else may change.
fn failure(error: AskError) -> Failure {
    let AskError::TooFew { declined, .. } = &error else { return Failure::unable(error) };
    let mut text = error.to_string();
    for (name, why) in declined {
        text.push_str(&format!("; {name}: {}", super::failure::chain(why)));
    }
    if declined.values().any(|why| matches!(why, Declined::Ahead { .. })) {
        return Failure::invalid(text);
    }
    Failure::unable(text)
}
