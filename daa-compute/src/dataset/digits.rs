//! Handwritten digits: 8x8 images of 17 grey levels, with labels.

use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::seed::Seed;

use crate::sampling::shuffle;
use crate::wire::DecodeError;

/// Pixels in an image.
pub const PIXELS: usize = 64;
const DARKEST: u8 = 16;
const ROW: usize = PIXELS + 1;

/// Images with labels, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digits {
    /// 64 pixels of 0..=16, row by row, then the label 0..=9.
    rows: Vec<[u8; ROW]>,
}

/// A line that is not an image with its label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigitError {
    /// Another number of fields.
    #[error("line {line} has {found} fields, expected 64 pixels and a label")]
    Fields {
        /// Which line, from 1.
        line: usize,
        /// How many fields it has.
        found: usize,
    },
    /// A field that is not a number of its range.
    #[error("field {field} of line {line} is {found:?}, expected a whole number up to {limit}")]
    Value {
        /// Which line, from 1.
        line: usize,
        /// Which field, from 1.
        field: usize,
        /// What it says.
        found: String,
        /// The largest number allowed there.
        limit: u8,
    },
    /// Bytes that are not text.
    #[error("the dataset is not UTF-8 text")]
    NotText,
}

impl Reaction for DigitError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Digits {
    /// Parses lines of 64 pixels (0..=16) and a label (0..=9), separated by commas: the form in which the UCI
    /// repository publishes *Optical Recognition of Handwritten Digits*. Empty lines are skipped.
    ///
    /// # Errors
    /// [`DigitError`] with the first line that is not like that.
    pub fn parse_csv(bytes: &[u8]) -> Result<Self, DigitError> {
        let text = std::str::from_utf8(bytes).map_err(|_| DigitError::NotText)?;
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        let rows = lines.map(|(line, number)| parse_line(line, number)).collect::<Result<_, _>>()?;
        Ok(Self { rows })
    }

    /// How many images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Every image (pixels of 0..=16, row by row) with its label.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; PIXELS], u8)> {
        self.rows.iter().filter_map(|row| {
            let (label, pixels) = row.split_last()?;
            Some((pixels.try_into().ok()?, *label))
        })
    }

    /// Shuffles by the seed and puts a fifth aside: (for training, held out).
    #[must_use]
    pub fn hold_out_fifth(&self, seed: &Seed) -> (Self, Self) {
        let mut rows = self.rows.clone();
        shuffle(&mut seed.child("hold-out").rng(), &mut rows);
        let held = rows.split_off(rows.len() - rows.len() / 5);
        (Self { rows }, Self { rows: held })
    }

    /// Cuts into `count` disjoint shards of nearly equal size, after a seeded shuffle.
    #[must_use]
    pub fn shards(&self, count: usize, seed: &Seed) -> Vec<Self> {
        let mut rows = self.rows.clone();
        shuffle(&mut seed.child("shards").rng(), &mut rows);
        let mut shards = vec![Self::default(); count.max(1)];
        let places = shards.len();
        for (row, place) in rows.into_iter().zip((0..places).cycle()) {
            if let Some(shard) = shards.get_mut(place) {
                shard.rows.push(row);
            }
        }
        shards
    }

    pub(super) fn to_bytes(&self) -> bytes::Bytes {
        self.rows.as_flattened().to_vec().into()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (rows, rest) = bytes.as_chunks::<ROW>();
        let sound = |row: &[u8; ROW]| {
            row.split_last()
                .is_some_and(|(label, pixels)| *label <= 9 && pixels.iter().all(|p| *p <= DARKEST))
        };
        if !rest.is_empty() || !rows.iter().all(sound) {
            return Err(DecodeError::Invalid { what: "digit row" });
        }
        Ok(Self { rows: rows.to_vec() })
    }
}

fn parse_line(line: &str, number: usize) -> Result<[u8; ROW], DigitError> {
    let found = line.split(',').count();
    if found != ROW {
        return Err(DigitError::Fields { line: number, found });
    }
    let mut row = [0; ROW];
    for ((slot, text), field) in row.iter_mut().zip(line.split(',')).zip(1..) {
        let limit = if field == ROW { 9 } else { DARKEST };
        let value = text.trim().parse::<u8>().ok().filter(|v| *v <= limit);
        *slot = value.ok_or_else(|| {
            let found = text.chars().take(20).collect();
            DigitError::Value { line: number, field, found, limit }
        })?;
    }
    Ok(row)
}
