//! `daa-audit key`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::audit::{KeyUse, SecretKey};
use serde_json::json;

use super::failure::Failure;
use super::files;

/// Makes a key of a log, or of a witness, and prints its public half.
#[derive(Debug, clap::Args)]
pub(super) struct Key {
    /// The name of a new key: the origin of a log, such as `example.org/agents/treasury`
    #[arg(long, value_name = "NAME")]
    new: Option<String>,
    /// The new key is one of a witness
    #[arg(long, requires = "new")]
    witness: bool,
    /// The file of the secret key: written for a new one, and never over another; read otherwise
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Key {
    pub(super) fn run(self, json: bool) -> Result<(), Failure> {
        let key = match &self.new {
            None => files::read_text(&self.file, 4096)?.parse().map_err(Failure::unable)?,
            Some(name) => {
                let usage = if self.witness { KeyUse::Witness } else { KeyUse::Log };
                let key = SecretKey::generate(name.parse().map_err(Failure::unable)?, usage);
                save(&self.file, &key)?;
                key
            }
        };
        let public = key.public_key().to_string();
        files::print(&if json { format!("{}\n", json!({ "public": public })) } else { format!("{public}\n") })
    }
}

fn save(path: &Path, key: &SecretKey) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::unable(format!("{}: {error}", path.display()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(format!("{}\n", *key.to_secret_text()).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}
