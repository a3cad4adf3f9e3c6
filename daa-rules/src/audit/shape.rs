//! The shape of trees: which complete subtrees a range of leaves consists of, and which ranges a proof needs.
//!
//! Nothing here hashes or reads. A proof is a list of ranges; a range is a list of complete subtrees; a complete
//! subtree is a run of hashes in one tile.

use std::ops::Range;

/// How many levels of the tree one tile spans.
pub(super) const TILE_HEIGHT: u32 = 8;
/// How many hashes a full tile has.
pub(super) const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// A complete subtree of 2^`height` leaves: the `index`th of its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subtree {
    pub(super) height: u32,
    pub(super) index: u64,
}

/// The hashes in a tile that a complete subtree stands above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The level of the tile.
    pub(super) level: u8,
    /// Which tile of its level.
    pub(super) tile: u64,
    /// The first of the hashes.
    pub(super) offset: usize,
    /// How many: a power of two.
    pub(super) len: usize,
}

impl Subtree {
    pub(super) fn span(self) -> Span {
        let inner = self.height % TILE_HEIGHT;
        let first = self.index << inner;
        Span {
            level: (self.height / TILE_HEIGHT) as u8,
            tile: first >> TILE_HEIGHT,
            offset: (first % TILE_WIDTH) as usize,
            len: 1 << inner,
        }
    }
}

/// The complete subtrees of a range of leaves, from left to right. The range must begin where a subtree begins that is
/// at least as large as it: so do all that proofs are made of.
pub(super) fn subtrees(range: Range<u64>) -> Vec<Subtree> {
    let (mut at, mut left) = (range.start, range.end.saturating_sub(range.start));
    let mut found = Vec::new();
    while left > 0 {
        let height = left.ilog2();
        found.push(Subtree { height, index: at >> height });
        at += 1 << height;
        left -= 1 << height;
    }
    found
}

/// The hashes of an inclusion proof as ranges, from the leaf's sibling to the root's child: `PATH` of RFC 9162,
/// section 2.1.3.1. `index` must be less than `size`.
pub(super) fn inclusion(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut low, mut high) = (0, size);
    let mut path = Vec::new();
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            path.push(middle..high);
            high = middle;
        } else {
            path.push(low..middle);
            low = middle;
        }
    }
    path.reverse();
    path
}

/// The hashes of a consistency proof as ranges: `PROOF` of RFC 9162, section 2.1.4.1. Needs `0 < old < new`.
pub(super) fn consistency(old: u64, new: u64) -> Vec<Range<u64>> {
    let (mut low, mut high) = (0, new);
    // Whether the old tree is the whole of what is left of it: then its root is known to whoever verifies.
    let mut known = true;
    let mut path = Vec::new();
    while old < high {
        let middle = low + split(high - low);
        if old <= middle {
            path.push(middle..high);
            high = middle;
        } else {
            path.push(low..middle);
            low = middle;
            known = false;
        }
    }
    if !known {
        path.push(low..high);
    }
    path.reverse();
    path
}

/// The largest power of two that is less than `len`, which is at least two.
const fn split(len: u64) -> u64 {
    1 << (len - 1).ilog2()
}

/// How many hashes there are at a level of tiles, in a tree of so many leaves.
pub(super) const fn hashes_at(level: u8, size: u64) -> u64 {
    let shift = TILE_HEIGHT * level as u32;
    if shift >= u64::BITS { 0 } else { size >> shift }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_subtrees_of_its_bits() {
        let of = |range| subtrees(range).iter().map(|it| (it.height, it.index)).collect::<Vec<_>>();
        assert_eq!(of(0..0), []);
        assert_eq!(of(0..1), [(0, 0)]);
        assert_eq!(of(0..7), [(2, 0), (1, 2), (0, 6)]);
        assert_eq!(of(8..11), [(1, 4), (0, 10)]);
        assert_eq!(of(0..u64::MAX).len(), 64);
    }

    #[test]
    fn a_subtree_is_a_run_in_one_tile() {
        let span = Subtree { height: 3, index: 70 }.span();
        assert_eq!(span, Span { level: 0, tile: 2, offset: 48, len: 8 });
        let span = Subtree { height: 9, index: 3 }.span();
        assert_eq!(span, Span { level: 1, tile: 0, offset: 6, len: 2 });
    }

    #[test]
    fn tiles_of_seventy_thousand_records_are_those_of_the_specification() {
        // The example of C2SP tlog-tiles, "Partial Tiles".
        let tiles = |level| {
            let hashes = hashes_at(level, 70_000);
            (hashes / TILE_WIDTH, hashes % TILE_WIDTH)
        };
        assert_eq!([tiles(0), tiles(1), tiles(2), tiles(3)], [(273, 112), (1, 17), (0, 1), (0, 0)]);
    }
}
