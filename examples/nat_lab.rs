//! A swarm behind NATs, on this machine: twenty nodes in network namespaces, half of them behind NATs of the kernel, on lines with delay
//! and loss. All reach each other, directly, through holes in their NATs, or by a relay; a hub is killed, and its leaves find another. Run:
//!
//!     cargo run --release --example nat_lab --features lab
//!     cargo run --release --example nat_lab --features lab -- symmetric --loss 5 --json result.json
//!
//! It needs Linux, `ip` and `nft`, and no root where user namespaces are allowed. What each scene shows: `docs/design/lab.md`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daa_lab::main()
}
