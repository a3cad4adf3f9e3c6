//! A disk that is really full. Needs the right to mount a tmpfs, and says so where it is missing.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

use daa_core::artifact::{ArtifactError, Artifacts};
use daa_core::event::{AppendError, EventStore};
use daa_store::folder::FolderArtifacts;
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use tempfile::TempDir;

use crate::support::{append, everything, of_size, small};

/// A file system of its own, of four megabytes.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(dir.path());
        match mount.output() {
            Ok(done) if done.status.success() => Some(Self { dir }),
            other => {
                eprintln!("skipped: a tmpfs cannot be mounted here: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all room but so much.
    fn fill_but(&self, left: u64) -> PathBuf {
        let ballast = self.path().join("ballast");
        let free = |path: &Path| {
            let df = Command::new("df").args(["--output=avail", "-B1"]).arg(path).output().unwrap();
            let out = String::from_utf8(df.stdout).unwrap();
            out.lines().last().unwrap().trim().parse::<u64>().unwrap()
        };
        std::fs::write(&ballast, vec![0; (free(self.path()) - left) as usize]).unwrap();
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_and_takes_them_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.path().join("events.db");
    let store = SqliteEventStore::open(&path, SqliteOptions::default()).unwrap();
    for tag in 0..10 {
        append(&store, small(tag)).await;
    }
    let ballast = disk.fill_but(200 << 10);
    let mut written = 10;
    let error = loop {
        match store.append(of_size(written, 8_000)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "the disk is not full");
    };
    assert!(matches!(error, AppendError::Full { .. }), "{error:?}");
    assert_eq!(everything(&store).await.len() as u64, 3 * written);
    assert!(matches!(store.append(of_size(written, 8_000)).await, Err(AppendError::Full { .. })));
    std::fs::remove_file(ballast).unwrap();
    append(&store, of_size(written, 8_000)).await;
    store.close().await;
    let store = SqliteEventStore::open(&path, SqliteOptions::default()).unwrap();
    assert_eq!(everything(&store).await.len() as u64, 3 * written + 3);
}

#[tokio::test]
async fn a_full_disk_refuses_artefacts_and_leaves_nothing_of_them() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = FolderArtifacts::open(disk.path().join("artifacts")).unwrap();
    let kept = store.put(vec![1; 100_000].into()).await.unwrap();
    let large = vec![2; 5_000_000];
    for _ in 0..3 {
        let refused = store.put(large.clone().into()).await;
        assert!(matches!(refused, Err(ArtifactError::Full { .. })), "{refused:?}");
        assert_eq!(store.list().await.unwrap(), [kept]);
    }
    // The room is free again.
    store.put(vec![3; 2_000_000].into()).await.unwrap();
    assert_eq!(std::fs::read_dir(store.path().join("unfinished")).unwrap().count(), 0);
}
