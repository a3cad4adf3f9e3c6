//! Trees of all sizes, against published vectors and against another implementation.

mod vectors;

#[cfg(feature = "audit-test")]
mod oracle;

use std::sync::Arc;

use super::growth::Growth;
use super::{Edge, LogReader, MemoryTiles, TileStore, TreeHash};

/// A log of these records, without anything around it.
pub(super) struct Tree {
    growth: Growth,
    tiles: Arc<MemoryTiles>,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { growth: Growth::from(&Edge::default(), &[]), tiles: Arc::new(MemoryTiles::new()) }
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.growth.push(record).unwrap();
    }

    pub(super) fn root(&self) -> TreeHash {
        self.growth.edge.root()
    }

    /// Writes the files of the tree as it is, and reads on from them.
    pub(super) async fn publish(&mut self) -> LogReader {
        let files = self.growth.files();
        self.tiles.write(files.bundles).await.unwrap();
        self.tiles.write(files.tiles).await.unwrap();
        for partials in files.superseded {
            self.tiles.remove(&partials).await.unwrap();
        }
        let (edge, entries) = (self.growth.edge.clone(), self.growth.entries.clone());
        self.growth = Growth::from(&edge, &entries);
        LogReader::new(self.tiles.clone())
    }
}
