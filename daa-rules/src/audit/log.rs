//! The log: a follower of the store that turns what happens into records of a tree.

mod error;
mod irregular;
mod open;
mod publish;
mod statements;

use std::sync::Arc;

use daa_core::clock::Clock;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, PageSize, Position, StreamWrite, Version,
};
use daa_core::id::StreamId;

use super::checkpoint::Checkpoint;
use super::edge::Edge;
use super::growth::Growth;
use super::journal::{Head, LogEvent};
use super::keeper::CheckpointKeeper;
use super::key::{NoteSigner, PublicKey};
use super::note::{KeyName, Note};
use super::reader::{LogReader, MAX_ROTATIONS};
use super::record::{Reading, Unsalted};
use super::rotation::Rotation;
use super::tiles::TileStore;
use publish::Shown;

pub use error::AuditError;
pub use irregular::Irregularities;

/// What a log leans on.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a new part would be needed by everybody")]
pub struct AuditParts {
    /// The store whose events are recorded. The log has a stream in it too, `audit/NAME`.
    pub store: Arc<dyn EventStore>,
    /// Tells the times of the log's own events.
    pub clock: Arc<dyn Clock>,
    /// Where the files of the log are.
    pub tiles: Arc<dyn TileStore>,
    /// Where the last checkpoint is kept, away from store and files.
    pub keeper: Arc<dyn CheckpointKeeper>,
    /// The log's key. Its name is the log's origin.
    pub key: Arc<dyn NoteSigner>,
}

/// How a log is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditOptions {
    unsalted: Unsalted,
    batch: usize,
    second: Vec<Arc<dyn NoteSigner>>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { unsalted: Unsalted::Bind, batch: 16_384, second: Vec::new() }
    }
}

impl AuditOptions {
    /// Every event is bound, with a salt or without one; about 16,000 records a checkpoint at most.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Does not bind events without a salt to their content up to a position: of a store that was there before its gates
    /// [wrote salts](daa_core::action::GateBuilder::with_salts). Without it they are bound by a plain digest, and whoever
    /// guesses what they said can tell, also when they are erased.
    #[must_use]
    pub const fn leaving_unsalted_unbound_until(mut self, last: Position) -> Self {
        self.unsalted = Unsalted::LeaveUntil(last);
        self
    }

    /// How many records go into one checkpoint, more or less: from that many on no further events are read for it.
    #[must_use]
    pub fn with_batch(mut self, records: usize) -> Self {
        self.batch = records.max(1);
        self
    }

    /// Signs every checkpoint with a further key too, such as one of another algorithm.
    #[must_use]
    pub fn with_second_key(mut self, key: Arc<dyn NoteSigner>) -> Self {
        self.second.push(key);
        self
    }
}

/// The audit log of a store.
///
/// It follows the global order, and makes a record of each event about actions and rules: those events stand in the
/// append of the decision or effect that they tell of, so nothing can take effect that is not going to be recorded. The
/// records are the leaves of a Merkle tree, whose files are written first and whose checkpoint is published last.
///
/// One owner goes on with a log. Whoever [opens](Self::open) it takes it over: the one before is
/// [refused](AuditError::Superseded) at his next step, and publishes nothing from then on.
///
/// No event stops a log. One that cannot be understood, or that nothing blinds, is recorded as that, and is counted in
/// [`Self::irregularities`].
#[derive(Debug)]
pub struct AuditLog {
    parts: AuditParts,
    options: AuditOptions,
    reader: LogReader,
    stream: StreamId,
    /// How far the log is for good.
    head: Head,
    /// The version of its stream.
    version: Version,
    edge: Edge,
    entries: Vec<u8>,
    /// How far the store was read: not less than the head says.
    read: Position,
    /// What of the head is published and kept.
    shown: Shown,
    irregular: Irregularities,
    /// What is true of the stream is not known: the log has to be opened again.
    lost: bool,
}

impl AuditLog {
    /// Which log: the name of its key.
    #[must_use]
    pub fn origin(&self) -> &KeyName {
        self.parts.key.name()
    }

    /// How many records the log has for good.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.head.size
    }

    /// The position up to which the log has recorded what there is to record. Only streams whose events are not behind it
    /// may be [erased](EventStore::erase): what is erased before it is recorded leaves no trace of what it said.
    #[must_use]
    pub const fn covered(&self) -> Position {
        self.head.position
    }

    /// The public key that signs from here on.
    #[must_use]
    pub fn key(&self) -> String {
        self.parts.key.public()
    }

    /// What was recorded otherwise than it should be, since the log was opened.
    #[must_use]
    pub const fn irregularities(&self) -> &Irregularities {
        &self.irregular
    }

    /// Reads the files of the log.
    #[must_use]
    pub const fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// The checkpoint of the log as it is for good; it may not be published yet.
    ///
    /// # Errors
    /// [`AuditError`] when a key does not sign.
    pub fn checkpoint(&self) -> Result<Note, AuditError> {
        let signers: Vec<&dyn NoteSigner> =
            [&*self.parts.key].into_iter().chain(self.options.second.iter().map(|key| &**key)).collect();
        Ok(self.state()?.sign(&signers)?)
    }

    fn state(&self) -> Result<Checkpoint, AuditError> {
        Ok(Checkpoint::new(self.origin().clone(), self.head.size, self.head.root)?)
    }

    /// Records what happened until the call, up to one checkpoint's worth. `None` when there was nothing to record.
    ///
    /// The files are durable before the checkpoint is in the store, and it is in the store before it is published and
    /// kept. Whatever a crash leaves is completed or written again, byte for byte, by the next call.
    ///
    /// # Errors
    /// [`AuditError`]. After one that calls for it, calling again goes on; the log never goes on from anything but its last
    /// checkpoint.
    ///
    /// # Cancel safety
    /// A dropped call may leave files that the next one writes again. If the checkpoint was being put into the store, the
    /// next call answers [`AuditError::Lost`].
    pub async fn advance(&mut self) -> Result<Option<Checkpoint>, AuditError> {
        let end = self.parts.store.head().await?;
        self.advance_to(end).await
    }

    /// As [`Self::advance`], no further than `end`: whoever goes to where the store's end is meanwhile may never arrive.
    async fn advance_to(&mut self, end: Position) -> Result<Option<Checkpoint>, AuditError> {
        self.publish().await?;
        let (records, irregular, read) = self.records(end).await?;
        if records.is_empty() {
            self.read = read;
            return Ok(None);
        }
        let mut growth = Growth::from(&self.edge, &self.entries);
        for record in &records {
            growth.push(record)?;
        }
        let files = growth.files();
        self.parts.tiles.write(files.bundles).await?;
        self.parts.tiles.write(files.tiles).await?;
        let Growth { edge, entries, .. } = growth;
        let head = Head { size: edge.size(), root: edge.root(), position: read, ..self.head.clone() };
        self.commit(LogEvent::Checkpoint { head }).await?;
        (self.edge, self.entries, self.read) = (edge, entries, read);
        irregular.tell(&self.stream);
        self.irregular.add(&irregular);
        self.publish().await?;
        for partials in &files.superseded {
            self.parts.tiles.remove(partials).await?;
        }
        self.state().map(Some)
    }

    /// Records everything that happened before the call, and returns the last checkpoint. What happens meanwhile is not
    /// waited for.
    ///
    /// # Errors
    /// [`AuditError`], as [`Self::advance`].
    pub async fn catch_up(&mut self) -> Result<Checkpoint, AuditError> {
        let end = self.parts.store.head().await?;
        while self.advance_to(end).await?.is_some() {}
        self.state()
    }

    /// Gives the log a new key. The old one signs which, and its last checkpoint; the event of that is recorded as all
    /// others are.
    ///
    /// # Errors
    /// [`AuditError`]. [`Self::key`] says which key the log has then. Where it is the new one already, its statement is in the
    /// store, and is published with the next step of the log, or when it is opened.
    ///
    /// # Cancel safety
    /// As [`Self::advance`]. Which key the log has then is what [opening](Self::open) it says.
    pub async fn rotate(&mut self, new: Arc<dyn NoteSigner>) -> Result<Note, AuditError> {
        let last = self.catch_up().await?;
        if self.head.rotations >= MAX_ROTATIONS as u64 {
            return Err(AuditError::TooManyKeys);
        }
        let (old, next): (PublicKey, PublicKey) = (self.parts.key.public().parse()?, new.public().parse()?);
        let note = Rotation::new(last, old, next)?.sign(&*self.parts.key, &*new)?;
        let head = Head { key: new.public(), rotations: self.head.rotations + 1, ..self.head.clone() };
        self.commit(LogEvent::Rotated { head, statement: note.to_string() }).await?;
        self.parts.key = new;
        self.shown = Shown::NotEvenKey(note.to_string());
        self.publish().await?;
        Ok(note)
    }

    /// The records of what is behind the last position that was read, `end` included, and how far that goes.
    async fn records(&self, end: Position) -> Result<(Vec<Vec<u8>>, Irregularities, Position), AuditError> {
        let (mut records, mut irregular, mut read) = (Vec::new(), Irregularities::default(), self.read);
        while records.len() < self.options.batch && read < end {
            let mut page = self.parts.store.read_all(read, PageSize::new(PageSize::MAX)).await?;
            page.retain(|event| event.position <= end);
            let Some(last) = page.last() else { break };
            read = last.position;
            for event in page.iter().filter(|event| Reading::is_recorded(event, self.stream.as_str())) {
                let record = Reading::of(event, self.options.unsalted).record();
                irregular.note(self.head.size + records.len() as u64, &record);
                records.push(record.encode()?);
            }
        }
        Ok((records, irregular, read))
    }

    /// Makes a step of the log durable, unless somebody else went on with it.
    async fn commit(&mut self, event: LogEvent) -> Result<(), AuditError> {
        if self.lost {
            return Err(AuditError::Lost);
        }
        let new = event.to_new(self.parts.clock.now())?;
        let write = StreamWrite::new(self.stream.clone(), ExpectedVersion::Exact(self.version), vec![new]);
        // Until the answer is there, nobody knows where the stream is: not even if this call is dropped.
        self.lost = true;
        match self.parts.store.append(Batch::new().with(write)).await {
            Ok(_) => {}
            Err(AppendError::Conflict { .. }) => return Err(AuditError::Superseded),
            Err(error @ AppendError::Unconfirmed { .. }) => return Err(error.into()),
            Err(error) => {
                self.lost = false;
                return Err(error.into());
            }
        }
        self.lost = false;
        self.version = self.version.next();
        self.head = event.head().clone();
        self.shown = Shown::Nothing;
        Ok(())
    }
}
