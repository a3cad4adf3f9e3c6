//! The inbox itself: who is let in, and the append that makes effect and mark one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::InboxError;
use super::marks::{Known, Mark, Marks, REMEMBERED};
use crate::bus::Message;
use crate::clock::Clock;
use crate::digest::Digest;
use crate::event::{
    AppendError, Appended, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, StreamWrite, Version,
    last_event,
};
use crate::id::{EventKind, InboxName, OrderingKey, StreamId};
use crate::relay::Relayed;

/// The marks of so many keys are kept in memory; those of others are read when they are needed.
const MAX_KEYS: usize = 4_096;

/// Where the messages of relays take effect once; see [the module](super).
///
/// Clones share what they know. Effects and marks are in one store, because only one append makes them one; the messages
/// may come from any other.
#[derive(Clone, Debug)]
pub struct Inbox {
    name: InboxName,
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<HashMap<StreamId, Marks>>>,
}

/// Whether a message is to be handled.
#[derive(Debug)]
#[must_use = "what is new takes effect when it is committed"]
pub enum Admission<'a> {
    /// It was not handled yet.
    New(Admitted<'a>),
    /// It was: acknowledge it.
    Repeated,
}

/// A message that was not handled yet. Dropping it changes nothing.
#[derive(Debug)]
#[must_use = "it takes effect when it is committed"]
pub struct Admitted<'a> {
    inbox: &'a Inbox,
    relayed: Relayed,
    key: OrderingKey,
    stream: StreamId,
    marks: Marks,
    late: bool,
}

/// What became of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Committed {
    /// Effect and mark are in the store; the first event is the mark.
    Applied(Appended),
    /// Another was faster with the same message; nothing was appended here.
    Repeated,
}

impl Inbox {
    /// The inbox of this name in a store. Those who share the work share the name; those who each have to see every
    /// message have names of their own.
    ///
    /// # Errors
    /// [`InboxError::Name`] for a name that leaves no room for the names made of it: of more than 129 bytes.
    pub fn new(
        name: InboxName,
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InboxError> {
        let longest = StreamId::new(stream_name(&name, &Digest::of(b"")));
        longest.map_err(|source| InboxError::Name { name: name.clone(), source })?;
        Ok(Self { name, store, clock, known: Arc::default() })
    }

    /// Says whether a message is new.
    ///
    /// # Errors
    /// [`InboxError`]: the message is not of a relay, too old to tell, or the store cannot be read.
    ///
    /// # Cancel safety
    /// Safe: nothing changes.
    pub async fn admit(&self, message: &Message) -> Result<Admission<'_>, InboxError> {
        let relayed = Relayed::of(message)?;
        let key = message.key().cloned().unwrap_or_else(|| relayed.key());
        let stream = self.stream(&relayed, &key);
        let known = self.known().get(&stream).cloned();
        let marks = match known {
            Some(marks) => marks,
            None => self.read(&stream).await?,
        };
        match self.judge(&stream, &marks, &relayed, &key)? {
            None => Ok(Admission::Repeated),
            Some((marks, late)) => {
                Ok(Admission::New(Admitted { inbox: self, relayed, key, stream, marks, late }))
            }
        }
    }

    /// `None` when it was handled. What others have handled since, the append finds out.
    fn judge(
        &self,
        stream: &StreamId,
        marks: &Marks,
        relayed: &Relayed,
        key: &OrderingKey,
    ) -> Result<Option<(Marks, bool)>, InboxError> {
        let position = relayed.position;
        match marks.of(position) {
            Known::New { late } => Ok(Some((marks.clone(), late))),
            Known::Repeated => Ok(None),
            Known::TooOld => {
                let (key, floor) = (key.clone(), marks.floor);
                tracing::warn!(inbox = %self.name, %stream, %position, %floor, "a message is too old");
                Err(InboxError::TooOld { key, position, floor })
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<StreamId, Marks>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, stream: &StreamId, marks: Marks) {
        let mut known = self.known();
        if known.len() >= MAX_KEYS && !known.contains_key(stream) {
            known.clear();
        }
        known.insert(stream.clone(), marks);
    }

    async fn read(&self, stream: &StreamId) -> Result<Marks, InboxError> {
        let last = last_event(&*self.store, stream, Version::EMPTY).await?;
        let end = last.map_or(Version::EMPTY, |last| last.version);
        let mut marks = Marks::behind(Version::new(end.get().saturating_sub(REMEMBERED as u64)));
        loop {
            let page = self.store.read_stream(stream, marks.version, PageSize::new(REMEMBERED)).await?;
            if page.is_empty() {
                break;
            }
            for event in page {
                match event.is_erased() {
                    // Others went on meanwhile: it is out of the window, and below the floor of what follows.
                    true => marks.version = event.version,
                    false => marks.add(event.json()?, event.version),
                }
            }
        }
        self.keep(stream, marks.clone());
        Ok(marks)
    }

    /// The stream of a key of a relay. A digest, because both may be as long as an id can be.
    #[expect(clippy::expect_used, reason = "Inbox::new has checked that there is room behind its name")]
    fn stream(&self, relayed: &Relayed, key: &OrderingKey) -> StreamId {
        let digest = Digest::builder("daa inbox key v1").field(relayed.source.as_str().as_bytes());
        let digest = digest.field(key.as_str().as_bytes()).finish();
        StreamId::new(stream_name(&self.name, &digest)).expect("the name leaves room for a digest")
    }
}

fn stream_name(inbox: &InboxName, key: &Digest) -> String {
    format!("inbox/{inbox}/{key}")
}

impl Admitted<'_> {
    /// What the message says about its event.
    #[must_use]
    pub const fn relayed(&self) -> &Relayed {
        &self.relayed
    }

    /// Whether a later message of its key was handled before: it was a dead letter meanwhile.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.late
    }

    /// Appends the effect, and the mark that the message was handled, in one batch. The effect may be empty.
    ///
    /// # Errors
    /// [`InboxError::Append`], with [`AppendError::Conflict`] where a stream of the effect is not at the version that
    /// the effect expects: read it anew, admit the message again, and commit.
    ///
    /// # Cancel safety
    /// A dropped call leaves both or neither; admit the message again to know.
    pub async fn commit(mut self, effect: Batch) -> Result<Committed, InboxError> {
        loop {
            let mark = self.marks.next(self.relayed.position);
            let expected = ExpectedVersion::Exact(self.marks.version);
            let event = NewEvent::json(mark_kind(), self.inbox.clock.now(), &mark)?;
            // The mark first: whoever was slower is told that, and not that the effect's streams have moved.
            let mut batch = Batch::new().with(StreamWrite::new(self.stream.clone(), expected, vec![event]));
            batch.writes.extend(effect.writes.iter().cloned());
            match self.inbox.store.append(batch).await {
                Ok(appended) => {
                    self.applied(mark).await;
                    return Ok(Committed::Applied(appended));
                }
                Err(AppendError::Conflict { stream, .. }) if stream == self.stream => {
                    let marks = self.inbox.read(&self.stream).await?;
                    match self.inbox.judge(&self.stream, &marks, &self.relayed, &self.key)? {
                        None => return Ok(Committed::Repeated),
                        Some((marks, late)) => (self.marks, self.late) = (marks, late),
                    }
                }
                Err(error) => {
                    // What is in the store now is not known.
                    self.inbox.known().remove(&self.stream);
                    return Err(error.into());
                }
            }
        }
    }

    async fn applied(mut self, mark: Mark) {
        let version = self.marks.version.next();
        self.marks.add(mark, version);
        self.inbox.keep(&self.stream, self.marks);
        let window = REMEMBERED as u64;
        if version.get() > window && version.get().is_multiple_of(window) {
            let forgotten = Version::new(version.get() - window);
            if let Err(error) = self.inbox.store.erase(&self.stream, forgotten).await {
                tracing::debug!(stream = %self.stream, %error, "old marks of an inbox are kept until the next time");
            }
        }
    }
}

const fn mark_kind() -> EventKind {
    EventKind::constant("inbox.handled.v1")
}
