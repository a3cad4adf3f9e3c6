//! Files that people name: bounded, and keys as text or in a file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::ReadKey;
use super::failure::Failure;
use crate::audit::{NoteVerifier, PublicKey, Trust};

/// Reads a file, or what is typed for `-`, of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let name = |error: io::Error| Failure::unable(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    // One more, so that what is too large is told from what is just as large as it may be.
    let most = limit as u64 + 1;
    if path == Path::new("-") {
        io::stdin().take(most).read_to_end(&mut bytes).map_err(name)?;
    } else {
        File::open(path).map_err(name)?.take(most).read_to_end(&mut bytes).map_err(name)?;
    }
    if bytes.len() > limit {
        return Err(Failure::unable(format!("{}: more than {limit} bytes", path.display())));
    }
    Ok(bytes)
}

pub(super) fn read_text(path: &Path, limit: usize) -> Result<String, Failure> {
    String::from_utf8(read(path, limit)?).map_err(Failure::unable)
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::unable(format!("{}: {error}", path.display())))
}

/// Prints to the standard output, or says why not.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::unable)
}

/// A public key: its text, or a file that holds it.
pub(super) fn public_key(given: &str) -> Result<PublicKey, Failure> {
    key_text(given)?.parse().map_err(Failure::unable)
}

fn key_text(given: &str) -> Result<String, Failure> {
    const LONGEST: usize = 8 << 10;
    if given.contains('+') && !Path::new(given).exists() {
        return Ok(given.to_owned());
    }
    read_text(Path::new(given), LONGEST)
}

/// A key that somebody can read; or why the last one cannot.
fn further_key(given: &str, readers: &[ReadKey]) -> Result<Arc<dyn NoteVerifier>, Failure> {
    let text = key_text(given)?;
    let own: ReadKey = |text| Ok(Arc::new(text.parse::<PublicKey>()?));
    let mut why = None;
    for read in [own].iter().chain(readers) {
        match read(&text) {
            Ok(key) => return Ok(key),
            Err(error) => why = Some(error),
        }
    }
    Err(why.map_or_else(|| Failure::unable("no key can be read"), Failure::unable))
}

/// Whom the person at the keyboard trusts.
#[derive(Debug, clap::Args)]
pub(super) struct Trusted {
    /// The log's public key, `name+id+base64`, or a file with it
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The public key of a witness, or a file with it; may be given several times
    #[arg(long, value_name = "KEY")]
    witness: Vec<String>,
    /// How many of the witnesses must have signed; all of them unless given
    #[arg(long, value_name = "K")]
    quorum: Option<usize>,
    /// A further public key of the log that must have signed too, or a file with it; may be given several times
    #[arg(long, value_name = "KEY")]
    also: Vec<String>,
}

impl Trusted {
    pub(super) fn trust(&self, readers: &[ReadKey]) -> Result<Trust, Failure> {
        let mut witnesses: Vec<Arc<dyn NoteVerifier>> = Vec::new();
        for witness in &self.witness {
            witnesses.push(Arc::new(public_key(witness)?));
        }
        let quorum = self.quorum.unwrap_or(witnesses.len());
        let mut trust = Trust::in_log(public_key(&self.key)?).map_err(Failure::unable)?;
        for also in &self.also {
            trust = trust.with_required(further_key(also, readers)?);
        }
        trust.with_witnesses(witnesses, quorum).map_err(Failure::unable)
    }
}
