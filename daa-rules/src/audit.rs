//! The audit log: what happened, in a form that an outsider can verify, and nobody can rewrite unnoticed.
//!
//! Every decision, attempt and outcome is an event of the store, in the same append as what it allows or settles. An
//! [`AuditLog`] follows the store and makes of each a [`Record`], a leaf of a Merkle tree (RFC 9162). The tree is kept as
//! tiles, its state is published as signed checkpoints, and witnesses may sign them too, all in the formats of C2SP
//! (tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature, tlog-witness), so that other people's tools can read them.
//!
//! A [`Bundle`] is one file with some records and all that it takes to believe them; it is verified offline, against a
//! [`Trust`] in the log's public key:
//!
//! ```
//! use daa_rules::audit::{Bundle, PublicKey, Trust, VerifyError};
//!
//! fn amounts(file: &[u8], key: PublicKey) -> Result<usize, VerifyError> {
//!     let proved = Bundle::parse(file)?.verify(&Trust::in_log(key)?)?;
//!     Ok(proved.records.len())
//! }
//! ```
//!
//! Records hold nothing personal but ids: what an action was about, what the rules were told and what came of it are bound
//! by commitments, blinded by a salt that stands in the event. [Showing](Bundle::disclose) a part takes its salt;
//! erasing the event takes salt and content, and leaves the tree as it is.
//!
//! What holds against whom, file by file and failure by failure, is in `docs/design/audit.md`.

mod base64;
mod bundle;
mod check;
mod checkpoint;
mod commitment;
mod edge;
mod growth;
mod hash;
#[cfg(feature = "audit-http")]
mod http;
mod journal;
mod keeper;
mod key;
mod log;
mod note;
#[cfg(feature = "cli")]
pub mod program;
mod proof;
mod reader;
mod record;
mod replace;
mod report;
mod rotation;
mod shape;
mod succession;
#[cfg(test)]
mod tests;
mod tile;
mod tiles;
mod trust;
mod witness;

pub use bundle::{Bundle, BundleError, MAX_BUNDLE, MAX_RECORDS, Verified, VerifiedRecord, VerifyError};
pub use check::LogFault;
pub use checkpoint::{Checkpoint, CheckpointError, SealError};
pub use commitment::{Commitment, Disclosure, Part, PartSalt};
#[cfg(test)]
use edge::Edge;
pub use hash::{ParseHashError, TreeHash};
#[cfg(feature = "audit-http")]
pub use http::{
    AskError, Asked, Declined, HttpWitness, HttpWitnessError, ServeOptions, ask_witnesses, serve_witness,
};
pub use journal::JournalError;
pub use keeper::{CheckpointKeeper, KeepError, KeeperFile, KeeperInMemory};
pub use key::{KeyError, KeyId, KeyUse, NoteSigner, NoteVerifier, PublicKey, SecretKey, SignError};
pub use log::{AuditError, AuditLog, AuditOptions, AuditParts, Irregularities};
pub use note::{KeyName, MAX_NOTE, MAX_SIGNATURES, Note, NoteError, SignatureState};
pub use proof::{MAX_PROOF, Proof, ProofError};
pub use reader::{LogReadError, LogReader};
pub use record::{Approval, Commitments, Content, Decided, DisclosureError, Record, RecordError};
pub use report::report;
pub use rotation::{Rotation, RotationError};
pub use succession::Succession;
pub use tile::{MAX_RECORD, TileError};
pub use tiles::{BlobTiles, FolderTiles, LogFile, MemoryTiles, StorageError, TileStore};
pub use trust::{Cosigned, Trust, TrustError, Trusted};
pub use witness::{
    CosignRequest, MAX_REQUEST, RequestError, Seen, Witness, WitnessError, WitnessFile, WitnessMemory,
};

/// A key for the salts of a gate, of the operating system's randomness: a new one for every start.
#[must_use]
pub fn fresh_salts() -> daa_core::action::SaltKey {
    daa_core::action::SaltKey::from_bytes(rand::random())
}
