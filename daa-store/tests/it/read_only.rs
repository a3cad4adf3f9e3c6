//! A directory that cannot be written to.
#![cfg(unix)]

use std::env;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use daa_store::data_dir::DataDir;
use daa_store::folder::FolderArtifacts;
use daa_store::open::OpenError;
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};

use crate::support::{append, everything, small};

const DIR: &str = "DAA_STORE_READ_ONLY_DIR";
/// Nobody, by convention.
const NOBODY: u32 = 65_534;

/// Not a test by itself: root may write everywhere, so a process without its rights looks.
#[test]
fn finds_everything_read_only_when_asked_to() {
    let Ok(dir) = env::var(DIR) else { return };
    for name in ["empty", "data", "data/artifacts", "missing"] {
        let dir = Path::new(&dir).join(name);
        let refused = DataDir::open(&dir).map(|_| ()).unwrap_err();
        let foreign = name == "data/artifacts" && matches!(refused, OpenError::Foreign { .. });
        assert!(foreign || matches!(refused, OpenError::ReadOnly { .. }), "{}: {refused:?}", dir.display());
    }
    let data = Path::new(&dir).join("data");
    let refused = SqliteEventStore::open(data.join("events.db"), SqliteOptions::default()).unwrap_err();
    assert!(matches!(refused, OpenError::ReadOnly { .. }), "{refused:?}");
    let refused = FolderArtifacts::open(data.join("artifacts")).unwrap_err();
    assert!(matches!(refused, OpenError::ReadOnly { .. }), "{refused:?}");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_read_only_directory_is_refused_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, data) = (dir.path().join("empty"), dir.path().join("data"));
    fs::create_dir(&empty).unwrap();
    let store = DataDir::open(&data).unwrap();
    append(&**store.events(), small(1)).await;
    store.close().await;
    let all = [dir.path(), &empty, &data, &data.join("artifacts")];
    all.iter().for_each(|path| set_mode(path, 0o555));
    // A copy, because the build folder may be one that only root can look into.
    let place = tempfile::tempdir().unwrap();
    set_mode(place.path(), 0o755);
    let program = place.path().join("looks");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    set_mode(&program, 0o755);
    let mut child = Command::new(&program);
    child
        .args(["--exact", "read_only::finds_everything_read_only_when_asked_to", "--nocapture"])
        .env(DIR, dir.path());
    if File::create(empty.join("probe")).is_ok() {
        fs::remove_file(empty.join("probe")).unwrap();
        child.uid(NOBODY);
    }
    // The copy is busy while a child that another test forks still holds it open.
    let ended = loop {
        match child.output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            ended => break ended,
        }
    };
    all.iter().for_each(|path| set_mode(path, 0o755));
    let ended = ended.expect("the test binary must be readable for everybody when the tests run as root");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(String::from_utf8_lossy(&ended.stdout).contains("1 passed"));
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    let data = DataDir::open(&data).unwrap();
    assert_eq!(everything(&**data.events()).await.len(), 3);
}

#[tokio::test]
async fn a_read_only_database_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    SqliteEventStore::open(&path, SqliteOptions::default()).unwrap();
    set_mode(&path, 0o444);
    if File::options().write(true).open(&path).is_ok() {
        eprintln!("skipped: this user writes to read-only files");
        return;
    }
    let refused = SqliteEventStore::open(&path, SqliteOptions::default()).unwrap_err();
    assert!(matches!(refused, OpenError::ReadOnly { .. }), "{refused:?}");
}
