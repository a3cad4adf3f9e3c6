//! Tests of daa-store on real files.

mod folder_artifacts;
mod refusals;
mod sqlite_events;
mod support;
