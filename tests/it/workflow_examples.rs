//! The examples of workflows, as a person runs them.

mod approval;
mod crash_and_resume;
#[cfg(feature = "schedule")]
mod nightly;
#[cfg(all(feature = "rules", feature = "economy"))]
mod treasury_rules;
