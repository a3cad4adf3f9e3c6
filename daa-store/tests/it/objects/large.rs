//! Streams of any length take the same memory. Each is put and read in a process of its own, whose peak is told by the
//! operating system. `DAA_TEST_LARGE=1` makes the longest 1 GiB.

use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use daa_core::artifact::{Artifacts, ArtifactsExt as _};
use daa_core::digest::Digest;
use daa_store::cipher::KeyRing;
use daa_store::folder::FolderArtifacts;
use futures_util::{TryStreamExt as _, stream};

use super::support::{local, over};

const MIB: u64 = 1 << 20;
const ENGINE: &str = "DAA_TEST_ENGINE";
const SIZE: &str = "DAA_TEST_SIZE";

fn peak(engine: &str, size: u64) -> u64 {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["objects::large::one_stream", "--exact", "--ignored", "--nocapture"])
        .env(ENGINE, engine)
        .env(SIZE, size.to_string())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{told}{}", String::from_utf8_lossy(&child.stderr));
    let peak = told.split_whitespace().skip_while(|word| *word != "peak").nth(1);
    peak.and_then(|peak| peak.parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

#[test]
fn the_memory_of_a_stream_does_not_grow_with_its_length() {
    let long = if std::env::var_os("DAA_TEST_LARGE").is_some() { 1_024 * MIB } else { 256 * MIB };
    for engine in ["folder", "object", "sealed"] {
        let (less, more) = (peak(engine, 96 * MIB), peak(engine, long));
        // Which of the bounded buffers are full at the peak is chance.
        assert!(more < less + (long - 96 * MIB) / 4, "{engine}: {less} bytes, then {more}");
        // Parts under way, and what the allocator keeps of earlier ones.
        assert!(more < 256 * MIB, "{engine}: {more}");
    }
}

#[tokio::test]
#[ignore = "run by the_memory_of_a_stream_does_not_grow_with_its_length"]
async fn one_stream() {
    let size: u64 = std::env::var(SIZE).unwrap().parse().unwrap();
    let (dir, store) = local();
    let artifacts: Box<dyn Artifacts> = match std::env::var(ENGINE).unwrap().as_str() {
        "folder" => Box::new(FolderArtifacts::open(dir.path()).unwrap()),
        "object" => Box::new(over(store)),
        _ => Box::new(over(store).sealed(Arc::new(KeyRing::new("key", [7; 32]).unwrap()))),
    };
    let parts = (0..size / MIB).map(|number| Bytes::from(vec![number as u8; MIB as usize]));
    let parts = stream::iter(parts.map(Ok::<_, std::io::Error>));
    let digest = artifacts.put_stream(parts).await.unwrap();
    let mut parts = artifacts.stream(&digest).await.unwrap().unwrap();
    let (mut read, mut last) = (0, Bytes::new());
    while let Some(part) = parts.try_next().await.unwrap() {
        read += part.len() as u64;
        last = part;
    }
    assert_eq!(read, size);
    let tail = artifacts.range(&digest, size - 5..size).await.unwrap().unwrap();
    assert_eq!(Digest::of(&last[last.len() - 5..]), Digest::of(&tail));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    println!("peak {}", kib * 1_024);
}
