//! Invalidation by events.

use std::hash::Hash;
use std::time::Duration;

use super::front::Cached;
use crate::event::{ReadError, RecordedEvent, Subscription};
use crate::id::CacheTag;

/// How long after a failed read the log is read again.
const PAUSE: Duration = Duration::from_millis(100);

/// What an event makes invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidation<K> {
    /// The value of a key.
    Key(K),
    /// All values that depend on a tag.
    Tag(CacheTag),
}

impl<K, V> Cached<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Invalidates what each event of `log` names, until the store is closed. To be spawned, once in each process. While
    /// the store cannot be read, it goes on trying, and values age up to their time to live.
    ///
    /// A subscription that begins at the head of the store, made before the first read of the cache, misses nothing of
    /// this process's first level. What the second level holds from before, and should not, ends with its time to live.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`].
    ///
    /// # Cancel safety
    /// An event that was read may not be heeded. Make a new subscription behind the one before it.
    pub async fn follow<I>(
        &self,
        mut log: Subscription,
        names: impl Fn(&RecordedEvent) -> I + Send,
    ) -> Result<(), ReadError>
    where
        I: IntoIterator<Item = Invalidation<K>, IntoIter: Send> + Send,
    {
        loop {
            match log.next().await {
                Ok(Some(event)) => {
                    for invalidation in names(&event) {
                        match invalidation {
                            Invalidation::Key(key) => self.invalidate(&key).await,
                            Invalidation::Tag(tag) => self.invalidate_tag(&tag).await,
                        }
                    }
                }
                Ok(None) | Err(ReadError::Closed) => return Ok(()),
                Err(ReadError::Unavailable { source }) => {
                    tracing::warn!(error = %source, "the events that invalidate a cache cannot be read");
                    self.options().clock.sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
