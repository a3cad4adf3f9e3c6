//! Loss and gradient of [`ByteTransformer`] with the way back written out, for devices whose memory is the host's.
//!
//! Products of matrices are the device's. Everything between them is one pass over rows, in place, where a graph of
//! operations would make a tensor for each: that, and what the graph itself costs, is half of a step's time. The
//! numbers are those of the graph but for rounding, which a test holds on to.

use burn::tensor::{Device, Tensor, TensorData};

use crate::backend::ComputeError;
use crate::model::{BYTES, ByteTransformer};
use crate::parameters::Layout;

use super::byte_transformer::EPSILON;
use super::network::Batch;
use super::row_kernels as rows;

/// One matrix for each tensor of the layout, and where its gradient goes.
pub(super) struct Weights<'a> {
    pub(super) leaves: &'a [Tensor<2>],
    pub(super) layout: &'a Layout,
    /// What the leaves were made from.
    pub(super) values: &'a [f32],
}

/// What the way back needs of a block: tensors as they were multiplied, and the scales of both normalisations.
struct Block {
    normal: Tensor<2>,
    scales: Vec<f32>,
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    attention: Tensor<4>,
    attended: Tensor<2>,
    wide_normal: Tensor<2>,
    wide_scales: Vec<f32>,
    wide: Tensor<2>,
}

/// Cross-entropy and its gradient, both `weight` times the mean over the answers of the batch.
pub(super) fn loss_and_gradient(
    net: &ByteTransformer,
    weights: &Weights<'_>,
    batch: &Batch,
    weight: f32,
    device: &Device,
) -> Result<(f64, Vec<f32>), ComputeError> {
    let [_, _, blocks @ .., output] = weights.leaves else { return Err(failed("no transformer's layout")) };
    let (blocks, _) = blocks.as_chunks::<6>();
    let shape = Shape { net, windows: batch.len, device };
    let mut total = Gradient { total: vec![0.0; weights.layout.len()], layout: weights.layout };

    let mut x = embed(net, weights, batch);
    let mut kept = Vec::with_capacity(blocks.len());
    for block in blocks {
        kept.push(shape.forwards(block, &mut x)?);
    }
    let (normal, scales) = shape.normalise(&x);
    let mut loss = 0.0;
    let slope = edit(normal.clone().matmul(output.clone()), |logits| {
        loss = rows::cross_entropy(logits, BYTES, &batch.answers, weight / batch.answers.len().max(1) as f32);
    })?;

    total.put(weights.leaves.len() - 1, normal.clone().transpose().matmul(slope.clone()))?;
    let back = slope.matmul(output.clone().transpose());
    x.fill(0.0);
    shape.normalised_back(&mut x, back, normal, &scales)?;
    let mut x = shape.tensor(x);
    for (i, (block, kept)) in blocks.iter().zip(kept).enumerate().rev() {
        x = shape.backwards(block, kept, x, 2 + 6 * i, &mut total)?;
    }
    embedded_back(net, batch, &data(x)?, &mut total)?;
    Ok((loss, total.total))
}

/// The sizes of a batch.
struct Shape<'a> {
    net: &'a ByteTransformer,
    windows: usize,
    device: &'a Device,
}

impl Shape<'_> {
    /// One block: `x` goes in, and comes out in its place.
    fn forwards(&self, block: &[Tensor<2>; 6], x: &mut [f32]) -> Result<Block, ComputeError> {
        let [query, key, value, merge, up, down] = block;
        let (normal, scales) = self.normalise(x);
        let heads = |weight: &Tensor<2>| self.split(normal.clone().matmul(weight.clone()));
        let (query, key, value) = (heads(query), heads(key), heads(value));
        let scores = query.clone().matmul(key.clone().swap_dims(2, 3));
        let (context, scale) = (self.net.context as usize, self.scale());
        let attention = edit(scores, |scores| rows::causal_softmax(scores, context, scale))?;
        let attended = self.merge(attention.clone().matmul(value.clone()));
        rows::add(x, floats(&data(attended.clone().matmul(merge.clone()))?)?);
        let (wide_normal, wide_scales) = self.normalise(x);
        let wide = edit(wide_normal.clone().matmul(up.clone()), rows::relu)?;
        rows::add(x, floats(&data(wide.clone().matmul(down.clone()))?)?);
        Ok(Block { normal, scales, query, key, value, attention, attended, wide_normal, wide_scales, wide })
    }

    /// The slope at a block's output goes in, the slope at its input comes out.
    fn backwards(
        &self,
        block: &[Tensor<2>; 6],
        kept: Block,
        slope: Tensor<2>,
        first: usize,
        total: &mut Gradient<'_>,
    ) -> Result<Tensor<2>, ComputeError> {
        let [query, key, value, merge, up, down] = block;
        total.put(first + 5, kept.wide.clone().transpose().matmul(slope.clone()))?;
        let wide = data(kept.wide)?;
        let wide = floats(&wide)?;
        let inner = edit(slope.clone().matmul(down.clone().transpose()), |s| rows::relu_back(s, wide))?;
        total.put(first + 4, kept.wide_normal.clone().transpose().matmul(inner.clone()))?;
        let inner = inner.matmul(up.clone().transpose());
        let slope = self.add_normalised_back(slope, inner, kept.wide_normal, &kept.wide_scales)?;

        total.put(first + 3, kept.attended.transpose().matmul(slope.clone()))?;
        let inner = self.split(slope.clone().matmul(merge.clone().transpose()));
        let values = kept.attention.clone().swap_dims(2, 3).matmul(inner.clone());
        let attention = data(kept.attention)?;
        let attention = floats(&attention)?;
        let (context, scale) = (self.net.context as usize, self.scale());
        let inner = edit(inner.matmul(kept.value.swap_dims(2, 3)), |s| {
            rows::softmax_back(s, attention, context, scale);
        })?;
        let keys = inner.clone().swap_dims(2, 3).matmul(kept.query);
        let slopes = [inner.matmul(kept.key), keys, values].map(|slope| self.merge(slope));
        for (i, slope) in slopes.iter().enumerate() {
            total.put(first + i, kept.normal.clone().transpose().matmul(slope.clone()))?;
        }
        let [a, b, c] = slopes;
        let back = a.matmul(query.clone().transpose());
        let (b, c) = (data(b.matmul(key.clone().transpose()))?, data(c.matmul(value.clone().transpose()))?);
        let (b, c) = (floats(&b)?, floats(&c)?);
        let back = edit(back, |back| {
            rows::add(back, b);
            rows::add(back, c);
        })?;
        self.add_normalised_back(slope, back, kept.normal, &kept.scales)
    }

    fn normalise(&self, x: &[f32]) -> (Tensor<2>, Vec<f32>) {
        let mut normal = x.to_vec();
        let scales = rows::normalise(&mut normal, self.net.width as usize, EPSILON);
        (self.tensor(normal), scales)
    }

    /// `slope` plus the slope at the input of a normalisation with `back` at its output.
    fn add_normalised_back(
        &self,
        slope: Tensor<2>,
        back: Tensor<2>,
        normal: Tensor<2>,
        scales: &[f32],
    ) -> Result<Tensor<2>, ComputeError> {
        let mut result = Ok(());
        let slope = edit(slope, |slope| result = self.normalised_back(slope, back, normal, scales))?;
        result.map(|()| slope)
    }

    fn normalised_back(
        &self,
        slope: &mut [f32],
        back: Tensor<2>,
        normal: Tensor<2>,
        scales: &[f32],
    ) -> Result<(), ComputeError> {
        let (back, normal) = (data(back)?, data(normal)?);
        rows::normalise_back(slope, floats(&back)?, floats(&normal)?, scales, self.net.width as usize);
        Ok(())
    }

    fn tensor(&self, values: Vec<f32>) -> Tensor<2> {
        let width = self.net.width as usize;
        let rows = values.len() / width;
        Tensor::from_data(TensorData::new(values, [rows, width]), self.device)
    }

    fn scale(&self) -> f32 {
        1.0 / ((self.net.width / self.net.heads.max(1)) as f32).sqrt()
    }

    /// (windows · context, width) as (windows, heads, context, width of a head), without copying.
    fn split(&self, x: Tensor<2>) -> Tensor<4> {
        let (context, heads) = (self.net.context as usize, self.net.heads as usize);
        x.reshape([self.windows, context, heads, self.net.width as usize / heads]).swap_dims(1, 2)
    }

    /// The inverse of `split`; copies.
    fn merge(&self, x: Tensor<4>) -> Tensor<2> {
        let (context, width) = (self.net.context as usize, self.net.width as usize);
        x.swap_dims(1, 2).reshape([self.windows * context, width])
    }
}

/// Embedding of every byte plus that of its position.
fn embed(net: &ByteTransformer, weights: &Weights<'_>, batch: &Batch) -> Vec<f32> {
    let width = net.width as usize;
    let (embedding, position) = weights.values.split_at((BYTES * width).min(weights.values.len()));
    let mut x = vec![0.0; batch.context.len() * width];
    let positions = position.chunks_exact(width).take(net.context as usize).cycle();
    for ((row, &byte), position) in x.chunks_exact_mut(width).zip(&batch.context).zip(positions) {
        row.copy_from_slice(position);
        rows::add(row, row_of(embedding, byte, width));
    }
    x
}

fn embedded_back(
    net: &ByteTransformer,
    batch: &Batch,
    slope: &TensorData,
    total: &mut Gradient<'_>,
) -> Result<(), ComputeError> {
    let (width, context) = (net.width as usize, net.context as usize);
    let middle = (BYTES * width).min(total.total.len());
    let (embedding, rest) = total.total.split_at_mut(middle);
    for (i, (row, &byte)) in floats(slope)?.chunks_exact(width).zip(&batch.context).enumerate() {
        let start = usize::try_from(byte).unwrap_or_default() * width;
        rows::add(embedding.get_mut(start..start + width).unwrap_or_default(), row);
        let start = i % context * width;
        rows::add(rest.get_mut(start..start + width).unwrap_or_default(), row);
    }
    Ok(())
}

fn row_of(matrix: &[f32], row: i32, width: usize) -> &[f32] {
    let start = usize::try_from(row).unwrap_or_default() * width;
    matrix.get(start..start + width).unwrap_or_default()
}

struct Gradient<'a> {
    total: Vec<f32>,
    layout: &'a Layout,
}

impl Gradient<'_> {
    fn put(&mut self, leaf: usize, gradient: Tensor<2>) -> Result<(), ComputeError> {
        let data = data(gradient)?;
        let values = floats(&data)?;
        let range = self.layout.ranges().nth(leaf).map(|(_, range)| range);
        match range.and_then(|range| self.total.get_mut(range)) {
            Some(slots) if slots.len() == values.len() => slots.copy_from_slice(values),
            _ => return Err(failed("a gradient of another shape than its matrix")),
        }
        Ok(())
    }
}

/// Changes a tensor's numbers where they lie, if no other tensor shares them.
fn edit<const D: usize>(
    tensor: Tensor<D>,
    change: impl FnOnce(&mut [f32]),
) -> Result<Tensor<D>, ComputeError> {
    let device = tensor.device();
    let mut data = data(tensor)?;
    change(data.as_mut_slice::<f32>().map_err(|error| failed(&format!("{error:?}")))?);
    Ok(Tensor::from_data(data, &device))
}

fn data<const D: usize>(tensor: Tensor<D>) -> Result<TensorData, ComputeError> {
    tensor.try_into_data().map_err(|error| failed(&error.to_string()))
}

fn floats(data: &TensorData) -> Result<&[f32], ComputeError> {
    data.as_slice::<f32>().map_err(|error| failed(&format!("{error:?}")))
}

fn failed(reason: &str) -> ComputeError {
    ComputeError::Device { reason: reason.to_owned() }
}
