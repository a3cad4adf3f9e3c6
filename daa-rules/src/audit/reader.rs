//! Reading a log: its checkpoint, its records, and the proofs that its tiles hold.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use daa_core::fault::{Fault, Reaction, Retry};

use super::checkpoint::Checkpoint;
use super::edge::{Edge, complete, range_hash};
use super::hash::TreeHash;
use super::note::{Note, NoteError};
use super::proof::{Proof, ProofError};
use super::shape::{Span, TILE_WIDTH, consistency, hashes_at, inclusion, subtrees};
use super::tile::{CHECKPOINT, Kind, Tile, TileError, decode_entries, decode_hashes};
use super::tiles::{StorageError, TileStore};

/// Reads the files of a log. It believes none of them: what it makes of them is checked by whoever verifies it against
/// a checkpoint that he trusts.
#[derive(Clone, Debug)]
pub struct LogReader {
    tiles: Arc<dyn TileStore>,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogReadError {
    /// The storage failed.
    #[error("the log's files are unavailable")]
    Storage(#[from] StorageError),
    /// A file that a log of this size has is not there.
    #[error("the log has no file {path}")]
    Missing {
        /// Its path.
        path: String,
    },
    /// A file that is not as the specification has it.
    #[error("the log's file {path} is damaged")]
    Damaged {
        /// Its path.
        path: String,
        /// What is wrong with it.
        #[source]
        source: TileError,
    },
    /// The checkpoint is no note.
    #[error("the log's checkpoint is no signed note")]
    Checkpoint(#[from] NoteError),
    /// There is no such record, or no such tree.
    #[error("the log has nothing to prove that with")]
    Range(#[from] ProofError),
}

impl Reaction for LogReadError {
    fn fault(&self) -> Fault {
        match self {
            Self::Range(_) => Fault::Caller,
            _ => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Storage(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}

/// The most keys that a log has had.
pub(super) const MAX_ROTATIONS: usize = 256;

/// Where the statement of a log's `number`th new key is.
pub(super) fn rotation_path(number: u64) -> String {
    format!("rotation/{number:03}")
}

type Hashes = BTreeMap<(u8, u64), Vec<TreeHash>>;

impl LogReader {
    /// Reads the log in these files.
    #[must_use]
    pub fn new(tiles: Arc<dyn TileStore>) -> Self {
        Self { tiles }
    }

    /// The published checkpoint; `None` when the log has none yet. Not verified.
    ///
    /// # Errors
    /// [`LogReadError`].
    pub async fn checkpoint(&self) -> Result<Option<Note>, LogReadError> {
        let bytes = self.tiles.read(CHECKPOINT).await?;
        Ok(bytes.map(|bytes| Note::parse(&bytes)).transpose()?)
    }

    /// The statements by which the log got new keys, the first one first. Not verified.
    ///
    /// # Errors
    /// [`LogReadError`].
    pub async fn rotations(&self) -> Result<Vec<Note>, LogReadError> {
        let mut found = Vec::new();
        while found.len() < MAX_ROTATIONS
            && let Some(bytes) = self.tiles.read(&rotation_path(found.len() as u64 + 1)).await?
        {
            found.push(Note::parse(&bytes)?);
        }
        Ok(found)
    }

    /// The bytes of a record of a log of `size` records.
    ///
    /// # Errors
    /// [`LogReadError`].
    pub async fn record(&self, index: u64, size: u64) -> Result<Bytes, LogReadError> {
        let bundle = self.bundle(index / TILE_WIDTH, size).await?;
        let record = bundle.into_iter().nth((index % TILE_WIDTH) as usize);
        record.ok_or(LogReadError::Range(ProofError::OutOfTree { index, size }))
    }

    /// The records of the `index`th bundle of a log of `size` records: at most 256.
    ///
    /// # Errors
    /// [`LogReadError`].
    pub async fn bundle(&self, index: u64, size: u64) -> Result<Vec<Bytes>, LogReadError> {
        let tile = Tile::at(Kind::Entries, index, size);
        let first = index.saturating_mul(TILE_WIDTH);
        let tile = tile.ok_or(LogReadError::Range(ProofError::OutOfTree { index: first, size }))?;
        let width = tile.width as usize;
        let (tile, bytes) = self.file(tile).await?;
        let records = decode_entries(&bytes, tile.width)
            .map_err(|source| LogReadError::Damaged { path: tile.to_string(), source })?;
        Ok(records.into_iter().take(width).map(|record| bytes.slice_ref(record)).collect())
    }

    /// The proof that the record at `index` is in the log as it is, or was, with `size` records.
    ///
    /// # Errors
    /// [`LogReadError`].
    pub async fn inclusion(&self, index: u64, size: u64) -> Result<Proof, LogReadError> {
        if index >= size {
            return Err(ProofError::OutOfTree { index, size }.into());
        }
        self.proof(&inclusion(index, size), size).await
    }

    /// The proof that the log with `new` records begins with the log of `old`.
    ///
    /// # Errors
    /// [`LogReadError`].
    pub async fn consistency(&self, old: u64, new: u64) -> Result<Proof, LogReadError> {
        if old > new {
            return Err(ProofError::Shrunk { old, new }.into());
        }
        let ranges = if old == 0 || old == new { Vec::new() } else { consistency(old, new) };
        self.proof(&ranges, new).await
    }

    /// The root of the log as it is, or was, with `size` records. It is found by the tiles alone.
    ///
    /// # Errors
    /// [`LogReadError`].
    pub async fn root(&self, size: u64) -> Result<TreeHash, LogReadError> {
        if size == 0 {
            return Ok(TreeHash::EMPTY);
        }
        let whole = 0..size;
        let proof = self.proof(std::slice::from_ref(&whole), size).await?;
        proof.hashes().first().copied().ok_or(LogReadError::Range(ProofError::OutOfTree { index: 0, size }))
    }

    /// What is needed to go on with a log of `size` records.
    pub(super) async fn edge(&self, size: u64) -> Result<Edge, LogReadError> {
        let mut levels = Vec::new();
        for level in 0_u8..8 {
            let hashes = hashes_at(level, size);
            if hashes == 0 {
                break;
            }
            let width = hashes % TILE_WIDTH;
            let tile = Tile { kind: Kind::Hashes(level), index: hashes / TILE_WIDTH, width };
            levels.push(if width == 0 { Vec::new() } else { self.hashes(tile).await? });
        }
        Ok(Edge::new(size, levels))
    }

    async fn proof(&self, ranges: &[Range<u64>], size: u64) -> Result<Proof, LogReadError> {
        let mut tiles = Hashes::new();
        for subtree in ranges.iter().cloned().flat_map(subtrees) {
            let Span { level, tile: index, .. } = subtree.span();
            if tiles.contains_key(&(level, index)) {
                continue;
            }
            let tile = Tile::at(Kind::Hashes(level), index, size);
            let tile = tile.ok_or(LogReadError::Range(ProofError::OutOfTree { index, size }))?;
            tiles.insert((level, index), self.hashes(tile).await?);
        }
        let hash_of = |span: Span| {
            let tile = tiles.get(&(span.level, span.tile))?;
            tile.get(span.offset..span.offset + span.len).map(complete)
        };
        let missing = || LogReadError::Range(ProofError::OutOfTree { index: 0, size });
        let hashes = ranges.iter().map(|range| range_hash(range.clone(), hash_of).ok_or_else(missing));
        Ok(Proof::new(hashes.collect::<Result<_, _>>()?)?)
    }

    pub(super) async fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, LogReadError> {
        let wanted = tile.width;
        let (tile, bytes) = self.file(tile).await?;
        let mut hashes = decode_hashes(&bytes, tile.width)
            .map_err(|source| LogReadError::Damaged { path: tile.to_string(), source })?;
        hashes.truncate(wanted as usize);
        Ok(hashes)
    }

    /// A file, or a wider one of the same place: the full one, or that of the published checkpoint.
    async fn file(&self, tile: Tile) -> Result<(Tile, Bytes), LogReadError> {
        if let Some(bytes) = self.tiles.read(&tile.to_string()).await? {
            return Ok((tile, bytes));
        }
        let wider = if tile.is_full() { None } else { self.wider(tile).await? };
        wider.ok_or_else(|| LogReadError::Missing { path: tile.to_string() })
    }

    async fn wider(&self, tile: Tile) -> Result<Option<(Tile, Bytes)>, LogReadError> {
        let published = self.checkpoint().await?.and_then(|note| Checkpoint::parse(note.text()).ok());
        let published = published.and_then(|now| Tile::at(tile.kind, tile.index, now.size));
        for wider in [Some(tile.full()), published].into_iter().flatten() {
            if wider.width > tile.width
                && let Some(bytes) = self.tiles.read(&wider.to_string()).await?
            {
                return Ok(Some((wider, bytes)));
            }
        }
        Ok(None)
    }
}
