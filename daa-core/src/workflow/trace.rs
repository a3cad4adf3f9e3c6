//! Where a piece of work belongs in a distributed trace: W3C Trace Context, version 00.
//!
//! Source: <https://www.w3.org/TR/trace-context-1/>.

mod error;
mod ids;
mod state;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use error::TraceError;
pub use ids::{SpanId, TraceId};
pub use state::{MAX_TRACESTATE_LEN, TraceState};

use crate::digest::Digest;

/// The longest `traceparent` that is looked at, in bytes. Version 00 has exactly 55; later ones may have more.
pub const MAX_TRACEPARENT_LEN: usize = 256;

const VERSION_00_LEN: usize = 55;
const SAMPLED: u8 = 0x01;

/// A place in a distributed trace: the trace, the span that caused this work, and whether it is recorded.
///
/// Nothing is drawn at random: ids derive from digests, so that a replay yields the same trace. Take digests of what
/// is unique, such as a run's id with the moment it began, or two traces become one.
///
/// ```
/// use daa_core::digest::Digest;
/// use daa_core::workflow::TraceContext;
///
/// let from_caller: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// let step = from_caller.child(&Digest::of(b"run-7/step-1"));
/// assert_eq!(step.trace_id(), from_caller.trace_id());
/// assert_ne!(step.span_id(), from_caller.span_id());
/// # Ok::<(), daa_core::workflow::TraceError>(())
/// ```
///
/// Serialised as the two headers: `{ "traceparent": "00-…", "tracestate": "…" }`, the second only where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Headers", into = "Headers")]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
    state: Option<TraceState>,
}

impl TraceContext {
    /// A place in a trace.
    #[must_use]
    pub const fn new(trace: TraceId, span: SpanId, sampled: bool) -> Self {
        Self { trace, span, sampled, state: None }
    }

    /// The beginning of a new trace, both ids derived from `label`.
    #[must_use]
    pub fn root(label: &Digest, sampled: bool) -> Self {
        let trace = TraceId::derive(Digest::builder("daa trace root v1").field(label.as_bytes()));
        let span = SpanId::derive(Digest::builder("daa trace root span v1").field(label.as_bytes()));
        Self::new(trace, span, sampled)
    }

    /// Work that this span causes: the same trace, and a span id derived from the trace, this span and `label`.
    #[must_use]
    pub fn child(&self, label: &Digest) -> Self {
        let place =
            Digest::builder("daa trace child v1").field(self.trace.as_bytes()).field(self.span.as_bytes());
        Self { span: SpanId::derive(place.field(label.as_bytes())), ..self.clone() }
    }

    /// Reads the two headers as they came from outside.
    ///
    /// A `tracestate` that is wrong or too long is left out: the recommendation forbids that it spoils the
    /// `traceparent`.
    ///
    /// # Errors
    /// [`TraceError`] when `traceparent` is not valid; begin a new trace then.
    pub fn from_headers(traceparent: &str, tracestate: Option<&str>) -> Result<Self, TraceError> {
        let context: Self = traceparent.parse()?;
        Ok(Self { state: tracestate.and_then(|text| TraceState::new(text).ok()), ..context })
    }

    /// The same place with what vendors attached to it.
    #[must_use]
    pub fn with_state(mut self, state: TraceState) -> Self {
        self.state = Some(state);
        self
    }

    /// The trace.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// The span that caused this work: `parent-id` of the header.
    #[must_use]
    pub const fn span_id(&self) -> SpanId {
        self.span
    }

    /// Whether the caller may have recorded its part.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// What vendors attached to it: the header `tracestate`.
    #[must_use]
    pub const fn state(&self) -> Option<&TraceState> {
        self.state.as_ref()
    }
}

/// The header `traceparent`, always of version 00, and with no flag but `sampled`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, if self.sampled { SAMPLED } else { 0 })
    }
}

/// Reads the header `traceparent`.
///
/// Flags other than `sampled` are dropped, as the recommendation asks. Of a version later than 00, its first four
/// fields are read, and what follows them is dropped.
impl FromStr for TraceContext {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let len = text.len();
        if len > MAX_TRACEPARENT_LEN {
            return Err(TraceError::Length { len });
        }
        let mut fields = text.splitn(5, '-');
        let mut field = || fields.next().unwrap_or_default();
        let (version, trace, span, flags) = (field(), field(), field(), field());
        let [version] = ids::hex(version).ok_or(TraceError::Version)?;
        match version {
            0xff => return Err(TraceError::Version),
            0 if len != VERSION_00_LEN => return Err(TraceError::Length { len }),
            _ => {}
        }
        let (trace, span) = (trace.parse()?, span.parse()?);
        let [flags] = ids::hex(flags).ok_or(TraceError::Flags)?;
        Ok(Self::new(trace, span, flags & SAMPLED != 0))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Headers {
    traceparent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<TraceState>,
}

impl TryFrom<Headers> for TraceContext {
    type Error = TraceError;

    fn try_from(headers: Headers) -> Result<Self, TraceError> {
        Ok(Self { state: headers.tracestate, ..headers.traceparent.parse()? })
    }
}

impl From<TraceContext> for Headers {
    fn from(context: TraceContext) -> Self {
        Self { traceparent: context.to_string(), tracestate: context.state }
    }
}
