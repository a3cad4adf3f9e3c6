//! [`MemoryArtifacts`] keeps the contract.

use std::sync::Arc;

use daa_core::artifact::{MemoryArtifacts, NamedArtifacts};

fn fresh() -> ((), Arc<dyn NamedArtifacts>) {
    ((), Arc::new(MemoryArtifacts::new()))
}

daa_core::artifacts_conformance!(fresh());
