//! Who waits for a reply.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::lock;
use crate::bus::error::BusError;
use crate::bus::message::Message;
use crate::id::Topic;

/// The most requests that wait at a time.
const MAX_REQUESTS: usize = 4096;

#[derive(Debug, Default)]
struct Waiting {
    made: u64,
    by_topic: HashMap<Topic, oneshot::Sender<Message>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inboxes(Arc<Mutex<Waiting>>);

/// Where one reply is waited for.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) topic: Topic,
    pub(super) reply: oneshot::Receiver<Message>,
    inboxes: Inboxes,
}

impl Inboxes {
    pub(super) fn open(&self) -> Result<Inbox, BusError> {
        let mut waiting = lock(&self.0);
        if waiting.by_topic.len() >= MAX_REQUESTS {
            return Err(BusError::TooManySubscriptions { limit: MAX_REQUESTS });
        }
        waiting.made += 1;
        let Ok(topic) = Topic::new(format!("_inbox.{}", waiting.made)) else {
            return Err(BusError::Unsupported { what: "more requests" });
        };
        let (sender, reply) = oneshot::channel();
        waiting.by_topic.insert(topic.clone(), sender);
        drop(waiting);
        Ok(Inbox { topic, reply, inboxes: self.clone() })
    }

    /// The asker may have gone.
    pub(super) fn deliver(&self, reply: Message) {
        let asker = lock(&self.0).by_topic.remove(reply.topic());
        if let Some(asker) = asker {
            let _ = asker.send(reply);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        lock(&self.inboxes.0).by_topic.remove(&self.topic);
    }
}
