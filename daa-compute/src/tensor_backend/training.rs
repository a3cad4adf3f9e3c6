//! The inner loop, and evaluation.

use std::thread;

use burn::tensor::{Device, Tensor};
use daa_core::seed::Seed;

use crate::backend::{ComputeError, Evaluation, Trained};
use crate::inner::{AdamW, InnerConfig};
use crate::parameters::Parameters;

use super::byte_gradient::{self, Weights};
use super::leaves::{add_gradient, host, upload, upload_values};
use super::network::{Batch, Batches, Examples, Network};

/// Where a device keeps its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// With the host's: reading and changing them in place costs nothing.
    #[cfg_attr(not(feature = "flex"), expect(dead_code, reason = "only the processor shares its memory"))]
    Host,
    /// Apart.
    #[cfg_attr(
        not(feature = "wgpu"),
        expect(dead_code, reason = "only Vulkan devices have memory of their own")
    )]
    Apart,
}

/// Predictions in one forward pass of an evaluation.
const EVALUATION_ROWS: usize = 2048;

pub(super) fn train(
    network: &Network,
    (device, memory): (&Device, Memory),
    base: &Parameters,
    examples: &Examples,
    inner: &InnerConfig,
    seed: &Seed,
) -> Result<Trained, ComputeError> {
    let layout = base.layout();
    let written_out = match network {
        Network::Bytes(net) if memory == Memory::Host => Some(net),
        _ => None,
    };
    let autodiff = device.clone().autodiff();
    let mut values = base.values().to_vec();
    let mut adamw = AdamW::new(layout);
    let mut batches = Batches::new(network, examples, seed);
    let mut total_loss = 0.0;
    for step in 0..inner.steps {
        let places = batches.next(inner);
        let leaves = written_out.map(|_| upload_values(layout, &values, device)).unwrap_or_default();
        let part = |places: &[usize]| -> Part {
            let batch = network.batch(examples, places.iter().copied());
            let weight = places.len() as f32 / inner.batch as f32;
            match written_out {
                Some(net) => {
                    let weights = Weights { leaves: &leaves, layout, values: &values };
                    byte_gradient::loss_and_gradient(net, &weights, &batch, weight, device)
                }
                None => gradient(network, &autodiff, layout, &values, &batch, weight),
            }
        };
        let size = places.len().div_ceil(inner.micro_batches as usize);
        let parts = in_order(places.chunks(size), &part);
        let (loss, gradient) = sum(parts)?;
        if !loss.is_finite() {
            return Err(ComputeError::Diverged { step });
        }
        total_loss += loss;
        adamw.step(inner, &mut values, &gradient);
    }
    let last = inner.steps.saturating_sub(1);
    let parameters =
        Parameters::new(layout.clone(), values).map_err(|_| ComputeError::Diverged { step: last })?;
    Ok(Trained::new(parameters, total_loss / f64::from(inner.steps), inner.examples()))
}

type Part = Result<(f64, Vec<f32>), ComputeError>;

/// Runs every part, on threads if there are several, and returns the results in the order of the parts.
fn in_order<'a>(
    parts: impl ExactSizeIterator<Item = &'a [usize]>,
    run: &(impl Fn(&[usize]) -> Part + Sync),
) -> Vec<Part> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    if processors == 1 || parts.len() == 1 {
        return parts.map(run).collect();
    }
    let parts: Vec<&[usize]> = parts.collect();
    let mut results: Vec<(usize, Part)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..processors.min(parts.len()))
            .map(|first| {
                let mine = (first..parts.len()).step_by(processors);
                let parts = &parts;
                scope.spawn(move || mine.filter_map(|i| Some((i, run(parts.get(i)?)))).collect::<Vec<_>>())
            })
            .collect();
        let failed = || ComputeError::Device { reason: "a compute thread panicked".to_owned() };
        workers.into_iter().flat_map(|w| w.join().unwrap_or_else(|_| vec![(0, Err(failed()))])).collect()
    });
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, part)| part).collect()
}

fn sum(parts: Vec<Part>) -> Part {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_else(|| Ok((0.0, Vec::new())))?;
    for part in parts {
        let (loss, gradient) = part?;
        total.0 += loss;
        for (slot, value) in total.1.iter_mut().zip(gradient) {
            *slot += value;
        }
    }
    Ok(total)
}

/// Loss and gradient of a part of a batch, both times its share of the batch.
fn gradient(
    network: &Network,
    device: &Device,
    layout: &crate::parameters::Layout,
    values: &[f32],
    batch: &Batch,
    weight: f32,
) -> Part {
    let leaves: Vec<Tensor<2>> =
        upload_values(layout, values, device).into_iter().map(Tensor::require_grad).collect();
    let loss = network.loss(&leaves, batch, device);
    let mut total = vec![0.0; layout.len()];
    add_gradient(&loss, &leaves, layout, weight, &mut total)?;
    let value = host(loss.without_autodiff())?.first().copied().unwrap_or(f32::NAN);
    Ok((f64::from(value) * f64::from(weight), total))
}

pub(super) fn evaluate(
    network: &Network,
    device: &Device,
    parameters: &Parameters,
    examples: &Examples,
) -> Result<Evaluation, ComputeError> {
    let leaves = upload(parameters, device);
    let tiles = network.tiles(examples);
    let at_once = match network {
        Network::Digits(_) => EVALUATION_ROWS,
        Network::Bytes(net) => (EVALUATION_ROWS / net.context.max(1) as usize).max(1),
    };
    let (mut loss, mut right, mut predictions) = (0.0, 0u64, 0u64);
    for start in (0..tiles).step_by(at_once) {
        let batch = network.tile(examples, start..tiles.min(start + at_once));
        let logits = host(network.logits(&leaves, &batch, device))?;
        let columns = logits.len() / batch.answers.len().max(1);
        for (row, &answer) in logits.chunks(columns.max(1)).zip(&batch.answers) {
            let (nats, hit) = score(row, answer);
            loss += nats;
            right += u64::from(hit);
            predictions += 1;
        }
    }
    let count = predictions.max(1) as f64;
    Ok(Evaluation::new(loss / count, right as f64 / count, predictions))
}

/// Cross-entropy of a row of logits in nats, and whether the answer has the highest (of equals, the first counts).
fn score(row: &[f32], answer: i32) -> (f64, bool) {
    let answer = usize::try_from(answer).unwrap_or(usize::MAX);
    let best = row
        .iter()
        .enumerate()
        .fold((usize::MAX, f32::NEG_INFINITY), |best, (i, &x)| if x > best.1 { (i, x) } else { best });
    let sum: f64 = row.iter().map(|&x| f64::from(x - best.1).exp()).sum();
    let own = row.get(answer).copied().unwrap_or(f32::NEG_INFINITY);
    (sum.ln() - f64::from(own - best.1), best.0 == answer)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::dataset::{Shard, Text};
    use crate::model::{ByteTransformer, ModelSpec};

    #[test]
    fn the_gradient_written_out_is_that_of_the_graph() {
        let net = ByteTransformer { layers: 2, width: 24, heads: 2, context: 12 };
        let model = ModelSpec::Bytes(net);
        let network = Network::new(model).unwrap();
        let bytes: Vec<u8> = (0..400u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let examples = network.examples(&Shard::Text(Text::new(bytes).unwrap())).unwrap();
        let batch = network.batch(&examples, [0, 31, 77].into_iter());
        let base = model.initial(&Seed::from_u64(3)).unwrap();
        // Larger than fresh parameters, so that no softmax is flat.
        let values: Vec<f32> = base.values().iter().map(|x| x * 3.0).collect();
        let device = Device::flex();
        let layout = base.layout();
        let (loss, graph) =
            gradient(&network, &device.clone().autodiff(), layout, &values, &batch, 0.5).unwrap();
        let leaves = upload_values(layout, &values, &device);
        let weights = Weights { leaves: &leaves, layout, values: &values };
        let (own_loss, own) = byte_gradient::loss_and_gradient(&net, &weights, &batch, 0.5, &device).unwrap();
        assert!((own_loss - loss).abs() < 1e-5 * loss, "{own_loss} against {loss}");
        for (tensor, range) in layout.ranges() {
            let (graph, own) = (&graph[range.clone()], &own[range]);
            let largest = graph.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            assert!(largest > 1e-4, "{} has no gradient", tensor.path());
            for (a, b) in graph.iter().zip(own) {
                assert!((a - b).abs() <= 1e-4 * largest, "{}: {a} against {b}", tensor.path());
            }
        }
    }
}
