//! What is to be sent to one node: a queue, and a task that connects when there is something in it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::codec::FramedWrite;

use super::Shared;
use super::control::{CONTROL, codec};
use crate::node_id::NodeId;
use crate::stream::{PeerStream, StreamOptions};

/// How many messages wait, and how many bytes of them: several of the largest. More are lost, which machines expect.
const WAITING: usize = 256;
const BYTES: usize = 4 << 20;
/// An outbox that nobody uses for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How long it may take to get what waits on its way.
const SENDING: Duration = Duration::from_secs(10);
/// After a failure to connect, so long nothing is tried.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be sent to one node.
#[derive(Debug)]
pub(super) struct Outbox {
    messages: mpsc::Sender<Waiting>,
    bytes: Arc<Semaphore>,
}

/// A message, and its part of the bytes that may wait.
type Waiting = (Bytes, OwnedSemaphorePermit);

impl Outbox {
    /// Tells `unreached` each time the node could not be reached.
    pub(super) fn new(node: NodeId, shared: &Arc<Shared>, unreached: mpsc::Sender<NodeId>) -> Self {
        let (outbox, waiting) = Self::queue();
        tokio::spawn(run(node, Arc::downgrade(shared), waiting, unreached));
        outbox
    }

    fn queue() -> (Self, mpsc::Receiver<Waiting>) {
        let (messages, waiting) = mpsc::channel(WAITING);
        (Self { messages, bytes: Arc::new(Semaphore::new(BYTES)) }, waiting)
    }

    /// Whether it still takes messages.
    pub(super) fn is_open(&self) -> bool {
        !self.messages.is_closed()
    }

    /// A message that does not fit is lost.
    pub(super) fn send(&self, message: Bytes) {
        let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let room = self.bytes.clone().try_acquire_many_owned(len);
        if !room.is_ok_and(|room| self.messages.try_send((message, room)).is_ok()) {
            tracing::trace!("a message to a peer was lost: there are too many");
        }
    }
}

type Writer = FramedWrite<PeerStream, tokio_util::codec::LengthDelimitedCodec>;

async fn run(
    node: NodeId,
    shared: Weak<Shared>,
    mut waiting: mpsc::Receiver<Waiting>,
    unreached: mpsc::Sender<NodeId>,
) {
    let mut writer: Option<Writer> = None;
    while let Ok(Some(first)) = timeout(IDLE, waiting.recv()).await {
        let Some(shared) = shared.upgrade() else { return };
        let sent = timeout(SENDING, send(node, &shared, &mut writer, first, &mut waiting)).await;
        if !matches!(sent, Ok(true)) {
            writer = None;
            // Whoever has ended does not care.
            let _ = unreached.send(node).await;
            tokio::time::sleep(PAUSE).await;
            while waiting.try_recv().is_ok() {}
        }
    }
}

/// Sends a message, and whatever else waits, at once.
async fn send(
    node: NodeId,
    shared: &Shared,
    writer: &mut Option<Writer>,
    (first, _room): Waiting,
    waiting: &mut mpsc::Receiver<Waiting>,
) -> bool {
    // The stream of before may have ended with its connection: then once more.
    for _ in 0..2 {
        let mut open = match writer.take() {
            Some(open) => open,
            None => match shared.open(node, CONTROL, StreamOptions::default()).await {
                Ok(stream) => FramedWrite::new(stream, codec(shared.max_payload)),
                Err(_) => return false,
            },
        };
        let sent = async {
            open.feed(first.clone()).await?;
            while let Ok((more, _room)) = waiting.try_recv() {
                open.feed(more).await?;
            }
            SinkExt::<Bytes>::flush(&mut open).await
        };
        if sent.await.is_ok() {
            *writer = Some(open);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_waits_and_no_more_in_messages_and_in_bytes() {
        let waits = |len: usize| {
            let (outbox, mut waiting) = Outbox::queue();
            (0..1_000).for_each(|_| outbox.send(vec![0; len].into()));
            let mut all = Vec::new();
            while let Ok(message) = waiting.try_recv() {
                all.push(message);
            }
            // What has left has made room.
            let count = all.len();
            all.clear();
            outbox.send(vec![0; len].into());
            assert!(waiting.try_recv().is_ok());
            count
        };
        assert_eq!(waits(100), WAITING);
        assert_eq!(waits(1 << 20), 4);
    }
}
