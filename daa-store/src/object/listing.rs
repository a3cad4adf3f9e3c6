//! Pages of objects, also where they come in no order.

use std::collections::BinaryHeap;

use daa_core::artifact::ArtifactError;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::error::failed;

/// The first `limit` objects under a prefix and behind `after`, by their names.
pub(super) async fn page(
    store: &dyn ObjectStore,
    under: &Path,
    after: Option<&Path>,
    limit: usize,
    in_order: bool,
) -> Result<Vec<ObjectMeta>, ArtifactError> {
    let mut listed = match after {
        Some(after) => store.list_with_offset(Some(under), after),
        None => store.list(Some(under)),
    };
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut first: BinaryHeap<ByName> = BinaryHeap::new();
    while let Some(meta) = listed.try_next().await.map_err(failed)? {
        if after.is_some_and(|after| meta.location <= *after) {
            continue;
        }
        first.push(ByName(meta));
        if first.len() > limit {
            first.pop();
        }
        if in_order && first.len() == limit {
            break;
        }
    }
    Ok(first.into_sorted_vec().into_iter().map(|it| it.0).collect())
}

#[derive(Debug)]
struct ByName(ObjectMeta);

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.location == other.0.location
    }
}

impl Eq for ByName {}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.location.as_ref().cmp(other.0.location.as_ref())
    }
}
