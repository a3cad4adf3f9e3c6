//! [`ObjectArtifacts`] over object stores that need no server.

mod conformance;
mod faults;
mod large;
pub(crate) mod support;
