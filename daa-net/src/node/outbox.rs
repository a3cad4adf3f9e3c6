//! What is to be sent to one node: a queue, and a task that connects when there is something in it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::FramedWrite;

use super::Shared;
use super::control::{CONTROL, codec};
use crate::node_id::NodeId;
use crate::stream::{PeerStream, StreamOptions};

/// How many messages wait; more are lost, which machines expect.
const WAITING: usize = 256;
/// An outbox that nobody uses for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How long it may take to get what waits on its way.
const SENDING: Duration = Duration::from_secs(10);
/// After a failure to connect, so long nothing is tried.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be sent to one node.
#[derive(Debug)]
pub(super) struct Outbox {
    messages: mpsc::Sender<Bytes>,
}

impl Outbox {
    /// Tells `unreached` each time the node could not be reached.
    pub(super) fn new(node: NodeId, shared: &Arc<Shared>, unreached: mpsc::Sender<NodeId>) -> Self {
        let (messages, waiting) = mpsc::channel(WAITING);
        tokio::spawn(run(node, Arc::downgrade(shared), waiting, unreached));
        Self { messages }
    }

    /// Whether it still takes messages.
    pub(super) fn is_open(&self) -> bool {
        !self.messages.is_closed()
    }

    /// A message that does not fit is lost.
    pub(super) fn send(&self, message: Bytes) {
        if self.messages.try_send(message).is_err() {
            tracing::trace!("a message to a peer was lost: there are too many");
        }
    }
}

type Writer = FramedWrite<PeerStream, tokio_util::codec::LengthDelimitedCodec>;

async fn run(
    node: NodeId,
    shared: Weak<Shared>,
    mut waiting: mpsc::Receiver<Bytes>,
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
    first: Bytes,
    waiting: &mut mpsc::Receiver<Bytes>,
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
            while let Ok(more) = waiting.try_recv() {
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
