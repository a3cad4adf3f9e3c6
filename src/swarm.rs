//! A swarm that trains one model: governed, paid, audited, and resumable after any crash.
//!
//! This is where the crates meet. The [`Coordinator`] feeds the pure round protocol of `daa-compute`, makes what
//! follows from each input durable in one append together with the money that it moves, and performs the
//! protocol's effects. A [`Member`] is an [`Agent`](daa_core::agent::Agent) whose collector watches the run, whose
//! strategies train, reveal and audit, and whose executors do so behind the gate. Members may be elsewhere: with the
//! feature `net` a `RunHost` answers for the coordinator on a node of the network, and each member has a
//! `RemoteCoordinator`. `docs/design/swarm.md` has the whole picture.

mod access;
mod aggregation;
mod bookkeeping;
mod coordinator;
mod desk;
mod economics;
mod error;
mod evidence_file;
mod executors;
mod member;
mod proof;
#[cfg(feature = "net")]
mod remote;
mod verdicts;
mod view;

pub use access::RunAccess;
pub use coordinator::{Coordinator, CoordinatorParts, EVENT_KIND};
pub use desk::{Desk, LocalTrainer, Trainer};
pub use economics::Economics;
pub use error::SwarmError;
pub use evidence_file::EvidenceFile;
pub use executors::{AUDIT, COMMIT, JOIN, REVEAL, TRAIN, executors};
pub use member::{Member, RULES};
pub use proof::{Proof, prove};
#[cfg(feature = "net")]
pub use remote::{Admission, BOUND_KIND, RemoteCoordinator, RemoteParts, RunHost};
pub use view::{Duty, MemberView, OpenRound, RunView};
