//! Definitions as people write them, right and wrong.

mod check;
mod graph;
mod read;
mod text;

use super::{Cause, Workflow};

#[cfg(feature = "yaml")]
pub(in crate::workflow) const ORDER: &str = include_str!("tests/examples/order.yaml");
#[cfg(feature = "yaml")]
pub(in crate::workflow) const APPROVAL: &str = include_str!("tests/examples/approval.yaml");
#[cfg(feature = "yaml")]
pub(in crate::workflow) const FAN_OUT: &str = include_str!("tests/examples/fan_out.yaml");
pub(in crate::workflow) const POLL: &str = include_str!("tests/examples/poll.json");

/// A definition that need not work.
fn unchecked(json: serde_json::Value) -> Workflow {
    serde_json::from_value(json).unwrap()
}

/// What is wrong, with its place.
fn wrong(json: serde_json::Value) -> Vec<(String, Cause)> {
    let problems = unchecked(json).check().map_or_else(|errors| errors.problems().to_vec(), |()| Vec::new());
    problems.into_iter().map(|problem| (problem.place.to_string(), problem.cause)).collect()
}
