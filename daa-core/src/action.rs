//! Actions, and the one gate that every effect passes.
//!
//! An [`Action`] is data: what an agent wants done. The [`Gate`] asks the [`Policy`], reserves what the action
//! may cost at the [`Treasury`], and makes the decision, what the policy counts, and the attempt durable in one append. Only then does it
//! build an [`Authorized`], which no other code can, and hand it to an [`Executor`], which accepts nothing else.
//! After the effect the outcome and the settlement become durable, again in one append.

mod all_of;
mod audit;
mod authorized;
mod beats;
mod checkpoint;
mod context;
mod ending;
mod error;
mod executor;
mod gate;
mod in_flight;
mod journal;
mod memory;
mod obligation;
pub(crate) mod patience;
mod policy;
mod pursuit;
mod redact;
pub(crate) mod request;
mod salt;
mod transaction;
mod treasury;
mod untrusted;

pub(crate) use authorized::Link;
pub(crate) use beats::{Beats, Seen};
pub(crate) use ending::{CallError, Ending};
pub(crate) use in_flight::FlightGuard;
pub(crate) use pursuit::{Aim, Pursued, Pursuit};
pub(crate) use transaction::{Attempt, Opening, Transaction};

pub use all_of::AllOf;
pub use audit::{Finding, JournalAudit, JournalSummary, Violation};
pub use authorized::{Authorized, Permit};
pub use context::Context;
pub use error::{Escalation, GateError};
pub use executor::{Effect, ExecuteError, Executor, Executors, Outcome, Reconciled};
pub use gate::{Gate, GateBuilder, Performed};
pub use journal::{ActionEvent, ActionState, ActionStatus, OpenActions};
pub use memory::{End, Ended, Hold, PolicyChange, PolicyError, PolicyMemory, Standing};
pub use obligation::Obligation;
pub use policy::{Decision, DenyAll, Endorsement, PartVerdict, Policy, Request, Verdict};
pub(crate) use request::json_len;
pub use request::{Action, ActionError, MAX_PARAMS, RESERVED_IDS};
pub use salt::{Salt, SaltKey};
pub use treasury::{NoSpending, Refusal, ReservationId, Treasury, TreasuryChange, TreasuryError};
pub use untrusted::Untrusted;
