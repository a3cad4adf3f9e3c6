//! A small internet on one machine: nodes of [`daa_net`] in network namespaces of their own, behind real NATs of the Linux kernel, on lines with
//! delay and loss.
//!
//! The program `nat_lab` builds it, lets the nodes find and reach each other, kills a hub, and tells what came of it. How it works, and what
//! each scene shows: `docs/design/lab.md`.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::dbg_macro,
        clippy::print_stdout
    )
)]

mod args;
#[cfg(target_os = "linux")]
mod linux;
mod program;

pub use program::main;
