//! A model's parameters as one flat vector, and the layout that names its parts.

use std::ops::Range;
use std::sync::Arc;

use daa_core::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::wire::{DecodeError, Reader, put_count, put_floats, put_header};

/// The most parameters that a model of this crate may have (2²⁸, one gibibyte of `f32`).
pub const MAX_PARAMETERS: usize = 1 << 28;

/// The most named tensors in a layout.
pub const MAX_TENSORS: usize = 4096;

const MAGIC: [u8; 4] = *b"DAAP";
const VERSION: u16 = 1;

/// One named tensor: a matrix, row-major. A vector is a matrix of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    path: String,
    rows: usize,
    columns: usize,
}

impl TensorSpec {
    /// A tensor at a path such as `block.0.query`.
    #[must_use]
    pub fn new(path: impl Into<String>, rows: usize, columns: usize) -> Self {
        Self { path: path.into(), rows, columns }
    }

    /// Its name, the same on every peer.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Rows and columns.
    #[must_use]
    pub const fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// How many numbers it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.saturating_mul(self.columns)
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Which tensors a flat vector holds, in which order. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Arc<[TensorSpec]>,
    len: usize,
    digest: Digest,
}

impl Layout {
    /// The layout of these tensors, one after the other.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] beyond [`MAX_TENSORS`] or [`MAX_PARAMETERS`]; [`DecodeError::Invalid`] for an
    /// empty tensor or none at all.
    pub fn new(tensors: Vec<TensorSpec>) -> Result<Self, DecodeError> {
        if tensors.is_empty() || tensors.iter().any(TensorSpec::is_empty) {
            return Err(DecodeError::Invalid { what: "tensor shape" });
        }
        bound("tensors", tensors.len(), MAX_TENSORS)?;
        let len = tensors.iter().fold(0usize, |sum, t| sum.saturating_add(t.len()));
        bound("parameters", len, MAX_PARAMETERS)?;
        let mut digest = Digest::builder("daa parameter layout v1").number(tensors.len() as u64);
        for tensor in &tensors {
            digest =
                digest.field(tensor.path.as_bytes()).number(tensor.rows as u64).number(tensor.columns as u64);
        }
        Ok(Self { tensors: tensors.into(), len, digest: digest.finish() })
    }

    /// The tensors, in order.
    #[must_use]
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// Every tensor with the part of the flat vector that it occupies.
    pub fn ranges(&self) -> impl Iterator<Item = (&TensorSpec, Range<usize>)> {
        self.tensors.iter().scan(0, |start, tensor| {
            let range = *start..*start + tensor.len();
            *start = range.end;
            Some((tensor, range))
        })
    }

    /// How many numbers in all.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Never true: a layout holds at least one number.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Identifies the layout: paths, shapes and order.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn bound(what: &'static str, found: usize, limit: usize) -> Result<(), DecodeError> {
    if found <= limit {
        return Ok(());
    }
    Err(DecodeError::TooLarge { what, found: found as u64, limit: limit as u64 })
}

/// All parameters of a model, flat, `f32`, in the order of their [`Layout`]; always finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    layout: Layout,
    values: Vec<f32>,
}

impl Parameters {
    /// Wraps numbers that follow a layout.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] when their count differs; [`DecodeError::NotFinite`] for a NaN or an infinity.
    pub fn new(layout: Layout, values: Vec<f32>) -> Result<Self, DecodeError> {
        if values.len() != layout.len() {
            return Err(DecodeError::Invalid { what: "parameter count" });
        }
        if !values.iter().all(|v| v.is_finite()) {
            return Err(DecodeError::NotFinite { what: "parameter" });
        }
        Ok(Self { layout, values })
    }

    /// All zero.
    #[must_use]
    pub fn zeros(layout: Layout) -> Self {
        let values = vec![0.0; layout.len()];
        Self { layout, values }
    }

    /// How the numbers are laid out.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The numbers.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Gives the numbers away.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Bytes: `DAAP`, version (u16), layout digest, count (u32), then the numbers, all little-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(42 + self.values.len() * 4);
        put_header(&mut out, MAGIC, VERSION);
        out.extend_from_slice(self.layout.digest().as_bytes());
        put_count(&mut out, self.values.len());
        put_floats(&mut out, &self.values);
        out
    }

    /// Parses what [`Parameters::encode`] wrote, for a layout that the reader knows.
    ///
    /// # Errors
    /// [`DecodeError`]; nothing beyond the layout's own size is ever allocated.
    pub fn decode(layout: &Layout, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.header(MAGIC, VERSION)?;
        let found = reader.digest()?;
        if found != layout.digest() {
            return Err(DecodeError::Layout { found, expected: layout.digest() });
        }
        let count = reader.count("parameter count", layout.len())?;
        let values = reader.finite_vec("parameter", count)?;
        reader.end()?;
        Self::new(layout.clone(), values)
    }

    /// The digest of [`Parameters::encode`]: what names a model, and where a checkpoint finds it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}
