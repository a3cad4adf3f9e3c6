//! Artefacts put and read, ours beside the bare `object_store` with a BLAKE3 digest of the same bytes: on the same local
//! file system, in the same parts.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use daa_core::artifact::Artifacts;
use daa_core::digest::Digest;
use daa_store::object::{ObjectArtifacts, ObjectOptions};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};

use crate::line::{Better, Line};

const TURNS: usize = 7;
const PART: usize = 8 << 20;
/// Name, bytes of one, how many.
const SHAPES: [(&str, usize, usize); 4] =
    [("64 KiB", 64 << 10, 200), ("1 MiB", 1 << 20, 100), ("16 MiB", 16 << 20, 10), ("256 MiB", 256 << 20, 1)];

pub(crate) fn run() -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut lines = Vec::new();
    for shape in SHAPES {
        lines.extend(runtime.block_on(side_by_side(shape)));
    }
    lines
}

async fn side_by_side((name, len, count): (&str, usize, usize)) -> [Line; 2] {
    let mut times: [Vec<f64>; 4] = Default::default();
    for turn in 0..TURNS {
        let (ours_in, theirs_in) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let local = |dir: &tempfile::TempDir| {
            Arc::new(LocalFileSystem::new_with_prefix(dir.path()).expect("a store")) as Arc<dyn ObjectStore>
        };
        let ours = ObjectArtifacts::new(local(&ours_in), &ObjectOptions::default());
        let theirs = local(&theirs_in);
        let bytes: Vec<Bytes> = (0..count).map(|number| content(len, turn * count + number)).collect();
        let sides = if turn % 2 == 0 { [true, false] } else { [false, true] };
        for is_ours in sides {
            let side = usize::from(!is_ours) * 2;
            let began = Instant::now();
            let mut digests = Vec::new();
            for bytes in &bytes {
                digests.push(if is_ours {
                    ours.put(bytes.clone()).await.expect("a put")
                } else {
                    put(&*theirs, bytes).await
                });
            }
            times[side].push(began.elapsed().as_secs_f64());
            let began = Instant::now();
            for digest in &digests {
                let got = if is_ours {
                    ours.get(digest).await.expect("a read").expect("an artefact")
                } else {
                    get(&*theirs, digest).await
                };
                assert_eq!(got.len(), len);
            }
            times[side + 1].push(began.elapsed().as_secs_f64());
        }
    }
    let rate = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (len * count) as f64 / (1 << 20) as f64 / times[TURNS / 2]
    };
    let [ours_put, ours_get, their_put, their_get] = &mut times;
    let line = |what: &str, ours, theirs| {
        Line::alone("artefacts", format!("{what} of {name}"), "MiB/s", ours).beside(
            "object_store + blake3",
            theirs,
            Better::Higher,
        )
    };
    [line("put", rate(ours_put), rate(their_put)), line("get", rate(ours_get), rate(their_get))]
}

fn content(len: usize, seed: usize) -> Bytes {
    let mut state = seed as u64 + 1;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// What one would write by hand: the address first, then the bytes under it.
async fn put(store: &dyn ObjectStore, bytes: &Bytes) -> Digest {
    let digest = Digest::of(bytes);
    let path = Path::from(digest.to_string());
    if bytes.len() <= PART {
        store.put(&path, bytes.clone().into()).await.expect("a put");
    } else {
        let upload = store.put_multipart(&path).await.expect("an upload");
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        for at in (0..bytes.len()).step_by(PART) {
            upload.wait_for_capacity(4).await.expect("a part");
            upload.put(bytes.slice(at..bytes.len().min(at + PART)));
        }
        upload.finish().await.expect("an upload");
    }
    digest
}

async fn get(store: &dyn ObjectStore, digest: &Digest) -> Bytes {
    let got = store.get(&Path::from(digest.to_string())).await.expect("a read");
    let bytes = got.bytes().await.expect("bytes");
    assert_eq!(Digest::of(&bytes), *digest);
    bytes
}
