//! Who listens to which topic.

use std::collections::HashMap;

use tokio::sync::mpsc;

use crate::gossip::{MessageId, Topic, TopicMessage};
use crate::node_id::NodeId;

/// How many messages of a topic wait for who listens.
const WAITING: usize = 1_024;

/// A message of a topic, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heard {
    /// Which.
    pub id: MessageId,
    /// Who passed it on.
    pub from: NodeId,
    /// What it says, and who says so.
    pub message: TopicMessage,
}

/// The messages of a topic. To drop it is to take part no more.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Heard>,
}

impl Subscription {
    /// The next message; `None` when the node has ended, or somebody else on it listens now. Who does not keep up misses the
    /// latest.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Heard> {
        self.messages.recv().await
    }
}

/// Those who listen.
#[derive(Debug, Default)]
pub(super) struct Topics(HashMap<Topic, mpsc::Sender<Heard>>);

impl Topics {
    /// Somebody listens: whoever did before does no more.
    pub(super) fn listen(&mut self, topic: Topic) -> Subscription {
        let (heard, messages) = mpsc::channel(WAITING);
        self.0.insert(topic, heard);
        Subscription { messages }
    }

    pub(super) fn hear(&self, heard: Heard) {
        if let Some(listener) = self.0.get(&heard.message.topic)
            && listener.try_send(heard).is_err()
        {
            tracing::debug!("a message was not heard: nobody keeps up with its topic");
        }
    }

    /// The topics that nobody listens to any more.
    pub(super) fn left(&mut self) -> Vec<Topic> {
        let left = self.0.extract_if(|_, listener| listener.is_closed());
        left.map(|(topic, _)| topic).collect()
    }
}
