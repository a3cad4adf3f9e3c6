//! Caches, leases and limits against a server: that of `DAA_TEST_REDIS`, or the one on this machine.

mod conformance;
mod faults;
mod leases;
mod secrets;
mod server;
mod support;
