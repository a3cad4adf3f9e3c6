//! What training needs of a model: examples, batches of them, and logits.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use daa_core::seed::{Rng, Seed};

use crate::backend::ComputeError;
use crate::dataset::Shard;
use crate::inner::InnerConfig;
use crate::model::ModelSpec;
use crate::sampling::{below, shuffle};

use super::{byte_transformer, digits_net};
use crate::model::{ByteTransformer, DigitsNet};

/// A model whose forward pass is known here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Network {
    Digits(DigitsNet),
    Bytes(ByteTransformer),
}

/// A shard in the form in which batches are cut from it.
#[derive(Debug)]
pub(super) enum Examples {
    Digits(digits_net::Windows),
    Text(bytes::Bytes),
}

/// Some examples, as the network takes them in.
#[derive(Debug)]
pub(super) struct Batch {
    /// Windows of pixels (digits) or nothing (text).
    pub(super) pixels: Vec<f32>,
    /// Bytes to predict from (text) or nothing (digits).
    pub(super) context: Vec<i32>,
    /// The right answers.
    pub(super) answers: Vec<i32>,
    /// Images or windows.
    pub(super) len: usize,
}

impl Network {
    pub(super) fn new(model: ModelSpec) -> Result<Self, ComputeError> {
        match model {
            ModelSpec::Digits(net) => Ok(Self::Digits(net)),
            ModelSpec::Bytes(net) => Ok(Self::Bytes(net)),
        }
    }

    pub(super) fn examples(&self, shard: &Shard) -> Result<Examples, ComputeError> {
        let too_small = |found, needed| ComputeError::ShardTooSmall { found, needed };
        match (self, shard) {
            (Self::Digits(_), Shard::Digits(digits)) => {
                if digits.is_empty() {
                    return Err(too_small(0, 1));
                }
                Ok(Examples::Digits(digits_net::Windows::of(digits)))
            }
            (Self::Bytes(net), Shard::Text(text)) => {
                let needed = net.context as usize + 1;
                if text.bytes().len() < needed {
                    return Err(too_small(text.bytes().len(), needed));
                }
                Ok(Examples::Text(text.bytes().clone()))
            }
            (Self::Digits(_), _) => Err(ComputeError::WrongTask { asked: "text" }),
            (Self::Bytes(_), _) => Err(ComputeError::WrongTask { asked: "images" }),
        }
    }

    /// Logits, one row for each answer.
    pub(super) fn logits(&self, leaves: &[Tensor<2>], batch: &Batch, device: &Device) -> Tensor<2> {
        match self {
            Self::Digits(net) => digits_net::logits(net, leaves, batch, device),
            Self::Bytes(net) => byte_transformer::logits(net, leaves, batch, device),
        }
    }

    /// Cross-entropy, mean over the answers of the batch, in nats.
    pub(super) fn loss(&self, leaves: &[Tensor<2>], batch: &Batch, device: &Device) -> Tensor<1> {
        let logits = self.logits(leaves, batch, device);
        let rows = batch.answers.len();
        let answers = TensorData::new(batch.answers.clone(), [rows, 1]);
        let answers = Tensor::<2, Int>::from_data(answers, device);
        activation::log_softmax(logits, 1).gather(1, answers).mean().neg()
    }

    /// How many windows tile a shard for evaluation.
    pub(super) fn tiles(&self, examples: &Examples) -> usize {
        match (self, examples) {
            (_, Examples::Digits(windows)) => windows.len(),
            (Self::Bytes(net), Examples::Text(text)) => (text.len() - 1) / (net.context.max(1) as usize),
            (Self::Digits(_), Examples::Text(_)) => 0,
        }
    }

    /// The tiles of a range, as a batch.
    pub(super) fn tile(&self, examples: &Examples, range: std::ops::Range<usize>) -> Batch {
        let step = match self {
            Self::Digits(_) => 1,
            Self::Bytes(net) => net.context as usize,
        };
        self.batch(examples, range.map(|tile| tile * step))
    }

    /// The examples that start at these places, as a batch.
    pub(super) fn batch(&self, examples: &Examples, places: impl Iterator<Item = usize>) -> Batch {
        let mut batch = Batch { pixels: Vec::new(), context: Vec::new(), answers: Vec::new(), len: 0 };
        for place in places {
            batch.len += 1;
            match (self, examples) {
                (_, Examples::Digits(windows)) => windows.append(place, &mut batch),
                (Self::Bytes(net), Examples::Text(text)) => {
                    let context = net.context as usize;
                    let window = text.get(place..place + context + 1).unwrap_or_default();
                    let bytes = window.iter().map(|byte| i32::from(*byte));
                    batch.context.extend(bytes.clone().take(context));
                    batch.answers.extend(bytes.skip(1));
                }
                (Self::Digits(_), Examples::Text(_)) => {}
            }
        }
        batch
    }
}

/// Draws batches: digits by seeded passes over the whole shard, text by seeded windows.
#[derive(Debug)]
pub(super) struct Batches<'a> {
    examples: &'a Examples,
    context: usize,
    rng: Rng,
    order: Vec<usize>,
    next: usize,
}

impl<'a> Batches<'a> {
    pub(super) fn new(network: &Network, examples: &'a Examples, seed: &Seed) -> Self {
        let (context, order) = match (network, examples) {
            (_, Examples::Digits(windows)) => (0, (0..windows.len()).collect()),
            (Network::Bytes(net), Examples::Text(_)) => (net.context as usize, Vec::new()),
            (Network::Digits(_), Examples::Text(_)) => (0, Vec::new()),
        };
        let next = order.len();
        Self { examples, context, rng: seed.child("batches").rng(), order, next }
    }

    /// The places of the next batch.
    pub(super) fn next(&mut self, inner: &InnerConfig) -> Vec<usize> {
        (0..inner.batch).map(|_| self.place()).collect()
    }

    fn place(&mut self) -> usize {
        if let Examples::Text(text) = self.examples {
            return below(&mut self.rng, text.len() - self.context);
        }
        if self.next >= self.order.len() {
            shuffle(&mut self.rng, &mut self.order);
            self.next = 0;
        }
        self.next += 1;
        self.order.get(self.next - 1).copied().unwrap_or_default()
    }
}
