//! `daa-audit prove`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{Bundle, Checkpoint, FolderTiles, LogReader, MAX_NOTE, MAX_RECORDS, Note, Record};

use super::failure::Failure;
use super::files;

/// Makes a bundle of records of a log, and verifies nothing: that is for whoever gets it.
#[derive(Debug, clap::Args)]
pub(super) struct Prove {
    /// The folder of the log
    #[arg(long, value_name = "FOLDER")]
    log: PathBuf,
    /// The number of a record; may be given several times
    #[arg(long, value_name = "N")]
    index: Vec<u64>,
    /// All records of an action; searches the whole log
    #[arg(long, value_name = "ID")]
    action: Vec<String>,
    /// An earlier checkpoint, to prove that the log went on from it
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Signatures of witnesses under the log's checkpoint
    #[arg(long, value_name = "FILE")]
    cosignatures: Vec<PathBuf>,
    /// Where to write the bundle; to the standard output unless given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Prove {
    pub(super) async fn run(self, _json: bool) -> Result<(), Failure> {
        let log = LogReader::new(Arc::new(FolderTiles::new(&self.log)));
        let note = log.checkpoint().await.map_err(Failure::unable)?;
        let note = note.ok_or_else(|| Failure::unable("the log has no checkpoint"))?;
        let size = Checkpoint::parse(note.text()).map_err(Failure::unable)?.size;
        let mut indices = self.index.clone();
        if !self.action.is_empty() {
            indices.extend(self.search(&log, size).await?);
        }
        indices.sort_unstable();
        indices.dedup();
        let mut bundle = Bundle::under(&log, &note, &indices).await.map_err(Failure::unable)?;
        if let Some(path) = &self.since {
            let earlier = Note::parse(&files::read(path, MAX_NOTE)?).map_err(Failure::unable)?;
            bundle = bundle.with_earlier(&log, &earlier).await.map_err(Failure::unable)?;
        }
        for path in &self.cosignatures {
            bundle.add_signatures(&files::read_text(path, MAX_NOTE)?).map_err(Failure::unable)?;
        }
        let text = format!("{bundle}\n");
        match &self.output {
            Some(path) => files::write(path, &text),
            None => files::print(&text),
        }
    }

    /// The numbers of the records of the actions.
    async fn search(&self, log: &LogReader, size: u64) -> Result<Vec<u64>, Failure> {
        let (mut found, mut index) = (Vec::new(), 0);
        for bundle in 0..size.div_ceil(256) {
            for record in log.bundle(bundle, size).await.map_err(Failure::unable)? {
                let record = Record::decode(&record).map_err(Failure::invalid)?;
                if record.action_id().is_some_and(|id| self.action.iter().any(|wanted| wanted == id)) {
                    found.push(index);
                }
                index += 1;
            }
            if found.len() > MAX_RECORDS {
                return Err(Failure::unable(format!("more than {MAX_RECORDS} records")));
            }
        }
        if found.is_empty() {
            return Err(Failure::invalid("the log has no record of these actions"));
        }
        Ok(found)
    }
}
