//! Streams, ranges and pages.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Store;
use crate::artifact::{ArtifactError, ArtifactsExt as _};
use crate::digest::Digest;

const GROUP: usize = 1 << 20;

fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| (at % 251 + at / GROUP) as u8).collect()
}

/// Sizes about the borders of what is verified, sealed and read in one piece.
fn sizes() -> Vec<usize> {
    let mut sizes = vec![0, 1, 1_000];
    for border in [64 << 10, GROUP, 4 * GROUP, 8 * GROUP] {
        sizes.extend([border - 1, border, border + 1]);
    }
    sizes
}

fn parts(bytes: &Bytes, len: usize) -> Vec<Result<Bytes, ArtifactError>> {
    (0..bytes.len()).step_by(len).map(|at| Ok(bytes.slice(at..bytes.len().min(at + len)))).collect()
}

/// How the bytes are cut does not matter.
pub async fn a_stream_and_whole_bytes_are_the_same_artefact(store: Store) {
    for size in sizes() {
        let bytes = bytes(size);
        let digest = Digest::of(&bytes);
        for len in [99_991, 3 * GROUP] {
            let put = store.put_stream(stream::iter(parts(&bytes, len))).await.unwrap();
            assert_eq!(put, digest, "{size} in parts of {len}");
            assert_eq!(store.get(&digest).await.unwrap().map(|it| it == bytes), Some(true), "{size}");
        }
        assert_eq!(store.put(bytes).await.unwrap(), digest, "{size}");
        assert!(store.remove(&digest).await.unwrap());
        assert!(store.open(&digest).await.unwrap().is_none(), "{size}");
    }
    assert_eq!(store.list().await.unwrap(), []);
}

/// What was written whole is read as a stream.
pub async fn a_stream_comes_back_in_its_order(store: Store) {
    assert!(store.stream(&Digest::of(b"never put")).await.unwrap().is_none());
    for size in sizes() {
        let bytes = bytes(size);
        let digest = store.put(bytes.clone()).await.unwrap();
        let parts: Vec<Bytes> = store.stream(&digest).await.unwrap().unwrap().try_collect().await.unwrap();
        assert!(parts.concat() == bytes, "{size}");
        assert!(parts.iter().all(|part| part.len() <= 16 * GROUP), "{size}");
    }
}

/// Any part of the bytes can be had by itself.
pub async fn ranges_are_those_of_the_bytes(store: Store) {
    for size in sizes() {
        let bytes = bytes(size);
        let digest = store.put(bytes.clone()).await.unwrap();
        let reader = store.open(&digest).await.unwrap().unwrap();
        let mut places = vec![0, 1, size / 2, (64 << 10) - 1, 64 << 10, GROUP - 1, GROUP, GROUP + 1];
        places.extend([2 * GROUP, size.saturating_sub(1), size]);
        places.retain(|at| *at <= size);
        for (&start, &end) in places.iter().flat_map(|start| places.iter().map(move |end| (start, end))) {
            if start > end {
                continue;
            }
            let range = start as u64..end as u64;
            let found = reader.read(range.clone()).await.unwrap();
            assert!(found == bytes[start..end], "{range:?} of {size}");
        }
        let (start, end) = (size / 3, size - size / 3);
        let streamed: Vec<Bytes> = reader.stream(start as u64..end as u64).try_collect().await.unwrap();
        assert!(streamed.concat() == bytes[start..end], "{size}");
    }
}

/// What the artefact does not have is an error that names it.
pub async fn a_range_outside_is_refused(store: Store) {
    let digest = store.put(bytes(1_000)).await.unwrap();
    #[expect(clippy::reversed_empty_ranges, reason = "refused")]
    for range in [0..1_001, 1_000..1_001, 2_000..2_000, 5..4, 0..u64::MAX] {
        let refused = store.range(&digest, range.clone()).await;
        let Err(ArtifactError::OutOfRange { start, end, size: 1_000 }) = refused else {
            panic!("{range:?}: {refused:?}");
        };
        assert_eq!(start..end, range);
        let streamed: Vec<_> = store.open(&digest).await.unwrap().unwrap().stream(range).collect().await;
        assert!(matches!(streamed[..], [Err(ArtifactError::OutOfRange { .. })]), "{streamed:?}");
    }
    assert_eq!(store.range(&Digest::of(b"never put"), 0..1).await.unwrap(), None);
}

/// Nothing is seen of it, before or after.
pub async fn a_writer_that_is_dropped_leaves_nothing(store: Store) {
    let mut writer = store.writer().await.unwrap();
    for part in parts(&bytes(9 * GROUP), GROUP) {
        writer.write(part.unwrap()).await.unwrap();
        assert_eq!(store.list().await.unwrap(), []);
    }
    drop(writer);
    assert_eq!(store.list().await.unwrap(), []);
}

/// The error is that of the source.
pub async fn a_source_that_fails_leaves_nothing(store: Store) {
    let part = Ok(bytes(3 * GROUP));
    let parts = [part.clone(), part, Err("the peer has hung up")];
    let failed = store.put_stream(stream::iter(parts)).await.unwrap_err();
    let ArtifactError::Source { source } = failed else { panic!("{failed:?}") };
    assert_eq!(source.to_string(), "the peer has hung up");
    assert_eq!(store.list().await.unwrap(), []);
}

/// Also of the same bytes.
pub async fn concurrent_writers_do_not_disturb_each_other(store: Store) {
    let writers: Vec<_> = (0..6)
        .map(|at| {
            let store = store.clone();
            tokio::spawn(async move {
                let bytes = bytes(2 * GROUP + at % 3);
                (store.put_stream(stream::iter(parts(&bytes, 300_000))).await, bytes)
            })
        })
        .collect();
    for writer in writers {
        let (digest, bytes) = writer.await.unwrap();
        assert!(store.get(&digest.unwrap()).await.unwrap().unwrap() == bytes);
    }
    assert_eq!(store.list().await.unwrap().len(), 3);
}

/// Every artefact is in one page.
pub async fn pages_are_complete_and_in_order(store: Store) {
    assert_eq!(store.page(None, 5).await.unwrap(), []);
    let mut put = Vec::new();
    for at in 0..23_usize {
        put.push((store.put(bytes(at)).await.unwrap(), at as u64));
    }
    put.sort_unstable();
    for limit in [1, 5, 23, 1_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.page(after.as_ref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            after = page.last().map(|info| info.digest);
            let is_last = page.len() < limit;
            found.extend(page.into_iter().map(|info| (info.digest, info.size)));
            if is_last {
                break;
            }
        }
        assert_eq!(found, put, "{limit}");
    }
    let between = put[10].0;
    let next = store.page(Some(&between), 1).await.unwrap();
    assert_eq!(next[0].digest, put[11].0);
    assert_eq!(store.page(None, 0).await.unwrap(), []);
}

/// The list and the reader tell the same.
pub async fn tells_size_and_age_and_a_second_put_is_as_young_as_a_first(store: Store) {
    for size in [0, 7, 2 * GROUP, 9 * GROUP] {
        let digest = store.put(bytes(size)).await.unwrap();
        let first = store.open(&digest).await.unwrap().unwrap().info().clone();
        assert_eq!((first.digest, first.size), (digest, size as u64));
        store.put(bytes(size)).await.unwrap();
        let again = store.open(&digest).await.unwrap().unwrap().info().clone();
        assert!(again.created >= first.created);
        assert!(store.page(None, 100).await.unwrap().contains(&again));
    }
}
