//! Needs a Vulkan device; a software one will do (Mesa's lavapipe).

use daa_compute::BurnBackend;
use daa_compute::dataset::Shard;
use daa_compute::inner::InnerConfig;
use daa_compute::model::{DigitsNet, ModelSpec};
use daa_core::seed::Seed;

use super::datasets::digits;

#[test]
fn trains_on_a_software_gpu_as_on_the_processor() {
    let model = ModelSpec::Digits(DigitsNet { channels: 4, hidden: 16 });
    let inner = InnerConfig::new(20, 8, 3e-3);
    let base = model.initial(&Seed::from_u64(1)).unwrap();
    let loss = |backend: BurnBackend| {
        let shard = backend.load_shard_blocking(&Shard::Digits(digits())).unwrap();
        backend.train_blocking(&base, &shard, &inner, &Seed::from_u64(1)).unwrap().mean_loss
    };
    let wgpu = loss(BurnBackend::wgpu(model, true).unwrap());
    let flex = loss(BurnBackend::flex(model).unwrap());
    assert!((wgpu - flex).abs() < 1e-2 * flex, "{wgpu} on wgpu, {flex} on the processor");
}
