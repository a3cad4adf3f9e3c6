//! They keep the contract.

mod memory {
    use std::sync::Arc;

    use daa_core::artifact::NamedArtifacts;
    use object_store::memory::InMemory;

    use crate::objects::support::over;

    fn fresh() -> ((), Arc<dyn NamedArtifacts>) {
        ((), Arc::new(over(Arc::new(InMemory::new()))))
    }

    daa_core::artifacts_conformance!(fresh());
}

mod local {
    use std::sync::Arc;

    use daa_core::artifact::NamedArtifacts;
    use tempfile::TempDir;

    use crate::objects::support::{local, over};

    fn fresh() -> (TempDir, Arc<dyn NamedArtifacts>) {
        let (dir, store) = local();
        (dir, Arc::new(over(store)))
    }

    daa_core::artifacts_conformance!(fresh());
}

/// Under a prefix, beside what is not ours, in order, with the smallest parts, one at a time, and notice.
mod narrow {
    use std::sync::Arc;
    use std::time::Duration;

    use daa_core::artifact::NamedArtifacts;
    use daa_store::object::{ObjectArtifacts, ObjectOptions};
    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;

    async fn fresh() -> ((), Arc<dyn NamedArtifacts>) {
        let store = Arc::new(InMemory::new());
        for name in ["a/b", "a/bc/data/x", "a/b/data/x", "a/b/other", "z", "data/x"] {
            store.put(&name.into(), "not ours".into()).await.unwrap();
        }
        let options = ObjectOptions::default()
            .with_prefix("/a/b/")
            .with_part_size(1)
            .with_concurrency(1)
            .with_notice(Duration::from_millis(10))
            .with_ordered_listing();
        ((), Arc::new(ObjectArtifacts::new(store, &options)))
    }

    daa_core::artifacts_conformance!(fresh().await);
}
