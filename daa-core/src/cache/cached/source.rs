//! Where values come from.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;

use async_trait::async_trait;

use crate::id::CacheTag;

/// What a source says when it fails.
pub type SourceError = Box<dyn StdError + Send + Sync>;

/// Where values come from: the truth, and slower than a cache.
#[async_trait]
pub trait Source<K, V>: Send + Sync + fmt::Debug + 'static {
    /// The value of `key`, or that there is none.
    ///
    /// # Errors
    /// Whatever keeps the source from knowing. Errors are not remembered.
    async fn load(&self, key: &K) -> Result<Option<V>, SourceError>;

    /// What the value of `key` depends on: by these tags it can be invalidated. The same for a key each time, at most
    /// [`MAX_TAGS`](crate::cache::MAX_TAGS).
    fn tags(&self, key: &K) -> Vec<CacheTag> {
        let _ = key;
        Vec::new()
    }
}

/// A [`Source`] that is a function. See [`load_with`].
pub struct LoadWith<F>(F);

impl<F> fmt::Debug for LoadWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoadWith")
    }
}

/// The source that `load` is, without tags.
pub const fn load_with<F>(load: F) -> LoadWith<F> {
    LoadWith(load)
}

#[async_trait]
impl<K, V, F, L> Source<K, V> for LoadWith<F>
where
    K: Sync,
    V: 'static,
    F: Fn(&K) -> L + Send + Sync + 'static,
    L: Future<Output = Result<Option<V>, SourceError>> + Send,
{
    async fn load(&self, key: &K) -> Result<Option<V>, SourceError> {
        (self.0)(key).await
    }
}
