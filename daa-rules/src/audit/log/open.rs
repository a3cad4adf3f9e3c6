//! Taking a log over: what it has must be what it promised, here and where its last checkpoint was kept.

use daa_core::event::{Version, last_event};

use super::publish::Shown;
use super::statements::restore;
use super::{AuditError, AuditLog, AuditOptions, AuditParts, Irregularities};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::edge::Edge;
use crate::audit::hash::TreeHash;
use crate::audit::journal::{Head, LogEvent, stream};
use crate::audit::note::{KeyName, Note};
use crate::audit::reader::LogReader;
use crate::audit::shape::TILE_WIDTH;
use crate::audit::tile::push_entry;

impl AuditLog {
    /// Takes over the log called `name` in its store, or begins it. Whoever had it before is refused from then on.
    ///
    /// Nothing is taken over that is not as promised: the files must have the root of the last checkpoint in the store, and
    /// the log must go on from the checkpoint that is kept, and from the one that is published. Statements of new keys that
    /// are missing are written again.
    ///
    /// # Errors
    /// [`AuditError`], among them [`AuditError::RolledBack`] and [`AuditError::Forked`].
    pub async fn open(name: &str, parts: AuditParts, options: AuditOptions) -> Result<Self, AuditError> {
        let stream = stream(name)?;
        let last = last_event(&*parts.store, &stream, Version::EMPTY).await?;
        let version = last.as_ref().map_or(Version::EMPTY, |event| event.version);
        let event = match &last {
            None => None,
            Some(event) => Some(LogEvent::read(event)?.ok_or(AuditError::Erased)?),
        };
        let head =
            event.as_ref().map_or_else(|| Head::start(parts.key.public()), |event| event.head().clone());
        if head.key != parts.key.public() {
            return Err(AuditError::OtherKey { expected: head.key, actual: parts.key.public() });
        }
        let reader = LogReader::new(parts.tiles.clone());
        let published = reader.checkpoint().await?;
        let kept = parts.keeper.last().await?.map(|text| Note::parse(text.as_bytes())).transpose()?;
        for note in [&kept, &published].into_iter().flatten() {
            goes_on(&reader, &head, parts.key.name(), note).await?;
        }
        let (edge, entries) = edge(&reader, &head).await?;
        restore(&*parts.tiles, &*parts.store, &stream, &head).await?;
        let read = head.position;
        let (shown, irregular, lost) = (Shown::Nothing, Irregularities::default(), false);
        let mut log = Self {
            parts,
            options,
            reader,
            stream,
            head,
            version,
            edge,
            entries,
            read,
            shown,
            irregular,
            lost,
        };
        let head = log.head.clone();
        log.commit(LogEvent::Opened { head }).await?;
        log.publish().await?;
        Ok(log)
    }
}

/// Whether the log goes on from a checkpoint that it gave out.
async fn goes_on(reader: &LogReader, head: &Head, origin: &KeyName, note: &Note) -> Result<(), AuditError> {
    let given = Checkpoint::parse(note.text())?;
    if given.origin != *origin {
        return Err(AuditError::OtherLog { expected: origin.clone(), actual: given.origin });
    }
    if given.size > head.size {
        return Err(AuditError::RolledBack { given: given.size, size: head.size });
    }
    let actual = reader.root(given.size).await?;
    if actual != given.root {
        return Err(AuditError::Forked { size: given.size, given: given.root, actual });
    }
    Ok(())
}

/// The right edge of the log and its last bundle, as the head says they are.
async fn edge(reader: &LogReader, head: &Head) -> Result<(Edge, Vec<u8>), AuditError> {
    let edge = reader.edge(head.size).await?;
    let damaged = || AuditError::Damaged { size: head.size };
    if edge.root() != head.root {
        return Err(damaged());
    }
    let mut entries = Vec::new();
    if !head.size.is_multiple_of(TILE_WIDTH) {
        let leaves = edge.partial().next().filter(|(level, _)| *level == 0).map(|(_, leaves)| leaves);
        let records = reader.bundle(head.size / TILE_WIDTH, head.size).await?;
        let hashes = records.iter().map(|record| TreeHash::leaf(record));
        if !leaves.is_some_and(|leaves| hashes.eq(leaves.iter().copied())) {
            return Err(damaged());
        }
        records.iter().try_for_each(|record| push_entry(&mut entries, record))?;
    }
    Ok((edge, entries))
}
