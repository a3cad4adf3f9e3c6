//! What most agents need, in one `use daa::prelude::*`.

pub use daa_core::action::{
    Action, Authorized, Context, Decision, ExecuteError, Executor, Executors, Gate, GateError, Outcome,
    Policy,
};
pub use daa_core::agent::{
    Agent, CycleReport, DataCollector, Expectation, Observation, Parameter, PlannedAction, Situation,
    Strategy, Threshold, collector_fn, executor_fn, strategy_fn,
};
pub use daa_core::amount::{Amount, Currency, Money};
pub use daa_core::clock::{Clock, SystemClock, Timestamp};
pub use daa_core::event::{EventStore, MemoryEventStore};
pub use daa_core::fault::{Fault, Reaction, Retry};
pub use daa_core::id::{AccountId, ActionKind, AgentId, RunId};
pub use daa_core::workflow::{
    Answer, Condition, RunOutcome, Start, Step, WorkerOptions, Workflow, WorkflowEngine,
};
#[cfg(feature = "economy")]
pub use daa_economy::{Account, AccountKind, AgentTreasury, Budget, Ledger, Period, Transfer, Window};
#[cfg(feature = "rules")]
pub use daa_rules::{RulesEngine, Ruleset};
#[cfg(feature = "store")]
pub use daa_store::{data_dir::DataDir, sqlite::SqliteEventStore};
