//! The models: what shapes they have and how they start. Their arithmetic is in a backend.

use daa_core::digest::Digest;
use daa_core::seed::Seed;
use serde::{Deserialize, Serialize};

use crate::parameters::{Layout, Parameters, TensorSpec};
use crate::sampling::symmetric;
use crate::wire::DecodeError;

/// Side of a digit image, in pixels.
pub const DIGIT_SIDE: usize = 8;
/// Side of the convolution's window.
pub const WINDOW: usize = 3;
/// Positions of the window in an image.
pub const POSITIONS: usize = (DIGIT_SIDE - WINDOW + 1) * (DIGIT_SIDE - WINDOW + 1);
/// Classes of digits.
pub const DIGIT_CLASSES: usize = 10;
/// Symbols of the byte model.
pub const BYTES: usize = 256;

/// A small convolutional classifier of 8x8 images: one 3x3 convolution without padding, one hidden layer, ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigitsNet {
    /// Channels of the convolution.
    pub channels: u32,
    /// Width of the hidden layer.
    pub hidden: u32,
}

/// A byte-level transformer, pre-norm (RMS, without gain), ReLU, learned positions, no biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteTransformer {
    /// Blocks.
    pub layers: u32,
    /// Width of the residual stream; a multiple of `heads`.
    pub width: u32,
    /// Attention heads.
    pub heads: u32,
    /// Longest context, in bytes.
    pub context: u32,
}

/// A model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelSpec {
    /// Classifies digit images.
    Digits(DigitsNet),
    /// Predicts the next byte.
    Bytes(ByteTransformer),
}

impl ModelSpec {
    /// The parameters' names and shapes; matrices are (inputs, outputs).
    ///
    /// # Errors
    /// [`DecodeError`] for a model without parameters, with too many, or whose width the heads do not divide.
    pub fn layout(&self) -> Result<Layout, DecodeError> {
        match self {
            Self::Digits(net) => {
                let (channels, hidden) = (net.channels as usize, net.hidden as usize);
                Layout::new(vec![
                    TensorSpec::new("conv.weight", WINDOW * WINDOW, channels),
                    TensorSpec::new("conv.bias", 1, channels),
                    TensorSpec::new("hidden.weight", POSITIONS.saturating_mul(channels), hidden),
                    TensorSpec::new("hidden.bias", 1, hidden),
                    TensorSpec::new("output.weight", hidden, DIGIT_CLASSES),
                    TensorSpec::new("output.bias", 1, DIGIT_CLASSES),
                ])
            }
            Self::Bytes(net) => {
                if net.layers > 256 || net.heads == 0 || !net.width.is_multiple_of(net.heads) {
                    return Err(DecodeError::Invalid { what: "transformer shape" });
                }
                let (width, context) = (net.width as usize, net.context as usize);
                let mut tensors = vec![
                    TensorSpec::new("embedding", BYTES, width),
                    TensorSpec::new("position", context, width),
                ];
                for block in 0..net.layers {
                    for part in ["query", "key", "value", "merge"] {
                        tensors.push(TensorSpec::new(format!("block.{block}.{part}"), width, width));
                    }
                    let wide = width.saturating_mul(4);
                    tensors.push(TensorSpec::new(format!("block.{block}.up"), width, wide));
                    tensors.push(TensorSpec::new(format!("block.{block}.down"), wide, width));
                }
                tensors.push(TensorSpec::new("output", width, BYTES));
                Layout::new(tensors)
            }
        }
    }

    /// Fresh parameters from a seed: He-uniform matrices, zero biases, small embeddings.
    ///
    /// Only integer draws, one square root and products enter, so that every machine starts from the same bits.
    ///
    /// # Errors
    /// As [`ModelSpec::layout`].
    pub fn initial(&self, seed: &Seed) -> Result<Parameters, DecodeError> {
        let layout = self.layout()?;
        let depth = match self {
            Self::Digits(_) => 1.0,
            Self::Bytes(net) => (2.0 * f64::from(net.layers.max(1))).sqrt(),
        };
        let mut values = Vec::with_capacity(layout.len());
        for tensor in layout.tensors() {
            let [fan_in, _] = tensor.shape();
            let name = tensor.path().rsplit('.').next().unwrap_or_default();
            let bound = match name {
                "bias" => 0.0,
                "embedding" | "position" => 0.05,
                "weight" | "up" => (6.0 / fan_in as f64).sqrt(),
                "merge" | "down" => (3.0 / fan_in as f64).sqrt() / depth,
                _ => (3.0 / fan_in as f64).sqrt(),
            };
            let mut rng = seed.child("initial parameters").child(tensor.path()).rng();
            values.extend((0..tensor.len()).map(|_| symmetric(&mut rng) * bound as f32));
        }
        Parameters::new(layout, values)
    }

    /// Identifies the model.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let start = Digest::builder("daa model v1");
        match self {
            Self::Digits(net) => {
                start.number(0).number(u64::from(net.channels)).number(u64::from(net.hidden)).finish()
            }
            Self::Bytes(net) => start
                .number(1)
                .number(u64::from(net.layers))
                .number(u64::from(net.width))
                .number(u64::from(net.heads))
                .number(u64::from(net.context))
                .finish(),
        }
    }
}
