//! Artefacts that are sealed at rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Artifacts, ArtifactsExt as _, NamedArtifacts, Which};
use daa_core::digest::Digest;
use daa_store::cipher::KeyRing;
use daa_store::folder::FolderArtifacts;

const MIB: usize = 1 << 20;

fn keys() -> Arc<KeyRing> {
    Arc::new(KeyRing::new("2026", [1; 32]).unwrap())
}

mod folder {
    use daa_store::folder::FolderArtifacts;
    use tempfile::TempDir;

    use super::*;

    fn fresh() -> (TempDir, Arc<dyn NamedArtifacts>) {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = FolderArtifacts::open(dir.path()).unwrap().sealed(keys());
        (dir, Arc::new(artifacts))
    }

    daa_core::artifacts_conformance!(fresh());
}

mod object {
    use object_store::memory::InMemory;

    use super::*;
    use crate::objects::support::over;

    fn fresh() -> ((), Arc<dyn NamedArtifacts>) {
        ((), Arc::new(over(Arc::new(InMemory::new())).sealed(keys())))
    }

    daa_core::artifacts_conformance!(fresh());
}

mod memory {
    use daa_core::artifact::{MemoryArtifacts, OverBlobs as _};

    use super::*;

    fn fresh() -> ((), Arc<dyn NamedArtifacts>) {
        ((), Arc::new(MemoryArtifacts::new().stored().sealed(keys())))
    }

    daa_core::artifacts_conformance!(fresh());
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Bytes that are found again wherever they are.
fn marked(len: usize) -> Bytes {
    b"a mark in plain sight ".iter().copied().cycle().take(len).collect()
}

#[tokio::test]
async fn nothing_plain_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = FolderArtifacts::open(dir.path()).unwrap().sealed(keys());
    let mut digests = Vec::new();
    for len in [30, 3 * MIB] {
        digests.push(artifacts.put(marked(len)).await.unwrap());
    }
    artifacts.publish(&"model".parse().unwrap(), None, &digests[0]).await.unwrap();
    let files = files(dir.path());
    assert!(files.len() > 4, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(16).any(|it| it == b"a mark in plain "), "{}", file.display());
        let digest = digests[0].to_string();
        assert!(!bytes.windows(64).any(|it| it == digest.as_bytes()), "{}", file.display());
    }
}

#[tokio::test]
async fn keys_are_rotated_and_wrong_ones_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let folder = FolderArtifacts::open(dir.path()).unwrap();
    let old = folder.sealed(keys());
    let digest = old.put(marked(3 * MIB)).await.unwrap();
    let name = "model".parse().unwrap();
    old.publish(&name, None, &digest).await.unwrap();

    let both = KeyRing::new("2027", [2; 32]).unwrap().with_old("2026", [1; 32]).unwrap();
    let both = folder.sealed(Arc::new(both));
    assert!(both.get(&digest).await.unwrap().unwrap() == marked(3 * MIB));
    assert_eq!(both.resolve(&name, &Which::Latest).await.unwrap().unwrap().digest, digest);
    let newer = both.put(marked(40)).await.unwrap();

    let wrong = folder.sealed(Arc::new(KeyRing::new("2026", [9; 32]).unwrap()));
    for (artifacts, digest, unknown) in [(&old, newer, Some("2027")), (&wrong, digest, None)] {
        let got = artifacts.get(&digest).await.unwrap_err();
        match (&got, unknown) {
            (ArtifactError::UnknownKey { key, .. }, Some(id)) => assert_eq!(key, id),
            (ArtifactError::WrongKey { key, .. }, None) => assert_eq!(key, "2026"),
            _ => panic!("{got:?}"),
        }
    }
    let resolved = wrong.resolve(&name, &Which::Latest).await;
    assert!(matches!(resolved, Err(ArtifactError::WrongKey { .. })), "{resolved:?}");
    // Who puts it again seals it with the new key.
    both.put(marked(3 * MIB)).await.unwrap();
    let got = old.get(&digest).await;
    assert!(matches!(got, Err(ArtifactError::UnknownKey { .. })), "{got:?}");
    // What is not sealed is another store.
    assert_eq!(folder.get(&digest).await.unwrap(), None);
    assert_eq!(folder.list().await.unwrap(), []);
}

#[tokio::test]
async fn every_change_and_every_cut_of_what_is_sealed_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = FolderArtifacts::open(dir.path()).unwrap().sealed(keys());
    for len in [0, 200, 65_536, 200_000] {
        let digest = artifacts.put(marked(len)).await.unwrap();
        let text = digest.to_string();
        let file = dir.path().join("sealed").join(&text[..2]).join(&text[2..4]).join(&text);
        let sealed = fs::read(&file).unwrap();
        let cuts = [0, 8, 255, 256, 271, sealed.len() - 1, sealed.len().saturating_sub(65_552), 256 + 65_552];
        for cut in cuts.into_iter().filter(|cut| *cut < sealed.len()) {
            fs::write(&file, &sealed[..cut]).unwrap();
            assert!(artifacts.get(&digest).await.is_err(), "{len} cut at {cut}");
            assert!(artifacts.open(&digest).await.is_err() || artifacts.range(&digest, 0..1).await.is_err());
        }
        // The padding behind the header says nothing.
        let header = 8 + 1 + usize::from(sealed[8]);
        let places = (0..header).chain((256..sealed.len()).step_by(sealed.len() / 40 + 1));
        for at in places.chain([sealed.len() - 1]) {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            fs::write(&file, changed).unwrap();
            assert!(artifacts.get(&digest).await.is_err(), "{len} changed at {at}");
        }
        if len == 200_000 {
            let mut swapped = sealed.clone();
            let (first, second) = (256..256 + 65_552, 256 + 65_552..256 + 2 * 65_552);
            let parts = [&sealed[second.clone()], &sealed[first.clone()]].concat();
            swapped[first.start..second.end].copy_from_slice(&parts);
            fs::write(&file, swapped).unwrap();
            assert!(artifacts.get(&digest).await.is_err());
        }
        artifacts.put(marked(len)).await.unwrap();
        assert_eq!(artifacts.get(&digest).await.unwrap(), Some(marked(len)));
    }
}

#[tokio::test]
async fn a_record_does_not_open_under_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = FolderArtifacts::open(dir.path()).unwrap().sealed(keys());
    for (name, text) in [("good", "good model"), ("evil", "evil model")] {
        let digest = artifacts.put(text.into()).await.unwrap();
        artifacts.publish(&name.parse().unwrap(), None, &digest).await.unwrap();
    }
    let record = |name: &str| files(&dir.path().join("sealed/versions").join(name)).remove(0);
    fs::copy(record("evil"), record("good")).unwrap();
    let resolved = artifacts.resolve(&"good".parse().unwrap(), &Which::Latest).await;
    assert!(matches!(resolved, Err(ArtifactError::WrongKey { .. })), "{resolved:?}");
    let (good, evil) = (Digest::of(b"good model"), Digest::of(b"evil model"));
    let file = |digest: &Digest| {
        let text = digest.to_string();
        dir.path().join("sealed").join(&text[..2]).join(&text[2..4]).join(text)
    };
    fs::copy(file(&evil), file(&good)).unwrap();
    let got = artifacts.get(&good).await;
    assert!(matches!(got, Err(ArtifactError::Corrupt { .. })), "{got:?}");
}
