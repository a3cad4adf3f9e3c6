//! Workflows in real processes on real files, which are killed and stopped while they work.

mod effects;
mod killed;
mod process;
mod stopped;
