//! What several tests of object stores need.

use std::sync::Arc;
use std::time::Duration;

use daa_store::object::{ObjectArtifacts, ObjectOptions};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tempfile::TempDir;

/// Collections do not wait: nobody puts beside them.
pub(crate) fn options() -> ObjectOptions {
    ObjectOptions::default().with_notice(Duration::ZERO)
}

pub(crate) fn over(store: Arc<dyn ObjectStore>) -> ObjectArtifacts {
    ObjectArtifacts::new(store, &options())
}

pub(crate) fn local() -> (TempDir, Arc<dyn ObjectStore>) {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
    (dir, Arc::new(store))
}
