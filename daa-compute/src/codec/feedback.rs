//! The sender's side: what could not be sent is kept, and sent later.

use bytes::Bytes;
use daa_core::digest::Digest;

use crate::parameters::{Layout, Parameters};
use crate::wire::DecodeError;

use super::update::{SparseUpdate, encode_update};
use super::{CodecConfig, q2};

/// What earlier rounds left unsent: a vector in the model's layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual(Parameters);

/// A round's update as it goes over the wire, and the residual that it leaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Encoded {
    /// The compressed update.
    pub bytes: Bytes,
    /// What stays behind.
    pub residual: Residual,
}

impl Residual {
    /// The residual of who has sent nothing yet.
    #[must_use]
    pub fn zero(layout: Layout) -> Self {
        Self(Parameters::zeros(layout))
    }

    /// The numbers.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        self.0.values()
    }

    /// Bytes, as [`Parameters::encode`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode()
    }

    /// Parses [`Residual::encode`].
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(layout: &Layout, bytes: &[u8]) -> Result<Self, DecodeError> {
        Parameters::decode(layout, bytes).map(Self)
    }

    /// What names it in a commitment: the digest of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest()
    }

    /// Adds the difference `base − local` of a round and takes out what can be sent.
    ///
    /// A pure function of its inputs: the same bits on every machine.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] when the difference has another length; [`DecodeError::NotFinite`] when it, or its
    /// sum with the residual, is not finite.
    pub fn encode_round(&self, difference: &[f32], config: &CodecConfig) -> Result<Encoded, DecodeError> {
        let layout = self.0.layout();
        if difference.len() != layout.len() {
            return Err(DecodeError::Invalid { what: "length of the difference" });
        }
        let mut pending: Vec<f32> =
            self.values().iter().zip(difference).map(|(e, d)| config.decay() * e + d).collect();
        if !pending.iter().all(|v| v.is_finite()) {
            return Err(DecodeError::NotFinite { what: "difference" });
        }
        let update = select(layout, config, &pending);
        update.for_each(|index, value| {
            if let Some(slot) = pending.get_mut(index) {
                *slot -= value;
            }
        });
        let bytes = encode_update(&update, config);
        Ok(Encoded { bytes: bytes.into(), residual: Self(Parameters::new(layout.clone(), pending)?) })
    }
}

/// Picks and quantises the largest values of each chunk of each tensor.
fn select(layout: &Layout, config: &CodecConfig, pending: &[f32]) -> SparseUpdate {
    let mut update = SparseUpdate::empty(layout.clone());
    for (_, range) in layout.ranges() {
        let tensor = pending.get(range.clone()).unwrap_or_default();
        let mut positions = Vec::new();
        for (start, chunk) in
            (0..).step_by(config.chunk() as usize).zip(tensor.chunks(config.chunk() as usize))
        {
            positions.extend(largest(chunk, config.kept_of(chunk.len())).into_iter().map(|p| start + p));
        }
        let values: Vec<f32> = positions.iter().filter_map(|&p| tensor.get(p as usize)).copied().collect();
        update.push_tensor(range.start, &positions, q2::quantise(&values));
    }
    update
}

/// The positions of the `count` largest magnitudes, ascending; of equals the earlier.
fn largest(chunk: &[f32], count: usize) -> Vec<u32> {
    let mut order: Vec<(f32, u32)> = chunk.iter().map(|v| v.abs()).zip(0..).collect();
    let by_size = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if count < order.len() {
        order.select_nth_unstable_by(count, by_size);
        order.truncate(count);
    }
    let mut positions: Vec<u32> = order.into_iter().map(|(_, p)| p).collect();
    positions.sort_unstable();
    positions
}
