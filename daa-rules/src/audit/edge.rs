//! The right edge of a tree: all that is needed to go on with it, however many leaves it has.

use std::ops::Range;

use super::hash::TreeHash;
use super::shape::{Span, TILE_WIDTH, hashes_at, subtrees};

/// The hashes of the tiles at the right edge that are not full yet, level by level: fewer than 256 each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Edge {
    size: u64,
    levels: Vec<Vec<TreeHash>>,
}

/// A tile that got full.
#[derive(Debug)]
pub(super) struct FullTile {
    pub(super) level: u8,
    pub(super) index: u64,
    pub(super) hashes: Vec<TreeHash>,
}

impl Edge {
    /// The edge of a tree of `size` leaves: its tiles that are not full, from level 0 on.
    pub(super) fn new(size: u64, levels: Vec<Vec<TreeHash>>) -> Self {
        Self { size, levels }
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and says which tiles got full by it.
    pub(super) fn push(&mut self, leaf: TreeHash, full: &mut Vec<FullTile>) {
        self.size += 1;
        let (mut hash, mut level) = (leaf, 0_u8);
        loop {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(tile) = self.levels.get_mut(usize::from(level)) else { return };
            tile.push(hash);
            if (tile.len() as u64) < TILE_WIDTH {
                return;
            }
            let hashes = std::mem::take(tile);
            let index = hashes_at(level + 1, self.size).saturating_sub(1);
            hash = complete(&hashes);
            full.push(FullTile { level, index, hashes });
            level += 1;
        }
    }

    /// The tiles that are not full: level, and hashes.
    pub(super) fn partial(&self) -> impl Iterator<Item = (u8, &[TreeHash])> {
        let levels = (0_u8..).zip(&self.levels);
        levels.filter(|(_, tile)| !tile.is_empty()).map(|(level, tile)| (level, tile.as_slice()))
    }

    pub(super) fn root(&self) -> TreeHash {
        let hash_of = |span: Span| {
            let tile = self.levels.get(usize::from(span.level))?;
            tile.get(span.offset..span.offset + span.len).map(complete)
        };
        // The subtrees of the whole tree all lie at its edge.
        range_hash(0..self.size, hash_of).unwrap_or(TreeHash::EMPTY)
    }
}

/// The hash of a complete subtree above hashes, whose number is a power of two.
pub(super) fn complete(hashes: &[TreeHash]) -> TreeHash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let (pairs, _) = row.as_chunks::<2>();
        row = pairs.iter().map(|[left, right]| TreeHash::node(left, right)).collect();
    }
    row.first().copied().unwrap_or(TreeHash::EMPTY)
}

/// The hash of a range of leaves, of those of its complete subtrees; `None` when one of them is not known, or when there
/// are none.
pub(super) fn range_hash(
    range: Range<u64>,
    mut hash_of: impl FnMut(Span) -> Option<TreeHash>,
) -> Option<TreeHash> {
    let mut hash = None;
    for subtree in subtrees(range).iter().rev() {
        let left = hash_of(subtree.span())?;
        hash = Some(hash.map_or(left, |right| TreeHash::node(&left, &right)));
    }
    hash
}
