//! The forward pass of [`DigitsNet`]. The windows of the convolution are cut out once, when a shard is loaded, so
//! that a step is three matrix products.

use burn::tensor::{Device, Tensor, TensorData, activation::relu};

use crate::dataset::Digits;
use crate::model::{DIGIT_SIDE, DigitsNet, POSITIONS, WINDOW};

use super::network::Batch;

const PER_IMAGE: usize = POSITIONS * WINDOW * WINDOW;

/// All windows of all images, in order of images, positions, and pixels of the window; 0 is white, 1 is black.
#[derive(Debug)]
pub(super) struct Windows {
    pixels: Vec<f32>,
    labels: Vec<u8>,
}

impl Windows {
    pub(super) fn of(digits: &Digits) -> Self {
        let mut pixels = Vec::with_capacity(digits.len() * PER_IMAGE);
        let mut labels = Vec::with_capacity(digits.len());
        let side = DIGIT_SIDE - WINDOW + 1;
        for (image, label) in digits.iter() {
            labels.push(label);
            for corner in (0..side).flat_map(|y| (0..side).map(move |x| y * DIGIT_SIDE + x)) {
                for row in (0..WINDOW).map(|y| corner + y * DIGIT_SIDE) {
                    let cut = image.get(row..row + WINDOW).unwrap_or_default();
                    pixels.extend(cut.iter().map(|p| f32::from(*p) / 16.0));
                }
            }
        }
        Self { pixels, labels }
    }

    pub(super) const fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn append(&self, image: usize, batch: &mut Batch) {
        let start = image * PER_IMAGE;
        batch.pixels.extend_from_slice(self.pixels.get(start..start + PER_IMAGE).unwrap_or_default());
        batch.answers.extend(self.labels.get(image).map(|label| i32::from(*label)));
    }
}

/// Logits of a batch: (images, 10).
pub(super) fn logits(net: &DigitsNet, leaves: &[Tensor<2>], batch: &Batch, device: &Device) -> Tensor<2> {
    let mut leaves = leaves.iter().cloned();
    let data = TensorData::new(batch.pixels.clone(), [batch.len * POSITIONS, WINDOW * WINDOW]);
    let mut x = Tensor::<2>::from_data(data, device);
    let mut layer = 0;
    while let (Some(weight), Some(bias)) = (leaves.next(), leaves.next()) {
        if layer == 1 {
            x = x.reshape([batch.len, POSITIONS * net.channels as usize]);
        }
        if layer > 0 {
            x = relu(x);
        }
        x = x.matmul(weight) + bias;
        layer += 1;
    }
    x
}
