//! Collections.

use std::error::Error as StdError;
use std::time::Duration;

use async_trait::async_trait;

use super::Store;
use crate::artifact::{
    ArtifactReader, ArtifactsExt as _, CollectError, NothingMore, Reachability, ReferenceName, Tag, Which,
};
use crate::digest::Digest;

type Cause = Box<dyn StdError + Send + Sync>;

const HOUR: Duration = Duration::from_secs(3_600);

/// Roots, and artefacts that name others: each line that is a digest.
#[derive(Debug, Default)]
struct Lines {
    roots: Vec<Digest>,
    fails: bool,
}

#[async_trait]
impl Reachability for Lines {
    async fn roots(&self) -> Result<Vec<Digest>, Cause> {
        Ok(self.roots.clone())
    }

    async fn named_by(&self, artifact: &dyn ArtifactReader) -> Result<Vec<Digest>, Cause> {
        if self.fails {
            return Err("not today".into());
        }
        let bytes = artifact.read(0..artifact.info().size).await?;
        Ok(String::from_utf8_lossy(&bytes).lines().filter_map(|line| line.parse().ok()).collect())
    }
}

async fn put(store: &Store, text: impl Into<String>) -> Digest {
    store.put(text.into().into()).await.unwrap()
}

async fn publish(store: &Store, name: &str, digest: &Digest) {
    store.publish(&name.parse().unwrap(), None, digest).await.unwrap();
}

fn sorted(mut digests: Vec<Digest>) -> Vec<Digest> {
    digests.sort_unstable();
    digests
}

/// By versions, by roots, and by what those name, also around in circles of names.
pub async fn a_collection_keeps_what_is_reachable_and_removes_the_rest(store: Store) {
    let leaf = put(&store, "leaf").await;
    let branch = put(&store, format!("{leaf}\nand more")).await;
    let tree = put(&store, format!("tree\n{branch}\n{leaf}")).await;
    publish(&store, "tree", &tree).await;
    let below = put(&store, "below a root").await;
    let root = put(&store, below.to_string()).await;
    let large = store.put(vec![7; 3 << 20].into()).await.unwrap();
    put(&store, format!("garbage that names\n{tree}")).await;
    let garbage = store.put(vec![8; 3 << 20].into()).await.unwrap();
    let reachable = Lines { roots: vec![root, large], fails: false };
    let collected = store.collect(&reachable, Duration::ZERO).await.unwrap();
    assert_eq!((collected.examined, collected.removed), (8, 2));
    assert!(collected.freed > 3 << 20, "{collected:?}");
    assert_eq!(store.list().await.unwrap(), sorted(vec![leaf, branch, tree, below, root, large]));
    assert_eq!(store.get(&garbage).await.unwrap(), None);
    assert_eq!(store.range(&large, 0..5).await.unwrap().unwrap(), [7; 5][..]);

    let tree_name: ReferenceName = "tree".parse().unwrap();
    let version = store.resolve(&tree_name, &Which::Latest).await.unwrap().unwrap().version;
    store.retire(&tree_name, version).await.unwrap();
    let reachable = Lines { roots: vec![branch], fails: false };
    store.collect(&reachable, Duration::ZERO).await.unwrap();
    assert_eq!(store.list().await.unwrap(), sorted(vec![leaf, branch]));
}

/// A put that is not published yet is safe.
pub async fn a_collection_keeps_what_is_young_with_what_it_names(store: Store) {
    let first = put(&store, "first").await;
    let second = put(&store, first.to_string()).await;
    let collected = store.collect(&Lines::default(), HOUR).await.unwrap();
    assert_eq!((collected.examined, collected.removed), (2, 0));
    assert_eq!(store.list().await.unwrap(), sorted(vec![first, second]));
}

/// Whoever cannot tell what is needed loses nothing.
pub async fn a_collection_that_is_not_told_what_is_reachable_removes_nothing(store: Store) {
    let kept = put(&store, "kept").await;
    publish(&store, "kept", &kept).await;
    let garbage = put(&store, "garbage").await;
    let failing = Lines { fails: true, ..Lines::default() };
    let failed = store.collect(&failing, Duration::ZERO).await;
    assert!(matches!(failed, Err(CollectError::Reachability { .. })), "{failed:?}");
    assert_eq!(store.list().await.unwrap(), sorted(vec![kept, garbage]));
}

/// Nothing hides what is lost.
pub async fn a_collection_tells_what_is_missing(store: Store) {
    let lost = put(&store, "lost").await;
    publish(&store, "lost", &lost).await;
    store.remove(&lost).await.unwrap();
    let collected = store.collect(&NothingMore, Duration::ZERO).await.unwrap();
    assert_eq!(collected.missing, [lost]);
}

/// The traces that they and names leave are removed too.
pub async fn collections_follow_each_other_and_leave_names_as_they_are(store: Store) {
    let (name, tag): (ReferenceName, Tag) = ("model".parse().unwrap(), "stable".parse().unwrap());
    let mut latest = None;
    for at in 0..5 {
        let digest = put(&store, format!("version {at}")).await;
        let version = store.publish(&name, latest, &digest).await.unwrap();
        store.tag(&name, &tag, latest, Some(version)).await.unwrap();
        if let Some(old) = latest {
            store.retire(&name, old).await.unwrap();
        }
        latest = Some(version);
        for _ in 0..2 {
            store.collect(&NothingMore, Duration::ZERO).await.unwrap();
            assert_eq!(store.list().await.unwrap(), [digest]);
            for which in [Which::Latest, Which::Tag(tag.clone())] {
                let found = store.resolve(&name, &which).await.unwrap().unwrap();
                assert_eq!((Some(found.version), found.digest), (latest, digest));
            }
        }
    }
    assert_eq!(store.versions(&name, None, 100).await.unwrap().len(), 1);
    assert_eq!(store.names(None, 100).await.unwrap(), [name]);
}
