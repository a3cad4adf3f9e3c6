//! Making bundles of a log's files, and of the store where something is to be shown.

use daa_core::event::{EventStore, PageSize, Position, ReadError, Version};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::StreamId;

use super::{Bundle, Earlier, Entry, Format, HandOver, MAX_RECORDS};
use crate::audit::checkpoint::{Checkpoint, CheckpointError};
use crate::audit::commitment::Part;
use crate::audit::note::Note;
use crate::audit::reader::{LogReadError, LogReader};
use crate::audit::record::{Content, DisclosureError, Reading, Record, RecordError};
use crate::audit::rotation::{Rotation, RotationError};
use crate::audit::shape::TILE_WIDTH;

/// A bundle that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The files of the log cannot be read.
    #[error("the log cannot be read")]
    Files(#[from] LogReadError),
    /// The log has no checkpoint yet.
    #[error("the log has no checkpoint yet")]
    NoCheckpoint,
    /// The checkpoint is none.
    #[error("the log's checkpoint is none")]
    Checkpoint(#[from] CheckpointError),
    /// The statement of a new key is none.
    #[error("a statement of the log's new keys is none")]
    Rotation(#[from] RotationError),
    /// More than [`MAX_RECORDS`].
    #[error("{actual} records, a bundle has at most {MAX_RECORDS}")]
    TooMany {
        /// How many were asked for.
        actual: usize,
    },
    /// A record of the log that is none.
    #[error("record {index} of the log is none")]
    Record {
        /// Its number.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// The bundle has no such record.
    #[error("the bundle has no record {index}")]
    NotInBundle {
        /// Its number.
        index: u64,
    },
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] ReadError),
    /// There is nothing to show: the event was erased, never had a salt, or cannot be understood.
    #[error(
        "record {index} has nothing that can be shown: its event was erased, has no salt, or is not understood"
    )]
    NothingToShow {
        /// Its number.
        index: u64,
    },
    /// The event is not the one that was recorded.
    #[error("the event of record {index} was changed since it was recorded")]
    Changed {
        /// Its number.
        index: u64,
        /// What does not fit.
        #[source]
        source: DisclosureError,
    },
}

impl Reaction for BundleError {
    fn fault(&self) -> Fault {
        match self {
            Self::Files(error) => error.fault(),
            Self::Store(error) => error.fault(),
            Self::Checkpoint(_) | Self::Rotation(_) | Self::Record { .. } | Self::Changed { .. } => {
                Fault::Environment
            }
            Self::NoCheckpoint
            | Self::TooMany { .. }
            | Self::NotInBundle { .. }
            | Self::NothingToShow { .. } => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Files(error) => error.retry(),
            Self::Store(error) => error.retry(),
            Self::NoCheckpoint => Retry::Later,
            _ => Retry::Never,
        }
    }
}

impl Bundle {
    /// The records of these numbers, proved against the log's published checkpoint.
    ///
    /// # Errors
    /// [`BundleError`].
    pub async fn of_records(log: &LogReader, indices: &[u64]) -> Result<Self, BundleError> {
        let checkpoint = log.checkpoint().await?.ok_or(BundleError::NoCheckpoint)?;
        Self::under(log, &checkpoint, indices).await
    }

    /// The records of these numbers, proved against a checkpoint of the log, which need not be the last one: such as one
    /// that witnesses have signed.
    ///
    /// # Errors
    /// [`BundleError`].
    pub async fn under(log: &LogReader, checkpoint: &Note, indices: &[u64]) -> Result<Self, BundleError> {
        if indices.len() > MAX_RECORDS {
            return Err(BundleError::TooMany { actual: indices.len() });
        }
        let size = Checkpoint::parse(checkpoint.text())?.size;
        let mut records = Vec::with_capacity(indices.len());
        for index in indices.iter().copied() {
            let bytes = log.record(index, size).await?;
            let record = str_of(&bytes).map_err(|source| BundleError::Record { index, source })?;
            let proof = log.inclusion(index, size).await?;
            records.push(Entry { index, record, proof, disclosures: Vec::new() });
        }
        let mut rotations = Vec::new();
        for rotation in log.rotations().await? {
            let last = Rotation::read(&rotation)?.last.size;
            let proof = log.consistency(last.min(size), last.max(size)).await?;
            rotations.push(HandOver { statement: rotation.to_string(), proof });
        }
        Ok(Self { format: Format::V1, checkpoint: checkpoint.to_string(), rotations, records, earlier: None })
    }

    /// Adds the proof that the log went on from an earlier checkpoint.
    ///
    /// # Errors
    /// [`BundleError`].
    pub async fn with_earlier(mut self, log: &LogReader, earlier: &Note) -> Result<Self, BundleError> {
        let now = self.checkpoint().map_err(CheckpointError::from)?;
        let (old, new) = (Checkpoint::parse(earlier.text())?.size, Checkpoint::parse(now.text())?.size);
        let proof = log.consistency(old, new).await?;
        self.earlier = Some(Earlier { checkpoint: earlier.to_string(), proof });
        Ok(self)
    }

    /// Shows parts of the event of a record, out of the store that it stands in.
    ///
    /// # Errors
    /// [`BundleError`], among them [`BundleError::NothingToShow`] for an event that was erased, and
    /// [`BundleError::Changed`] for one that is not what was recorded.
    pub async fn disclose(
        &mut self,
        store: &dyn EventStore,
        index: u64,
        parts: &[Part],
    ) -> Result<(), BundleError> {
        let entry = self.records.iter_mut().find(|entry| entry.index == index);
        let entry = entry.ok_or(BundleError::NotInBundle { index })?;
        let record = Record::decode(entry.record.as_bytes());
        let record = record.map_err(|source| BundleError::Record { index, source })?;
        let before = Version::new(record.version.get().saturating_sub(1));
        let events = store.read_stream(&record.stream, before, PageSize::new(1)).await?;
        let event = events.first().filter(|event| event.version == record.version);
        let event = event.ok_or(BundleError::NothingToShow { index })?;
        let shown = Reading::again(event, &record).disclose(parts);
        if shown.is_empty() || record.content != Content::Blinded {
            return Err(BundleError::NothingToShow { index });
        }
        for disclosure in shown {
            record.verify(&disclosure).map_err(|source| BundleError::Changed { index, source })?;
            entry.disclosures.retain(|known| known.part != disclosure.part);
            entry.disclosures.push(disclosure);
        }
        Ok(())
    }
}

fn str_of(bytes: &[u8]) -> Result<String, RecordError> {
    Record::decode(bytes)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| RecordError::NotCanonical)
}

impl LogReader {
    /// The numbers of the records of a stream, such as `action/ID`, as far as its events can be found in the store.
    ///
    /// Records are in the order of the store, so each is found by halving.
    ///
    /// # Errors
    /// [`BundleError`].
    pub async fn records_of(
        &self,
        store: &dyn EventStore,
        stream: &StreamId,
        size: u64,
    ) -> Result<Vec<u64>, BundleError> {
        let (mut found, mut after) = (Vec::new(), Version::EMPTY);
        loop {
            let page = store.read_stream(stream, after, PageSize::default()).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = last.version;
            for event in &page {
                found.extend(self.index_of(event.position, size).await?);
            }
            if found.len() > MAX_RECORDS {
                return Err(BundleError::TooMany { actual: found.len() });
            }
        }
    }

    /// The number of the record of the event at a position; `None` when there is none.
    ///
    /// # Errors
    /// [`BundleError`].
    pub async fn index_of(&self, position: Position, size: u64) -> Result<Option<u64>, BundleError> {
        // The last bundle that begins at the position or before.
        let (mut low, mut high) = (0, size.div_ceil(TILE_WIDTH));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let first = self.bundle(middle, size).await?;
            let begins = first.first().map(|record| position_of(record, middle * TILE_WIDTH)).transpose()?;
            if begins.is_some_and(|begins| begins <= position) {
                low = middle;
            } else {
                high = middle;
            }
        }
        if size == 0 {
            return Ok(None);
        }
        for (index, record) in (low * TILE_WIDTH..).zip(self.bundle(low, size).await?) {
            if position_of(&record, index)? == position {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

fn position_of(record: &[u8], index: u64) -> Result<Position, BundleError> {
    let record = Record::decode(record).map_err(|source| BundleError::Record { index, source })?;
    Ok(record.position)
}
