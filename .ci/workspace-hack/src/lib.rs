//! Nothing. This crate's `Cargo.toml` says why it is here.
