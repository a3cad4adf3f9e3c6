//! Erases what counts do not need any more, while nobody waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use daa_core::event::{EventStore, Version};
use daa_core::id::StreamId;

/// What is to be erased. Should it fail, or the process end before, what is kept next in the stream erases this too; so
/// nothing is tried again, and nothing is waited for.
#[derive(Debug, Default)]
pub(super) struct Erasing(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// One entry for each stream: a longer prefix contains a shorter one.
    prefixes: BTreeMap<StreamId, Version>,
    /// Whether somebody is at it.
    running: bool,
}

impl Erasing {
    /// Erases a prefix of a stream in the background. Outside of a runtime there is none, and nothing is erased.
    pub(super) fn begin(self: &Arc<Self>, store: &Arc<dyn EventStore>, stream: StreamId, up_to: Version) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let is_running = {
            let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            queue.prefixes.insert(stream, up_to);
            std::mem::replace(&mut queue.running, true)
        };
        // A runtime that shuts down drops the task at once, which takes the lock.
        if !is_running {
            let (erasing, store) = (Working(Arc::clone(self)), Arc::clone(store));
            runtime.spawn(async move {
                while let Some((stream, up_to)) = erasing.next() {
                    let _ = store.erase(&stream, up_to).await;
                }
            });
        }
    }
}

/// The one who is at it. Should its task be dropped with its runtime, another one may begin.
struct Working(Arc<Erasing>);

impl Working {
    fn next(&self) -> Option<(StreamId, Version)> {
        let mut queue = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = queue.prefixes.pop_first();
        queue.running = next.is_some();
        next
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // Should another one have begun already, two are at it, which does no harm.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).running = false;
    }
}
