//! Workflows that survive anything: durable, compensated, governed by the gate.

mod definition;
mod diagram;
mod duration_text;

pub use definition::{
    ActionStep, ApprovalStep, Cause, ChildStep, Condition, DefinitionErrors, Each, Field, Flaw, Incompatible,
    Limit, Mismatch, OnFailure, Place, Position, Problem, Rate, ReadErrors, ReadProblem, Repeat, Retry,
    SignalStep, Step, StepKind, Template, Type, Undo, Variable, Workflow,
};
pub use diagram::{Diagram, StepMark};
