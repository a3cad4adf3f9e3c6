//! Names, versions and tags.

use super::Store;
use crate::artifact::{ArtifactVersion, Reference, ReferenceError, ReferenceName, Tag, Which};
use crate::digest::Digest;

fn name(text: &str) -> ReferenceName {
    text.parse().unwrap()
}

fn version(number: u64) -> Option<ArtifactVersion> {
    ArtifactVersion::new(number)
}

async fn put(store: &Store, text: &str) -> Digest {
    store.put(text.to_owned().into()).await.unwrap()
}

async fn publish(store: &Store, name: &ReferenceName, texts: &[&str]) {
    for (text, number) in texts.iter().zip(1..) {
        let digest = put(store, text).await;
        let latest = ArtifactVersion::new(number - 1);
        assert_eq!(store.publish(name, latest, &digest).await.unwrap().get(), number);
    }
}

async fn at(store: &Store, name: &ReferenceName, which: Which) -> Option<(u64, Digest)> {
    let found: Option<Reference> = store.resolve(name, &which).await.unwrap();
    found.map(|found| {
        assert_eq!(found.name, *name);
        (found.version.get(), found.digest)
    })
}

/// Each version stays what it is.
pub async fn versions_count_up_and_the_latest_follows(store: Store) {
    let model = name("models/small");
    assert_eq!(at(&store, &model, Which::Latest).await, None);
    publish(&store, &model, &["one", "two", "three"]).await;
    assert_eq!(at(&store, &model, Which::Latest).await, Some((3, Digest::of(b"three"))));
    for (number, text) in [(1, "one"), (2, "two"), (3, "three")] {
        let which = Which::Version(version(number).unwrap());
        assert_eq!(at(&store, &model, which).await, Some((number, Digest::of(text.as_bytes()))));
    }
    assert_eq!(at(&store, &model, Which::Version(version(4).unwrap())).await, None);
    // The same artefact may have several names, and several versions.
    let other = name("models/other");
    store.publish(&other, None, &Digest::of(b"one")).await.unwrap();
    store.publish(&other, version(1), &Digest::of(b"one")).await.unwrap();
    assert_eq!(at(&store, &other, Which::Latest).await, Some((2, Digest::of(b"one"))));
}

/// Who does not know the latest version is told it.
pub async fn publishing_behind_a_stale_version_is_refused(store: Store) {
    let model = name("model");
    publish(&store, &model, &["one", "two"]).await;
    let digest = put(&store, "three").await;
    for latest in [None, version(1), version(3)] {
        let refused = store.publish(&model, latest, &digest).await;
        let Err(ReferenceError::Stale { expected, found, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((expected, found), (latest, version(2)));
    }
    assert_eq!(at(&store, &model, Which::Latest).await, Some((2, Digest::of(b"two"))));
    let refused = store.publish(&name("other"), version(1), &digest).await;
    assert!(matches!(refused, Err(ReferenceError::Stale { found: None, .. })), "{refused:?}");
}

/// The others are told that they came too late.
pub async fn of_concurrent_publications_one_succeeds(store: Store) {
    let model = name("model");
    for round in 0..4 {
        let publications: Vec<_> = (0..6)
            .map(|at| {
                let (store, model) = (store.clone(), model.clone());
                tokio::spawn(async move {
                    let digest = put(&store, &format!("{round} {at}")).await;
                    (store.publish(&model, version(round), &digest).await, digest)
                })
            })
            .collect();
        let mut published = Vec::new();
        for publication in publications {
            match publication.await.unwrap() {
                (Ok(version), digest) => published.push((version.get(), digest)),
                (Err(ReferenceError::Stale { .. }), _) => {}
                (Err(error), _) => panic!("{error:?}"),
            }
        }
        assert_eq!(published.len(), 1);
        assert_eq!(published[0].0, round + 1);
        assert_eq!(at(&store, &model, Which::Latest).await, Some(published[0]));
    }
}

/// A name never names nothing.
pub async fn what_is_not_there_is_not_published(store: Store) {
    let digest = Digest::of(b"never put");
    let refused = store.publish(&name("model"), None, &digest).await;
    let Err(ReferenceError::NoArtifact { digest: named }) = refused else { panic!("{refused:?}") };
    assert_eq!(named, digest);
    assert_eq!(at(&store, &name("model"), Which::Latest).await, None);
}

/// The latest is then the one before it.
pub async fn a_retired_version_is_gone_and_its_number_is_not_used_again(store: Store) {
    let model = name("model");
    publish(&store, &model, &["one", "two", "three"]).await;
    assert!(store.retire(&model, version(3).unwrap()).await.unwrap());
    assert!(!store.retire(&model, version(3).unwrap()).await.unwrap());
    assert!(!store.retire(&model, version(9).unwrap()).await.unwrap());
    assert_eq!(at(&store, &model, Which::Version(version(3).unwrap())).await, None);
    assert_eq!(at(&store, &model, Which::Latest).await, Some((2, Digest::of(b"two"))));
    let digest = put(&store, "four").await;
    assert_eq!(store.publish(&model, version(2), &digest).await.unwrap(), version(4).unwrap());
    for number in [1, 2, 4] {
        assert!(store.retire(&model, version(number).unwrap()).await.unwrap());
    }
    assert_eq!(at(&store, &model, Which::Latest).await, None);
    assert_eq!(store.publish(&model, None, &digest).await.unwrap(), version(5).unwrap());
}

/// A tag is moved by those who know where it is.
pub async fn tags_move_from_where_they_are(store: Store) {
    let (model, stable): (_, Tag) = (name("model"), "stable".parse().unwrap());
    publish(&store, &model, &["one", "two"]).await;
    assert_eq!(at(&store, &model, Which::Tag(stable.clone())).await, None);
    store.tag(&model, &stable, None, version(1)).await.unwrap();
    assert_eq!(at(&store, &model, Which::Tag(stable.clone())).await, Some((1, Digest::of(b"one"))));
    for from in [None, version(2)] {
        let refused = store.tag(&model, &stable, from, version(2)).await;
        let Err(ReferenceError::Moved { expected, found, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((expected, found), (from, version(1)));
    }
    let refused = store.tag(&model, &stable, version(1), version(3)).await;
    assert!(matches!(refused, Err(ReferenceError::NoVersion { .. })), "{refused:?}");
    store.tag(&model, &stable, version(1), version(2)).await.unwrap();
    assert_eq!(at(&store, &model, Which::Tag(stable.clone())).await, Some((2, Digest::of(b"two"))));
    let next: Tag = "next".parse().unwrap();
    store.tag(&model, &next, None, version(2)).await.unwrap();
    let tags = [(next, version(2).unwrap()), (stable.clone(), version(2).unwrap())];
    assert_eq!(store.tags(&model).await.unwrap(), tags);
    store.tag(&model, &stable, version(2), None).await.unwrap();
    assert_eq!(at(&store, &model, Which::Tag(stable.clone())).await, None);
    assert_eq!(store.tags(&model).await.unwrap().len(), 1);
    store.tag(&model, &stable, None, version(1)).await.unwrap();
    assert_eq!(at(&store, &model, Which::Tag(stable)).await, Some((1, Digest::of(b"one"))));
}

/// The others are told that it has moved.
pub async fn of_concurrent_moves_of_a_tag_one_succeeds(store: Store) {
    let (model, tag): (_, Tag) = (name("model"), "stable".parse().unwrap());
    publish(&store, &model, &["one", "two", "three", "four"]).await;
    let moves: Vec<_> = (1..=4)
        .map(|to| {
            let (store, model, tag) = (store.clone(), model.clone(), tag.clone());
            tokio::spawn(async move { (to, store.tag(&model, &tag, None, version(to)).await) })
        })
        .collect();
    let mut moved = Vec::new();
    for tried in moves {
        match tried.await.unwrap() {
            (to, Ok(())) => moved.push(to),
            (_, Err(ReferenceError::Moved { .. })) => {}
            (_, Err(error)) => panic!("{error:?}"),
        }
    }
    assert_eq!(moved.len(), 1);
    assert_eq!(at(&store, &model, Which::Tag(tag)).await.map(|it| it.0), Some(moved[0]));
}

/// A tag is never at nothing.
pub async fn a_version_with_a_tag_is_not_retired(store: Store) {
    let (model, tag): (_, Tag) = (name("model"), "stable".parse().unwrap());
    publish(&store, &model, &["one", "two"]).await;
    store.tag(&model, &tag, None, version(1)).await.unwrap();
    let refused = store.retire(&model, version(1).unwrap()).await;
    let Err(ReferenceError::Tagged { tag: named, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(named, tag);
    store.tag(&model, &tag, version(1), version(2)).await.unwrap();
    assert!(store.retire(&model, version(1).unwrap()).await.unwrap());
}

/// Each name has its own versions and tags.
pub async fn names_do_not_mix_with_those_that_look_alike(store: Store) {
    let texts = ["a", "a/b", "a-b", "a.b", "a/b/c", "ab", "a_b", "a0"];
    for (text, count) in texts.into_iter().zip(1..) {
        let model = name(text);
        for number in 1..=count {
            let digest = put(&store, &format!("{text} {number}")).await;
            store.publish(&model, version(number - 1), &digest).await.unwrap();
        }
        store.tag(&model, &"first".parse().unwrap(), None, version(1)).await.unwrap();
    }
    for (text, count) in texts.into_iter().zip(1..) {
        let latest = at(&store, &name(text), Which::Latest).await;
        assert_eq!(latest, Some((count, Digest::of(format!("{text} {count}").as_bytes()))));
        assert_eq!(store.versions(&name(text), None, 100).await.unwrap().len() as u64, count);
        let first = at(&store, &name(text), Which::Tag("first".parse().unwrap())).await;
        assert_eq!(first, Some((1, Digest::of(format!("{text} 1").as_bytes()))));
    }
}

/// Every one is in one page.
pub async fn names_and_versions_come_in_pages(store: Store) {
    let mut names: Vec<_> = (0..7).map(|at| name(&format!("name/{at}"))).collect();
    for it in &names {
        publish(&store, it, &["one"]).await;
    }
    for limit in [1, 3, 7, 100] {
        let mut found: Vec<ReferenceName> = Vec::new();
        loop {
            let page = store.names(found.last(), limit).await.unwrap();
            let is_last = page.len() < limit;
            found.extend(page);
            if is_last {
                break;
            }
        }
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(found, names, "{limit}");
    }
    let model = name("model");
    publish(&store, &model, &["1", "2", "3", "4", "5", "6"]).await;
    store.retire(&model, version(4).unwrap()).await.unwrap();
    for limit in [1, 2, 5, 100] {
        let mut found: Vec<u64> = Vec::new();
        loop {
            let before = found.last().copied().and_then(ArtifactVersion::new);
            let page = store.versions(&model, before, limit).await.unwrap();
            let is_last = page.len() < limit;
            found.extend(page.iter().map(|it| it.version.get()));
            if is_last {
                break;
            }
        }
        assert_eq!(found, [6, 5, 3, 2, 1], "{limit}");
    }
}
