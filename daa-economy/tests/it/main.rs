//! The economy as a user meets it.

mod books;
mod crash;
mod encoding;
mod gate;
mod rewards;
mod support;
mod windows;
mod workflow;
