//! The wrappers around executors, driven through a real gate and a clock that moves only when told to.

mod breaker;
mod bucket;
mod bulkhead;
mod chain;
mod fallback;
mod rate;
mod retry;
pub(crate) mod support;
mod time_limit;
