//! [`ComputeBackend`] on burn: on the processor (feature `flex`) and on GPUs (feature `wgpu`).

mod byte_gradient;
mod byte_transformer;
mod digits_net;
mod heap;
mod leaves;
mod network;
mod row_kernels;
mod training;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use burn::tensor::Device;
use daa_core::digest::Digest;
use daa_core::seed::Seed;

use crate::backend::{ComputeBackend, ComputeError, ComputePath, Evaluation, Trained};
use crate::dataset::Shard;
use crate::inner::InnerConfig;
use crate::model::ModelSpec;
use crate::parameters::{Layout, Parameters};

use network::{Examples, Network};
use training::Memory;

/// One model on one burn device.
///
/// The methods that end in `_blocking` are the same as those of [`ComputeBackend`], for threads of one's own.
/// Cloning is cheap, and clones share the loaded shards.
#[derive(Clone)]
pub struct BurnBackend {
    network: Network,
    layout: Layout,
    device: Device,
    memory: Memory,
    path: ComputePath,
    shards: Arc<RwLock<HashMap<Digest, Loaded>>>,
}

/// A shard, and how often it was loaded more than unloaded.
struct Loaded {
    examples: Arc<Examples>,
    users: usize,
}

impl fmt::Debug for BurnBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BurnBackend")
            .field("network", &self.network)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl BurnBackend {
    /// On the processor, with burn's `flex`: the canonical path, which replay verification runs on.
    ///
    /// # Errors
    /// [`ComputeError::Shape`] for a model that cannot be.
    #[cfg(feature = "flex")]
    pub fn flex(model: ModelSpec) -> Result<Self, ComputeError> {
        Self::on(model, Device::flex(), Memory::Host, "flex")
    }

    /// On a GPU through wgpu: the best one there is, or, if `software` is set, one that the processor plays.
    ///
    /// # Errors
    /// [`ComputeError::Device`] when there is no such device; [`ComputeError::Shape`] for a model that cannot be.
    #[cfg(feature = "wgpu")]
    pub fn wgpu(model: ModelSpec, software: bool) -> Result<Self, ComputeError> {
        use burn::tensor::{DeviceKind, Tensor};
        let kind = if software { DeviceKind::Cpu } else { DeviceKind::DefaultDevice };
        let probe = std::panic::catch_unwind(|| {
            let device = Device::wgpu(kind);
            let two: f32 = Tensor::<1>::ones([2], &device).sum().into_scalar();
            (two == 2.0).then_some(device)
        });
        match probe {
            Ok(Some(device)) => {
                Self::on(model, device, Memory::Apart, if software { "wgpu-software" } else { "wgpu" })
            }
            _ => Err(ComputeError::Device { reason: "no working wgpu device".to_owned() }),
        }
    }

    fn on(model: ModelSpec, device: Device, memory: Memory, name: &str) -> Result<Self, ComputeError> {
        heap::keep_pages();
        let layout = model.layout()?;
        let path = ComputePath::new(&format!(
            "burn-0.22.1/{name} {}-{}{}",
            std::env::consts::ARCH,
            std::env::consts::OS,
            vector_extensions()
        ));
        Ok(Self { network: Network::new(model)?, layout, device, memory, path, shards: Arc::default() })
    }

    /// As [`ComputeBackend::load_shard`].
    ///
    /// # Errors
    /// As there.
    pub fn load_shard_blocking(&self, shard: &Shard) -> Result<Digest, ComputeError> {
        let digest = shard.digest();
        let examples = Arc::new(self.network.examples(shard)?);
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        shards.entry(digest).or_insert(Loaded { examples, users: 0 }).users += 1;
        Ok(digest)
    }

    /// As [`ComputeBackend::unload_shard`].
    #[must_use = "whether the shard is gone"]
    pub fn unload_shard_blocking(&self, shard: &Digest) -> bool {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        let Some(loaded) = shards.get_mut(shard) else { return false };
        loaded.users -= 1;
        let gone = loaded.users == 0;
        if gone {
            shards.remove(shard);
        }
        gone
    }

    /// As [`ComputeBackend::train`].
    ///
    /// # Errors
    /// As there.
    pub fn train_blocking(
        &self,
        base: &Parameters,
        shard: &Digest,
        inner: &InnerConfig,
        seed: &Seed,
    ) -> Result<Trained, ComputeError> {
        self.check(base)?;
        inner.check()?;
        training::train(&self.network, (&self.device, self.memory), base, &*self.shard(shard)?, inner, seed)
    }

    /// As [`ComputeBackend::evaluate`].
    ///
    /// # Errors
    /// As there.
    pub fn evaluate_blocking(
        &self,
        parameters: &Parameters,
        shard: &Digest,
    ) -> Result<Evaluation, ComputeError> {
        self.check(parameters)?;
        training::evaluate(&self.network, &self.device, parameters, &*self.shard(shard)?)
    }

    /// As [`ComputeBackend::generate`].
    ///
    /// # Errors
    /// As there.
    pub fn generate_blocking(
        &self,
        parameters: &Parameters,
        prompt: &[u8],
        count: usize,
        seed: &Seed,
    ) -> Result<Vec<u8>, ComputeError> {
        self.check(parameters)?;
        let Network::Bytes(net) = &self.network else {
            return Err(ComputeError::WrongTask { asked: "generating text" });
        };
        let leaves = leaves::upload(parameters, &self.device);
        byte_transformer::generate(net, &leaves, &self.device, prompt, count, seed)
    }

    fn shard(&self, digest: &Digest) -> Result<Arc<Examples>, ComputeError> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        shards
            .get(digest)
            .map(|loaded| Arc::clone(&loaded.examples))
            .ok_or(ComputeError::UnknownShard { digest: *digest })
    }

    fn check(&self, parameters: &Parameters) -> Result<(), ComputeError> {
        let (found, expected) = (parameters.layout().digest(), self.layout.digest());
        if found == expected { Ok(()) } else { Err(ComputeError::WrongLayout { found, expected }) }
    }
}

/// The vector extensions that the kernels may choose by, as they are found at run time.
fn vector_extensions() -> String {
    let mut found = String::new();
    #[cfg(target_arch = "x86_64")]
    for (name, there) in [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
    ] {
        if there {
            found.push('+');
            found.push_str(name);
        }
    }
    found
}

#[async_trait]
impl ComputeBackend for BurnBackend {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn path(&self) -> ComputePath {
        self.path.clone()
    }

    async fn load_shard(&self, shard: &Shard) -> Result<Digest, ComputeError> {
        self.load_shard_blocking(shard)
    }

    async fn unload_shard(&self, shard: &Digest) -> bool {
        self.unload_shard_blocking(shard)
    }

    async fn train(
        &self,
        base: &Parameters,
        shard: &Digest,
        inner: &InnerConfig,
        seed: &Seed,
    ) -> Result<Trained, ComputeError> {
        self.train_blocking(base, shard, inner, seed)
    }

    async fn evaluate(&self, parameters: &Parameters, shard: &Digest) -> Result<Evaluation, ComputeError> {
        self.evaluate_blocking(parameters, shard)
    }

    async fn generate(
        &self,
        parameters: &Parameters,
        prompt: &[u8],
        count: usize,
        seed: &Seed,
    ) -> Result<Vec<u8>, ComputeError> {
        self.generate_blocking(parameters, prompt, count, seed)
    }
}
