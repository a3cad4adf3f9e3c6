//! Recorded events as JSON lines: what leaves a store, so that decisions can be explained elsewhere.

use std::io::{self, BufRead, Read as _, Write};

use bytes::Bytes;
use daa_core::action::{ActionEvent, Obligation};
use daa_core::clock::Timestamp;
use daa_core::event::{EventStore, PageSize, Position, ReadError, RecordedEvent, Version};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{EventKind, StreamId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::explain::Decided;
use crate::memory::{COUNT, COUNTED_TO};
use crate::ruleset::Ruleset;
use crate::runner::{Fired, STATE};

/// Bytes of one line; an event of an action has less.
const LINE: usize = 4 << 20;

/// One line.
#[derive(Serialize, Deserialize)]
struct Entry<'e> {
    position: Position,
    stream: StreamId,
    version: u64,
    kind: EventKind,
    /// In milliseconds since 1970.
    at: u64,
    #[serde(borrow)]
    event: &'e RawValue,
}

/// A journal that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A line that is no event.
    #[error("line {line} of the journal is no event")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line that is too long.
    #[error("line {line} of the journal has more than {LINE} bytes")]
    TooLong {
        /// The line, from 1.
        line: u64,
    },
    /// An event whose content is not JSON.
    #[error("the event at {position} is not JSON")]
    Content {
        /// Where it stands in the log.
        position: Position,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file cannot be read or written.
    #[error("the journal cannot be read or written")]
    Io(#[from] io::Error),
    /// The store cannot be read.
    #[error("the event store cannot be read")]
    Store(#[from] ReadError),
}

impl Reaction for JournalError {
    fn fault(&self) -> Fault {
        match self {
            Self::Line { .. } | Self::TooLong { .. } => Fault::Caller,
            Self::Content { .. } => Fault::Bug,
            Self::Io(_) => Fault::Environment,
            Self::Store(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Line { .. } | Self::TooLong { .. } | Self::Content { .. } => Retry::Never,
            Self::Io(_) => Retry::Later,
            Self::Store(error) => error.retry(),
        }
    }
}

/// The events of a journal, one after the other.
///
/// After an error that is about one line, the next line may be read.
#[derive(Debug)]
pub struct Journal<R> {
    source: R,
    line: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Journal<R> {
    /// Reads from the beginning of `source`.
    pub const fn new(source: R) -> Self {
        Self { source, line: 0, text: Vec::new() }
    }

    fn event(&mut self) -> Option<Result<RecordedEvent, JournalError>> {
        loop {
            self.text.clear();
            self.line += 1;
            // One byte more than allowed, so that a line that is too long is noticed and never held.
            match (&mut self.source).take(LINE as u64 + 1).read_until(b'\n', &mut self.text) {
                Ok(0) => return None,
                Ok(len) if len > LINE => return Some(self.skip()),
                Ok(_) if self.text.trim_ascii().is_empty() => {}
                Ok(_) => return Some(self.parsed()),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    /// Goes to the end of a line that is too long.
    fn skip(&mut self) -> Result<RecordedEvent, JournalError> {
        let error = JournalError::TooLong { line: self.line };
        while self.text.last() != Some(&b'\n') {
            self.text.clear();
            if (&mut self.source).take(LINE as u64).read_until(b'\n', &mut self.text)? == 0 {
                break;
            }
        }
        Err(error)
    }

    fn parsed(&self) -> Result<RecordedEvent, JournalError> {
        let bad = |source| JournalError::Line { line: self.line, source };
        let Entry { position, stream, version, kind, at, event } =
            serde_json::from_slice(&self.text).map_err(bad)?;
        let payload = Bytes::copy_from_slice(event.get().as_bytes());
        let at = Timestamp::from_millis(at);
        Ok(RecordedEvent::new(position, stream, Version::new(version), kind, at, payload))
    }
}

impl<R: BufRead> Iterator for Journal<R> {
    type Item = Result<RecordedEvent, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.event()
    }
}

/// Writes one event as one line of a journal. What is to be redacted is: see
/// [`ActionEvent::redacted`](daa_core::action::ActionEvent::redacted); of actions that rules emitted only their own
/// events have the parameters.
///
/// # Errors
/// [`JournalError::Content`] for an event whose content is not JSON, [`JournalError::Io`].
pub fn write_event(out: &mut impl Write, event: &RecordedEvent) -> Result<(), JournalError> {
    let bad = |source| JournalError::Content { position: event.position, source };
    let shown = shown(event).map_err(bad)?;
    let payload = shown.as_deref().unwrap_or(&event.payload);
    let content: &RawValue = serde_json::from_slice(payload).map_err(bad)?;
    let entry = Entry {
        position: event.position,
        stream: event.stream.clone(),
        version: event.version.get(),
        kind: event.kind.clone(),
        at: event.at.as_millis(),
        event: content,
    };
    let mut line = serde_json::to_vec(&entry).map_err(bad)?;
    // JSON that was stored in several lines is one line here.
    line.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    line.push(b'\n');
    out.write_all(&line)?;
    Ok(())
}

/// The content of an event as it may be shown, where that is not how it is on record.
fn shown(event: &RecordedEvent) -> Result<Option<Vec<u8>>, serde_json::Error> {
    if let Ok(Some(action)) = ActionEvent::read(event) {
        let hides = |obligation: &Obligation| matches!(obligation, Obligation::Redact(_));
        let is_hidden =
            Decided::of(&action).is_some_and(|decided| decided.verdict.obligations.iter().any(hides));
        return is_hidden.then(|| serde_json::to_vec(&action.redacted())).transpose();
    }
    match Fired::read(event) {
        Ok(Some(fired)) if fired.emitted.is_some() => serde_json::to_vec(&fired.without_params()).map(Some),
        _ => Ok(None),
    }
}

/// Writes what happened to actions and to rulesets, and what rules did, from a whole store, as a journal. Returns how
/// many events.
///
/// Writing blocks: give it a file or memory.
///
/// # Errors
/// [`JournalError`]; what was written until then is a journal.
///
/// # Cancel safety
/// A dropped call leaves the journal at the end of a line, if `out` writes whole lines.
pub async fn export(store: &dyn EventStore, out: &mut (impl Write + Send)) -> Result<u64, JournalError> {
    exported(store, out, |_| false).await
}

/// As [`export`], with the events that trigger rules of this ruleset: what a back-test of them needs.
///
/// # Errors
/// [`JournalError`]; what was written until then is a journal.
///
/// # Cancel safety
/// As [`export`].
pub async fn export_for(
    ruleset: &Ruleset,
    store: &dyn EventStore,
    out: &mut (impl Write + Send),
) -> Result<u64, JournalError> {
    exported(store, out, |kind| ruleset.is_triggered_by(kind)).await
}

/// Whether it is what only the rules themselves read: where a runner is, and what is counted. Counts are kept in streams that
/// are named by digests of what they are counted by, which may be what is redacted.
fn is_inner(kind: &str) -> bool {
    matches!(kind, STATE | COUNT | COUNTED_TO)
}

async fn exported(
    store: &dyn EventStore,
    out: &mut (impl Write + Send),
    also: impl Fn(&str) -> bool + Send,
) -> Result<u64, JournalError> {
    let mut read = Position::START;
    let mut written = 0;
    loop {
        let page = store.read_all(read, PageSize::default()).await?;
        let Some(last) = page.last() else { break };
        read = last.position;
        for event in &page {
            let kind = event.kind.as_str();
            let ours = kind.starts_with("action.") || kind.starts_with("rules.");
            if (ours || also(kind)) && !is_inner(kind) {
                write_event(out, event)?;
                written += 1;
            }
        }
    }
    out.flush()?;
    Ok(written)
}
