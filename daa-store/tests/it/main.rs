//! Tests of daa-store on real files.

mod crash;
mod damage;
mod erase;
mod folder_artifacts;
mod full;
mod in_doubt;
mod read_only;
mod refusals;
mod sharing;
mod small_disk;
mod sqlite_events;
mod support;
mod workflows;
