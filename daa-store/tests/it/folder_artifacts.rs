//! [`FolderArtifacts`] keeps the contract, and survives what happens to files.

use std::fs;
use std::sync::Arc;

use daa_core::artifact::{ArtifactError, Artifacts, NamedArtifacts};
use daa_core::digest::Digest;
use daa_store::folder::FolderArtifacts;
use daa_store::open::OpenError;
use tempfile::TempDir;

fn fresh() -> (TempDir, Arc<dyn NamedArtifacts>) {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderArtifacts::open(dir.path().join("artifacts")).unwrap();
    (dir, Arc::new(store))
}

daa_core::artifacts_conformance!(fresh());

fn file_of(dir: &TempDir, digest: &Digest) -> std::path::PathBuf {
    let name = digest.to_string();
    dir.path().join(&name[..2]).join(&name[2..4]).join(&name)
}

#[tokio::test]
async fn keeps_artefacts_when_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderArtifacts::open(dir.path()).unwrap();
    let digest = store.put("weights".into()).await.unwrap();
    drop(store);
    let store = FolderArtifacts::open(dir.path()).unwrap();
    assert_eq!(store.get(&digest).await.unwrap(), Some("weights".into()));
    assert_eq!(store.list().await.unwrap(), [digest]);
}

#[tokio::test]
async fn reports_changed_bytes_and_heals_on_the_next_put() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderArtifacts::open(dir.path()).unwrap();
    let digest = store.put("weights".into()).await.unwrap();
    for damage in ["weighty", "weight", "weights and more", ""] {
        fs::write(file_of(&dir, &digest), damage).unwrap();
        let found = store.get(&digest).await;
        assert!(
            matches!(found, Err(ArtifactError::Corrupt { digest: named }) if named == digest),
            "{found:?}"
        );
        assert_eq!(store.put("weights".into()).await.unwrap(), digest);
        assert_eq!(store.get(&digest).await.unwrap(), Some("weights".into()));
    }
}

#[tokio::test]
async fn removes_what_a_crashed_put_left_and_never_lists_it() {
    let dir = tempfile::tempdir().unwrap();
    drop(FolderArtifacts::open(dir.path()).unwrap());
    let leftover = dir.path().join("unfinished").join(format!("{}.0", Digest::of(b"half")));
    fs::write(&leftover, "ha").unwrap();
    let store = FolderArtifacts::open(dir.path()).unwrap();
    assert!(!leftover.exists());
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(store.get(&Digest::of(b"half")).await.unwrap(), None);
}

#[test]
fn refuses_a_folder_that_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let _first = FolderArtifacts::open(dir.path()).unwrap();
    let second = FolderArtifacts::open(dir.path());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
}
