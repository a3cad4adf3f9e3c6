//! One run as a pure state machine: what happened goes in, events and effects come out. No I/O, no clock, no
//! randomness. The driver makes the events durable and performs the effects; the state is the sum of the events.

mod advance;
mod apply;
mod backoff;
mod event;
mod failure;
mod name;
mod request;
mod result;
mod scope;
mod snapshot;
mod state;
mod taint;
mod tally;
mod undo;
mod view;

pub use event::{
    Approval, ApprovalRequest, ChildResult, Claim, MAX_RUN_ID, Parent, RunEvent, RunOutcome, RunStarted,
    Task, Undone, Wait,
};
pub(super) use event::{STREAM_PREFIX, stream_of};
pub use failure::{FailureCause, StepError};
pub use request::{Answer, Refused, Request};
pub(super) use result::{TaskResult, UndoResult};
pub use snapshot::Snapshot;
pub(super) use state::{Effect, Limits, Recorder, Room, Run};
pub(crate) use tally::{StepEnd, UndoEnd};
pub use view::{RunState, RunView, StepStatus, StepView};
