//! Parameters as burn tensors, and gradients back as one flat vector.

use burn::tensor::{Device, Tensor, TensorData};

use crate::backend::ComputeError;
use crate::parameters::{Layout, Parameters};

/// One matrix for each tensor of the layout, in its order.
pub(super) fn upload(parameters: &Parameters, device: &Device) -> Vec<Tensor<2>> {
    upload_values(parameters.layout(), parameters.values(), device)
}

pub(super) fn upload_values(layout: &Layout, values: &[f32], device: &Device) -> Vec<Tensor<2>> {
    layout
        .ranges()
        .map(|(tensor, range)| {
            let values = values.get(range).unwrap_or_default().to_vec();
            Tensor::from_data(TensorData::new(values, tensor.shape()), device)
        })
        .collect()
}

/// Runs the graph backwards and adds `weight` times the gradient of every leaf to `total`.
pub(super) fn add_gradient(
    loss: &Tensor<1>,
    leaves: &[Tensor<2>],
    layout: &Layout,
    weight: f32,
    total: &mut [f32],
) -> Result<(), ComputeError> {
    let mut gradients = loss.backward();
    for (leaf, (_, range)) in leaves.iter().zip(layout.ranges()) {
        let Some(gradient) = leaf.grad_remove(&mut gradients) else { continue };
        let data = host(gradient)?;
        let slots = total.get_mut(range).unwrap_or_default();
        for (slot, value) in slots.iter_mut().zip(data) {
            *slot += weight * value;
        }
    }
    Ok(())
}

/// Reads a tensor back.
pub(super) fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, ComputeError> {
    tensor.try_into_vec_as::<f32>().map_err(|error| ComputeError::Device { reason: error.to_string() })
}
