//! The compressed update: its meaning, its bytes, and how hostile bytes are refused.

use crate::parameters::Layout;
use crate::wire::{DecodeError, Reader, put_count, put_floats, put_header};

use super::CodecConfig;
use super::q2::{self, Quantised};
use super::range_coder::{Decoder, Encoder};

const MAGIC: [u8; 4] = *b"DAAU";
const VERSION: u16 = 1;

/// A decoded update: some coordinates of the flat parameter vector, and the (finite) value of each.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseUpdate {
    layout: Layout,
    /// Ascending, below the layout's length.
    indices: Vec<u32>,
    codes: Vec<u8>,
    /// Four levels a tensor.
    levels: Vec<[f32; 4]>,
    /// How many of `indices` each tensor has.
    counts: Vec<usize>,
}

impl SparseUpdate {
    pub(super) const fn empty(layout: Layout) -> Self {
        Self { layout, indices: Vec::new(), codes: Vec::new(), levels: Vec::new(), counts: Vec::new() }
    }

    pub(super) fn push_tensor(&mut self, start: usize, positions: &[u32], quantised: Quantised) {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        self.indices.extend(positions.iter().map(|p| start + p));
        self.counts.push(positions.len());
        self.codes.extend(quantised.codes);
        self.levels.push(quantised.levels);
    }

    /// Parses an update from outside.
    ///
    /// The layout and the configuration fix how many values there are, so what this allocates is bounded by the
    /// reader's own knowledge; no length in `bytes` is believed.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`super::Residual::encode_round`] would not have written in shape:
    /// foreign version, layout or configuration, missing or extra bytes, numbers that are not finite.
    pub fn decode(layout: &Layout, config: &CodecConfig, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.header(MAGIC, VERSION)?;
        let found = reader.digest()?;
        if found != layout.digest() {
            return Err(DecodeError::Layout { found, expected: layout.digest() });
        }
        if reader.u32()? != config.chunk() || reader.u32()? != config.keep() {
            return Err(DecodeError::Invalid { what: "chunk configuration" });
        }
        let mut levels = Vec::with_capacity(layout.tensors().len());
        for _ in layout.tensors() {
            let mut four = [0.0; 4];
            for level in &mut four {
                *level = reader.finite("level")?;
            }
            levels.push(four);
        }
        let stream = reader.count("index stream", max_bytes(layout, config))?;
        let mut decoder = Decoder::new(reader.take(stream)?)?;
        let mut indices = Vec::with_capacity(kept(layout, config));
        let mut counts = Vec::with_capacity(layout.tensors().len());
        for (tensor, range) in layout.ranges() {
            let before = indices.len();
            for (start, len) in chunks(tensor.len(), config) {
                let base = u32::try_from(range.start + start).unwrap_or(u32::MAX);
                let (len, keep) = (narrow(len), narrow(config.kept_of(len)));
                decoder.set(len, keep, |position| indices.push(base + position))?;
            }
            counts.push(indices.len() - before);
        }
        decoder.end()?;
        let packed = reader.take(indices.len().div_ceil(4))?;
        let unused = indices.len() % 4;
        if unused != 0 && packed.last().is_some_and(|byte| byte >> (2 * unused) != 0) {
            return Err(DecodeError::Invalid { what: "padding" });
        }
        let codes = q2::unpack(packed).take(indices.len()).collect();
        reader.end()?;
        Ok(Self { layout: layout.clone(), indices, codes, levels, counts })
    }

    /// Calls `each` with every flat index and value, by ascending index.
    pub fn for_each(&self, mut each: impl FnMut(usize, f32)) {
        let mut items = self.indices.iter().zip(&self.codes);
        for (levels, &count) in self.levels.iter().zip(&self.counts) {
            for (&index, &code) in items.by_ref().take(count) {
                each(index as usize, levels.get(usize::from(code)).copied().unwrap_or_default());
            }
        }
    }

    /// The update as a full vector, zero where nothing was sent.
    #[must_use]
    pub fn dense(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.layout.len()];
        self.for_each(|index, value| {
            if let Some(slot) = out.get_mut(index) {
                *slot = value;
            }
        });
        out
    }

    /// The coordinates that were sent, ascending.
    #[must_use]
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The layout that it belongs to.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// The most bytes that an update of this layout and configuration can have. What is longer need not be received.
#[must_use]
pub fn max_bytes(layout: &Layout, config: &CodecConfig) -> usize {
    // An index costs at most log2(whole/part) + 8/4096 bits; 16 bits bound it as chunks have at most 2¹⁵ values.
    let kept = kept(layout, config);
    64 + layout.tensors().len() * 16 + layout.len() / 4 + kept * 2 + kept.div_ceil(4)
}

fn kept(layout: &Layout, config: &CodecConfig) -> usize {
    layout.tensors().iter().flat_map(|t| chunks(t.len(), config)).map(|(_, len)| config.kept_of(len)).sum()
}

fn chunks(len: usize, config: &CodecConfig) -> impl Iterator<Item = (usize, usize)> + use<> {
    let chunk = config.chunk() as usize;
    (0..len).step_by(chunk).map(move |start| (start, chunk.min(len - start)))
}

fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Bytes: `DAAU`, version (u16), layout digest, chunk and keep (u32 each), four levels (f32) a tensor, length of the
/// index stream (u32), the stream, the packed codes.
pub(super) fn encode_update(update: &SparseUpdate, config: &CodecConfig) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut rest = update.indices.as_slice();
    for (tensor, range) in update.layout.ranges() {
        for (start, len) in chunks(tensor.len(), config) {
            let (mine, others) = rest.split_at_checked(config.kept_of(len)).unwrap_or((rest, &[]));
            rest = others;
            let base = narrow(range.start + start);
            let positions: Vec<u32> = mine.iter().map(|index| index - base).collect();
            encoder.set(narrow(len), &positions);
        }
    }
    let stream = encoder.finish();
    let mut out = Vec::with_capacity(64 + update.levels.len() * 16 + stream.len() + update.codes.len() / 4);
    put_header(&mut out, MAGIC, VERSION);
    out.extend_from_slice(update.layout.digest().as_bytes());
    out.extend_from_slice(&config.chunk().to_le_bytes());
    out.extend_from_slice(&config.keep().to_le_bytes());
    put_floats(&mut out, update.levels.as_flattened());
    put_count(&mut out, stream.len());
    out.extend_from_slice(&stream);
    out.extend_from_slice(&q2::pack(&update.codes));
    out
}
