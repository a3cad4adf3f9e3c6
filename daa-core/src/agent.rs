//! The agent: monitor, reason, act, reflect, adapt.
//!
//! An [`Agent`] is put together from small parts, each a trait with a closure form and a default where one makes
//! sense:
//!
//! | phase | part | by default |
//! |---|---|---|
//! | monitor | [`DataCollector`] ([`collector_fn`]), [`Threshold`] | |
//! | reason | [`Strategy`] ([`strategy_fn`]), [`Reasoner`] | [`WeightedReasoner`] |
//! | act | [`Executor`](crate::action::Executor) ([`executor_fn`]), behind the [`Gate`](crate::action::Gate) | |
//! | reflect | [`Reflector`] | [`ExpectationReflector`] |
//! | adapt | [`Adapter`], [`Parameter`] | [`HillClimber`] |
//!
//! Every decision of a cycle is made by a pure state machine; the agent performs what it asks for. A part that
//! fails, panics or hangs is a [`Lapse`] in the [`CycleReport`], and the cycle goes on without it.
//!
//! ```
//! use std::sync::Arc;
//! use daa_core::action::{Gate, Outcome, Policy};
//! use daa_core::agent::{Agent, PlannedAction, collector_fn, executor_fn, strategy_fn};
//! use daa_core::clock::SystemClock;
//! use daa_core::event::MemoryEventStore;
//! use daa_core::id::ActionKind;
//!
//! async fn keep_cool(rules: Arc<dyn Policy>) -> Result<(), Box<dyn std::error::Error>> {
//!     let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
//!     let gate = Gate::builder(store.clone(), clock.clone()).with_policy(rules).build();
//!     let start_fan: ActionKind = "fan.start".try_into()?;
//!     let kind = start_fan.clone();
//!     let mut agent = Agent::builder("thermostat".try_into()?, gate, store, clock)
//!         .with_collector(collector_fn("temperature", || async { 31.5 })?)
//!         .with_strategy(strategy_fn("cool", move |situation| match situation.metric("temperature") {
//!             Some(degrees) if degrees > 25.0 => vec![PlannedAction::new(kind.clone())],
//!             _ => vec![],
//!         })?)
//!         .with_executor(start_fan, executor_fn(|_| Box::pin(async { Ok(Outcome::new("spinning")) })))
//!         .build()
//!         .await?;
//!     let report = agent.cycle().await?;
//!     println!("cycle {}: {:?}", report.cycle, report.score());
//!     Ok(())
//! }
//! ```

mod act;
mod adapt;
mod builder;
mod completion;
mod error;
mod event;
mod executor_fn;
mod journal;
mod lapse;
mod limits;
mod machine;
mod metrics;
mod observe;
mod parameter;
mod pattern;
mod plan;
mod planned;
mod reason;
mod reflect;
mod report;
mod runtime;
mod situation;
mod state;
mod threshold;

pub use adapt::{Adapter, Adjustment, Change, HillClimber, LastTrial, MAX_TRIAL, Review, Trial, WEIGHTS};
pub use builder::AgentBuilder;
pub use error::AgentError;
pub use event::{DaaEvent, EventBroadcast, EventListener, EventSink, Heard};
pub use executor_fn::{FnExecutor, executor_fn};
pub use lapse::{Cause, Lapse, MAX_LAPSES, Part};
pub use limits::TimeLimits;
pub use metrics::{MAX_METRICS, MetricSummary, Metrics};
pub use observe::{CollectError, DataCollector, FnCollector, Observation, Readings, collector_fn};
pub use parameter::{Parameter, ParameterError, ParameterName};
pub use pattern::{MAX_PATTERNS, Pattern, PatternMemory, Recalled, Signature};
pub(crate) use planned::plan_of;

pub use plan::{Expectation, MAX_PLAN, MAX_STEPS, Plan, PlannedAction, Source};
pub use reason::{FnStrategy, ReasonError, Reasoner, Strategy, WeightedReasoner, strategy_fn};
pub use reflect::{Comparison, ExpectationReflector, Hindsight, Reflection, Reflector};
pub use report::{CycleReport, StepReport, StepResult, UndoResult};
pub use runtime::Agent;
pub use situation::{Candidate, Situation};
pub use state::{AgentState, MAX_STRATEGIES};
pub use threshold::{Side, Threshold, ThresholdError, ThresholdName};
