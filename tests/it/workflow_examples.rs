//! The examples of workflows, as a person runs them.

mod approval;
mod crash_and_resume;
mod nightly;
