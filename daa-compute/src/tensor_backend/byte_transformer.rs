//! The forward pass of [`ByteTransformer`], and sampling from it.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use daa_core::seed::Seed;

use crate::backend::ComputeError;
use crate::model::{BYTES, ByteTransformer};
use crate::sampling::unit;

use super::leaves::host;
use super::network::Batch;

pub(super) const EPSILON: f32 = 1e-6;
const MASKED: f32 = -1e9;

/// Logits of a batch: (windows · context, 256). The context may be shorter than the model's.
pub(super) fn logits(
    net: &ByteTransformer,
    leaves: &[Tensor<2>],
    batch: &Batch,
    device: &Device,
) -> Tensor<2> {
    let windows = batch.len.max(1);
    let context = batch.context.len() / windows;
    let width = net.width as usize;
    let mut leaves = leaves.iter().cloned();
    let (Some(embedding), Some(position)) = (leaves.next(), leaves.next()) else {
        return Tensor::zeros([windows * context, BYTES], device);
    };
    let bytes = TensorData::new(batch.context.clone(), [windows * context]);
    let bytes = Tensor::<1, Int>::from_data(bytes, device);
    let embedded = embedding.select(0, bytes).reshape([windows, context, width]);
    let mut x = (embedded + position.slice(0..context).unsqueeze::<3>()).reshape([windows * context, width]);
    let mask = causal_mask(context, device);
    for _ in 0..net.layers {
        let mut next = || leaves.next().unwrap_or_else(|| Tensor::zeros([width, width], device));
        let [query, key, value, merge, up, down] = std::array::from_fn(|_| next());
        let normal = normalise(x.clone());
        let heads = |weight: Tensor<2>| split_heads(normal.clone().matmul(weight), windows, context, net);
        let scale = 1.0 / ((net.width / net.heads.max(1)) as f32).sqrt();
        let scores = heads(query).mul_scalar(scale).matmul(heads(key).swap_dims(2, 3)) + mask.clone();
        let attended = activation::softmax(scores, 3).matmul(heads(value));
        let attended = attended.swap_dims(1, 2).reshape([windows * context, width]);
        x = x + attended.matmul(merge);
        x = x.clone() + activation::relu(normalise(x).matmul(up)).matmul(down);
    }
    match leaves.next() {
        Some(output) => normalise(x).matmul(output),
        None => x,
    }
}

/// Root-mean-square normalisation of every row (Zhang and Sennrich, 2019), without gain.
fn normalise(x: Tensor<2>) -> Tensor<2> {
    let scale = (x.clone() * x.clone()).mean_dim(1).add_scalar(EPSILON).sqrt().recip();
    x * scale
}

fn split_heads(x: Tensor<2>, windows: usize, context: usize, net: &ByteTransformer) -> Tensor<4> {
    let heads = net.heads as usize;
    x.reshape([windows, context, heads, net.width as usize / heads]).swap_dims(1, 2)
}

/// Zero where a byte may look, very low where it may not: (1, 1, context, context).
fn causal_mask(context: usize, device: &Device) -> Tensor<4> {
    let row = |y: usize| (0..context).map(move |x| if x <= y { 0.0 } else { MASKED });
    let values: Vec<f32> = (0..context).flat_map(row).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, context, context]), device)
}

/// Continues a prompt. An empty prompt starts from a newline.
pub(super) fn generate(
    net: &ByteTransformer,
    leaves: &[Tensor<2>],
    device: &Device,
    prompt: &[u8],
    count: usize,
    seed: &Seed,
) -> Result<Vec<u8>, ComputeError> {
    let mut rng = seed.child("generate").rng();
    let mut text: Vec<u8> = if prompt.is_empty() { vec![b'\n'] } else { prompt.to_vec() };
    let start = text.len();
    for _ in 0..count {
        let from = text.len().saturating_sub(net.context as usize);
        let context: Vec<i32> = text.iter().skip(from).map(|byte| i32::from(*byte)).collect();
        let last = context.len() - 1;
        let batch = Batch { pixels: Vec::new(), context, answers: Vec::new(), len: 1 };
        let row = host(logits(net, leaves, &batch, device).slice(last..last + 1))?;
        text.push(draw(&row, unit(&mut rng)));
    }
    Ok(text.split_off(start))
}

/// The byte at which the cumulated probability passes `point` (0..1).
fn draw(logits: &[f32], point: f64) -> u8 {
    let highest = logits.iter().copied().fold(f32::MIN, f32::max);
    let weights: Vec<f64> = logits.iter().map(|x| f64::from(x - highest).exp()).collect();
    let mut left = point * weights.iter().sum::<f64>();
    for (byte, weight) in (0..=u8::MAX).zip(&weights) {
        left -= weight;
        if left < 0.0 {
            return byte;
        }
    }
    u8::MAX
}
