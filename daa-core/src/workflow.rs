//! Workflows: work of many steps that outlives the process.

#[cfg(feature = "schedule")]
pub mod schedule;
mod trace;

pub use trace::{
    MAX_TRACEPARENT_LEN, MAX_TRACESTATE_LEN, SpanId, TraceContext, TraceError, TraceId, TraceState,
};
