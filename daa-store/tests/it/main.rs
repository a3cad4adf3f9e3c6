//! Tests of daa-store on real files.

mod folder_artifacts;
mod sqlite_events;
