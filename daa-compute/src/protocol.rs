//! The round protocol: a pure state machine.
//!
//! [`Run::step`] takes an [`Input`] and returns the [`Event`]s that it caused, already applied, and the [`Effect`]s
//! that the runtime is to perform. It does no I/O, reads no clock and draws nothing at random, so that a run can be
//! replayed and simulated. Store the events; [`Run::apply`] rebuilds the state from them.
//!
//! # A round
//!
//! ```text
//! committing ──all live members committed, or deadline with quorum──▶ revealing
//! revealing  ──all of them revealed, or deadline with quorum, and the audits due are done──▶ aggregating
//! aggregating ──the runtime reports the new model──▶ closed: audits are sampled, the next round opens
//! ```
//!
//! Updates are revealed only when all commitments are fixed, so nobody can copy another's update; who is audited
//! follows from the digest of all commitments, so nobody can know beforehand.
//!
//! # Optimistic verification
//!
//! The audits of round `r` run while later rounds train. They are due before round `r + 1 + audit_lag` aggregates:
//! exactly then a member found guilty is ejected, however early the verdict came, so that the model does not depend
//! on how fast auditors are. The slash does not wait. Rewards for `r` are released once the audits of `r` and of
//! all rounds before it are done, and never to a member found guilty of `r` or an earlier round. A forgery takes no
//! reward of the honest rounds before it, whichever verdict comes first.
//!
//! # Who audits
//!
//! Any live member that was not found guilty, but nobody itself. Which of them is for the runtime to choose. An audit
//! that nobody may do is not ordered, and one that loses its last auditor (by death, leaving, ejection or guilt) is
//! waived at once ([`Event::AuditWaived`]): the run does not wait for who may never come, and releases the rewards of
//! that round as after an honest finding. A lone member therefore works unaudited, and the last two can be played off
//! against each other; who needs more trust than that demands more members.

mod config;
mod decide;
mod effect;
mod event;
mod input;
mod sampling;
mod state;
mod terms;

pub use config::ProtocolConfig;
pub use decide::Step;
pub use effect::{AuditOrder, Effect};
pub use event::{Event, Finding};
pub use input::{Input, Refusal};
pub use state::{HistoryError, Member, Run, Stage, Standing};
pub use terms::RunTerms;
