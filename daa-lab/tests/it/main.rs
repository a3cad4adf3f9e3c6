//! The lab as its users have it.
#![cfg(target_os = "linux")]

#[cfg(feature = "live")]
mod live;
mod program;
