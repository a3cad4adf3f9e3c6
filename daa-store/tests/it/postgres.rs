//! [`PostgresEventStore`] against a server: that of `DAA_TEST_POSTGRES`, or the one on this machine.

mod backup;
mod conformance;
mod faults;
mod following;
mod format_1;
mod history;
mod processes;
pub(crate) mod projection;
mod relay;
mod replicas;
mod rolling;
mod schema;
mod server;
mod support;
mod tls;
