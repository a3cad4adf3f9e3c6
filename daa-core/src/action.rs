//! Actions, and the one gate that every effect passes.
//!
//! An [`Action`] is data: what an agent wants done. The [`Gate`] asks the [`Policy`], reserves what the action
//! may cost at the [`Treasury`], and makes the decision and the attempt durable in one append. Only then does it
//! build an [`Authorized`], which no other code can, and hand it to an [`Executor`], which accepts nothing else.
//! After the effect the outcome and the settlement become durable, again in one append.

mod audit;
mod authorized;
mod beats;
mod checkpoint;
mod ending;
mod error;
mod executor;
mod gate;
mod in_flight;
mod journal;
mod policy;
mod pursuit;
pub(crate) mod request;
mod transaction;
mod treasury;

pub(crate) use authorized::Link;
pub(crate) use beats::{Beats, Seen};
pub(crate) use ending::{CallError, Ending};
pub(crate) use in_flight::FlightGuard;
pub(crate) use pursuit::{Aim, Pursued, Pursuit};
pub(crate) use transaction::{Attempt, Opening, Transaction};

pub use audit::{Finding, JournalAudit, JournalSummary, Violation};
pub use authorized::{Authorized, Permit};
pub use error::{Escalation, GateError};
pub use executor::{Effect, ExecuteError, Executor, Executors, Outcome, Reconciled};
pub use gate::{Gate, GateBuilder, Performed};
pub use journal::{ActionEvent, ActionState, ActionStatus, OpenActions};
pub use policy::{Decision, DenyAll, Endorsement, Policy, Request, Verdict};
pub(crate) use request::json_len;
pub use request::{Action, ActionError, Context, MAX_PARAMS};
pub use treasury::{NoSpending, Refusal, ReservationId, Treasury, TreasuryChange, TreasuryError};
