//! `daa-audit export`.

use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{FolderTiles, LogReader};
use serde_json::json;

use super::ReadKey;
use super::failure::Failure;
use super::files::Trusted;
use super::verify::check;

/// Prints the records of a log as lines of JSON, with their numbers.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The folder of the log
    #[arg(long, value_name = "FOLDER")]
    log: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
    /// The first record to print
    #[arg(long, default_value_t = 0, value_name = "N")]
    from: u64,
    /// How many records to print; all behind the first unless given
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
}

impl Export {
    /// Prints nothing before everything is checked. The files may change meanwhile, so they are read once: what was checked
    /// is kept in a temporary file, and printed from there.
    pub(super) async fn run(self, _json: bool, readers: &[ReadKey]) -> Result<(), Failure> {
        let log = LogReader::new(Arc::new(FolderTiles::new(&self.log)));
        let mut checked = BufWriter::new(tempfile::tempfile().map_err(Failure::unable)?);
        let mut written = Ok(());
        let wanted = self.from..self.count.map_or(u64::MAX, |count| self.from.saturating_add(count));
        check(&log, &self.trusted.trust(readers)?, |index, record| {
            if wanted.contains(&index) && written.is_ok() {
                written = writeln!(checked, "{}", json!({ "index": index, "record": record }));
            }
        })
        .await?;
        written.and_then(|()| print(checked)).map_err(Failure::unable)
    }
}

fn print(checked: BufWriter<std::fs::File>) -> io::Result<()> {
    let mut file = checked.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    let mut out = io::stdout().lock();
    io::copy(&mut BufReader::new(file), &mut out)?;
    out.flush()
}
