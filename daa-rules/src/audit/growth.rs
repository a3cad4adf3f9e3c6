//! What a log grows by: the files of new records, before they are written anywhere.

use bytes::Bytes;

use super::edge::Edge;
use super::hash::TreeHash;
use super::shape::TILE_WIDTH;
use super::tile::{Kind, Tile, TileError, encode_hashes, push_entry};
use super::tiles::LogFile;

/// A log that grew in memory.
#[derive(Debug)]
pub(super) struct Growth {
    /// Its right edge.
    pub(super) edge: Edge,
    /// The bytes of its last bundle, as long as that is not full.
    pub(super) entries: Vec<u8>,
    bundles: Vec<LogFile>,
    tiles: Vec<LogFile>,
    /// Where narrower versions stand of what is full now.
    superseded: Vec<String>,
    /// The size before.
    before: u64,
}

/// The files of a log that grew, in the order in which they are written: what a file is hashed into comes behind it.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) bundles: Vec<LogFile>,
    pub(super) tiles: Vec<LogFile>,
    pub(super) superseded: Vec<String>,
}

impl Growth {
    pub(super) fn from(edge: &Edge, entries: &[u8]) -> Self {
        let (edge, entries) = (edge.clone(), entries.to_vec());
        let before = edge.size();
        Self { edge, entries, bundles: Vec::new(), tiles: Vec::new(), superseded: Vec::new(), before }
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &[u8]) -> Result<(), TileError> {
        push_entry(&mut self.entries, record)?;
        let mut full = Vec::new();
        self.edge.push(TreeHash::leaf(record), &mut full);
        for tile in full {
            if tile.level == 0 {
                let bytes = std::mem::take(&mut self.entries);
                let place = self.finished(Kind::Entries, tile.index);
                self.bundles.push(LogFile::new(place.to_string(), bytes.into()));
            }
            let place = self.finished(Kind::Hashes(tile.level), tile.index);
            self.tiles.push(LogFile::new(place.to_string(), encode_hashes(&tile.hashes).into()));
        }
        Ok(())
    }

    /// A place that is full now.
    fn finished(&mut self, kind: Kind, index: u64) -> Tile {
        let place = Tile { kind, index, width: TILE_WIDTH };
        if Tile::at(kind, index, self.before).is_some() {
            self.superseded.push(place.partials());
        }
        place
    }

    /// The files, those of the right edge included.
    pub(super) fn files(&mut self) -> Files {
        let size = self.edge.size();
        let mut files = Files {
            bundles: std::mem::take(&mut self.bundles),
            tiles: std::mem::take(&mut self.tiles),
            superseded: std::mem::take(&mut self.superseded),
        };
        if let Some(place) = Tile::at(Kind::Entries, size / TILE_WIDTH, size) {
            files.bundles.push(LogFile::new(place.to_string(), Bytes::copy_from_slice(&self.entries)));
        }
        for (level, hashes) in self.edge.partial() {
            let kind = Kind::Hashes(level);
            // What has not changed is there already.
            let unchanged = |place: &Tile| Tile::at(kind, place.index, self.before) == Some(*place);
            let index = super::shape::hashes_at(level, size) / TILE_WIDTH;
            if let Some(place) = Tile::at(kind, index, size).filter(|place| !unchanged(place)) {
                files.tiles.push(LogFile::new(place.to_string(), encode_hashes(hashes).into()));
            }
        }
        files
    }
}
