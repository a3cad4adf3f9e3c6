//! [`MemoryArtifacts`] keeps the contract.

use std::sync::Arc;

use daa_core::artifact::{Artifacts, MemoryArtifacts};

fn fresh() -> ((), Arc<dyn Artifacts>) {
    ((), Arc::new(MemoryArtifacts::new()))
}

daa_core::artifacts_conformance!(fresh());
