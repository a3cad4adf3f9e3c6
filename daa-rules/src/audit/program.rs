//! The program `daa-audit`: for auditors, who have a bundle and public keys; for witnesses; and for those who keep a log.
//!
//! Exit codes: 0 when what was asked is so, 1 when it is not, 2 when it could not be found out.

#[cfg(feature = "audit-http")]
mod cosign;
mod export;
mod failure;
mod files;
mod key;
mod prove;
#[cfg(feature = "audit-http")]
mod serve;
mod verify;
mod witness;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use failure::Failure;

use super::key::NoteVerifier;

/// Reads the text of a key that signs beside that of the log, such as one of another algorithm.
pub type ReadKey = fn(&str) -> Result<Arc<dyn NoteVerifier>, Box<dyn Error + Send + Sync>>;

/// Verifies audit logs of agents, proves what is in them, and witnesses them.
#[derive(Debug, Parser)]
#[command(name = "daa-audit", version)]
struct Arguments {
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a proof bundle, or a whole log, against the log's public key
    Verify(verify::Verify),
    /// Make a proof bundle of records of a log
    Prove(prove::Prove),
    /// Sign a log's checkpoint as a witness, if it goes on from what was signed before
    Witness(witness::Cosign),
    /// Sign as a witness whoever asks over HTTP
    #[cfg(feature = "audit-http")]
    Serve(serve::Serve),
    /// Have a log's checkpoint signed by witnesses over HTTP
    #[cfg(feature = "audit-http")]
    Cosign(cosign::AskAll),
    /// Print the records of a log, after checking all of them
    Export(export::Export),
    /// Make a key, or print the public half of one
    Key(key::Key),
}

/// Runs the program on the arguments of the process. The keys of `--also` are Ed25519 ones, or what one of the readers reads.
#[must_use]
pub fn main(readers: &[ReadKey]) -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    match run(command, json, readers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            failure.code()
        }
    }
}

fn run(command: Command, json: bool, readers: &[ReadKey]) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::unable)?;
    runtime.block_on(async {
        match command {
            Command::Verify(verify) => verify.run(json, readers).await,
            Command::Prove(prove) => prove.run(json).await,
            Command::Witness(cosign) => cosign.run(json, readers).await,
            #[cfg(feature = "audit-http")]
            Command::Serve(serve) => serve.run(json).await,
            #[cfg(feature = "audit-http")]
            Command::Cosign(ask) => ask.run(json).await,
            Command::Export(export) => export.run(json, readers).await,
            Command::Key(key) => key.run(json),
        }
    })
}
