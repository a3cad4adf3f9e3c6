//! Workflows that survive anything: durable, compensated, governed by the gate.

mod archive;
mod attached;
#[cfg(all(feature = "schedule", feature = "runtime"))]
mod calendar;
mod definition;
mod diagram;
mod drive;
mod duration_text;
#[cfg(feature = "runtime")]
mod engine;
mod error;
#[cfg(feature = "runtime")]
mod explain;
mod flight;
mod leased;
mod library;
mod limits;
#[cfg(feature = "runtime")]
mod listing;
mod load;
mod metrics;
mod parts;
mod run;
#[cfg(feature = "schedule")]
pub mod schedule;
#[cfg(feature = "runtime")]
mod service;
mod snapshots;
#[cfg(all(feature = "test-util", feature = "runtime"))]
pub mod testing;
mod trace;
#[cfg(feature = "runtime")]
mod worker;

pub(crate) use attached::{Attached, Halt};
pub(crate) use definition::{ActionOfPlan, ActionPlan};
pub(crate) use run::{StepEnd, UndoEnd};

pub use archive::HistoryEntry;
#[cfg(all(feature = "schedule", feature = "runtime"))]
pub use calendar::{Recurring, ScheduleView};
pub use definition::{
    ActionStep, ApprovalStep, Cause, ChildStep, Condition, DefinitionErrors, Each, Field, Flaw, Incompatible,
    Limit, Mismatch, OnFailure, Place, Position, Problem, Rate, ReadErrors, ReadProblem, Repeat, Retry,
    SignalStep, Step, StepKind, Template, Type, Undo, Variable, Workflow,
};
pub use diagram::{Diagram, StepMark};
#[cfg(feature = "runtime")]
pub use engine::{RegisterError, Start, WorkflowEngine, WorkflowEngineBuilder};
pub use error::WorkflowError;
#[cfg(feature = "runtime")]
pub use explain::{ExplainedEvent, Explanation};
#[cfg(feature = "runtime")]
pub use listing::{RunCursor, RunPage, RunQuery, RunStatus, RunSummary, WaitKind, Waiting};
pub use metrics::WorkflowMetrics;
pub use run::{
    Answer, Approval, ApprovalRequest, ChildResult, Claim, FailureCause, MAX_RUN_ID, Parent, Refused,
    Request, RunEvent, RunOutcome, RunStarted, RunState, RunView, Snapshot, StepError, StepStatus, StepView,
    Task, Undone, Wait,
};
#[cfg(feature = "runtime")]
pub use service::WorkerService;
pub use trace::{
    MAX_TRACEPARENT_LEN, MAX_TRACESTATE_LEN, SpanId, TraceContext, TraceError, TraceId, TraceState,
};
#[cfg(feature = "runtime")]
pub use worker::WorkerOptions;
