//! Witnesses over HTTP: C2SP tlog-witness, `add-checkpoint`, from both sides.

mod ask;
mod client;
mod serve;

pub use ask::{AskError, Asked, Declined, ask_witnesses};
pub use client::{HttpWitness, HttpWitnessError};
pub use serve::{ServeOptions, serve_witness};

/// What the path of a request ends with.
const ADD_CHECKPOINT: &str = "add-checkpoint";
/// The type of an answer that has the size that was signed last.
const SIZE_TYPE: &str = "text/x.tlog.size";
