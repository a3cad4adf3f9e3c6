//! Tiles and entry bundles: their paths and their bytes, as C2SP tlog-tiles has them.

use std::fmt;

use super::hash::TreeHash;
use super::shape::{TILE_WIDTH, hashes_at};

/// The longest record: bundles have its length in two bytes.
pub const MAX_RECORD: usize = u16::MAX as usize;

/// The path of the checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// What a file of the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Hashes of a level.
    Hashes(u8),
    /// Records.
    Entries,
}

/// A file of the log: a tile, or a bundle of entries; whole, or as wide as the log was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tile {
    pub(super) kind: Kind,
    pub(super) index: u64,
    /// How many hashes or records: 1 to 256.
    pub(super) width: u64,
}

impl Tile {
    /// The tile of this place in a log of `size` records; `None` where there is nothing yet.
    pub(super) fn at(kind: Kind, index: u64, size: u64) -> Option<Self> {
        let level = if let Kind::Hashes(level) = kind { level } else { 0 };
        let width = hashes_at(level, size).checked_sub(index.checked_mul(TILE_WIDTH)?)?.min(TILE_WIDTH);
        (width > 0).then_some(Self { kind, index, width })
    }

    /// The same place when it is full.
    pub(super) const fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    pub(super) const fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Where narrower versions of it stand.
    pub(super) fn partials(self) -> String {
        format!("{}.p/", self.full())
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Hashes(level) => write!(f, "tile/{level}/")?,
            Kind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = 1;
        while let Some(unit) = 1000_u64.checked_pow(groups)
            && self.index >= unit
        {
            groups += 1;
        }
        for group in (0..groups).rev() {
            let digits = self.index / 1000_u64.saturating_pow(group) % 1000;
            if group > 0 {
                write!(f, "x{digits:03}/")?;
            } else {
                write!(f, "{digits:03}")?;
            }
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// A file of the log that is not as the specification has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// A tile of another number of hashes.
    #[error("a tile of {actual} bytes, where it has {expected} hashes of 32 bytes")]
    Width {
        /// How many hashes there should be.
        expected: u64,
        /// How many bytes there are.
        actual: usize,
    },
    /// A bundle that ends in the middle of a record.
    #[error("an entry bundle ends within record {at}")]
    Cut {
        /// Which record of the bundle.
        at: u64,
    },
    /// A bundle with bytes behind its last record.
    #[error("an entry bundle has {extra} bytes behind its {expected} records")]
    Extra {
        /// How many records there should be.
        expected: u64,
        /// How many bytes are left.
        extra: usize,
    },
    /// A record that does not fit in a bundle.
    #[error("a record of {actual} bytes, at most {MAX_RECORD} are allowed")]
    Large {
        /// How many bytes it has.
        actual: usize,
    },
}

/// Writes hashes as a tile.
pub(super) fn encode_hashes(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads a tile of `width` hashes.
pub(super) fn decode_hashes(bytes: &[u8], width: u64) -> Result<Vec<TreeHash>, TileError> {
    let wrong = TileError::Width { expected: width, actual: bytes.len() };
    let (hashes, rest) = bytes.as_chunks::<{ TreeHash::LEN }>();
    if !rest.is_empty() || hashes.len() as u64 != width {
        return Err(wrong);
    }
    Ok(hashes.iter().map(|hash| TreeHash::from_bytes(*hash)).collect())
}

/// Adds a record to a bundle.
pub(super) fn push_entry(bundle: &mut Vec<u8>, record: &[u8]) -> Result<(), TileError> {
    let len = u16::try_from(record.len()).map_err(|_| TileError::Large { actual: record.len() })?;
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(record);
    Ok(())
}

/// Reads a bundle of `width` records.
pub(super) fn decode_entries(mut bytes: &[u8], width: u64) -> Result<Vec<&[u8]>, TileError> {
    let mut records = Vec::with_capacity(width.min(TILE_WIDTH) as usize);
    for at in 0..width {
        let cut = || TileError::Cut { at };
        let (len, rest) = bytes.split_first_chunk::<2>().ok_or_else(cut)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (record, rest) = rest.split_at_checked(len).ok_or_else(cut)?;
        records.push(record);
        bytes = rest;
    }
    if !bytes.is_empty() {
        return Err(TileError::Extra { expected: width, extra: bytes.len() });
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |kind, index, width| Tile { kind, index, width }.to_string();
        assert_eq!(path(Kind::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(Kind::Entries, 0, 7), "tile/entries/000.p/7");
        assert_eq!(path(Kind::Hashes(2), 999, 256), "tile/2/999");
        assert_eq!(path(Kind::Hashes(2), 1_000, 1), "tile/2/x001/000.p/1");
        assert_eq!(path(Kind::Entries, u64::MAX, 256), "tile/entries/x018/x446/x744/x073/x709/x551/615");
        assert_eq!(Tile { kind: Kind::Entries, index: 3, width: 9 }.partials(), "tile/entries/003.p/");
    }

    #[test]
    fn a_place_has_what_the_log_has_there() {
        let width = |kind, index, size| Tile::at(kind, index, size).map(|tile| tile.width);
        assert_eq!(width(Kind::Hashes(0), 273, 70_000), Some(112));
        assert_eq!(width(Kind::Hashes(0), 272, 70_000), Some(256));
        assert_eq!(width(Kind::Hashes(1), 1, 70_000), Some(17));
        assert_eq!(width(Kind::Hashes(1), 2, 70_000), None);
        assert_eq!(width(Kind::Entries, 0, 256), Some(256));
        assert_eq!(width(Kind::Entries, 1, 256), None);
        assert_eq!(width(Kind::Hashes(1), u64::MAX, u64::MAX), None);
    }

    proptest! {
        #[test]
        fn bundles_round_trip(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..=256)) {
            let mut bundle = Vec::new();
            records.iter().for_each(|record| push_entry(&mut bundle, record).unwrap());
            let width = records.len() as u64;
            prop_assert_eq!(decode_entries(&bundle, width).unwrap(), records);
            prop_assert!(decode_entries(&bundle, width + 1).is_err());
            prop_assert!(decode_entries(&bundle, width - 1).is_err());
            bundle.pop();
            prop_assert!(decode_entries(&bundle, width).is_err());
        }
    }

    #[test]
    fn a_record_that_does_not_fit_is_refused() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, &vec![0; MAX_RECORD]).unwrap();
        let before = bundle.len();
        assert_eq!(
            push_entry(&mut bundle, &vec![0; MAX_RECORD + 1]),
            Err(TileError::Large { actual: 65_536 })
        );
        assert_eq!(bundle.len(), before);
    }
}
