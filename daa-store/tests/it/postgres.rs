//! [`PostgresEventStore`] against a server: that of `DAA_TEST_POSTGRES`, or the one on this machine.

mod conformance;
mod faults;
mod following;
mod history;
mod processes;
pub(crate) mod projection;
mod relay;
mod schema;
mod server;
mod support;
