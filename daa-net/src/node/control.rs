//! What the machines of two nodes say to each other: one stream in each direction, and messages with the number of their machine.

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::oneshot;
use tokio_util::codec::LengthDelimitedCodec;

use super::topics::Subscription;
use crate::discovery::{BootstrapList, Busy, Candidate, Found};
use crate::gossip::{MessageId, PublishError, SignedMessage, TooManyTopics, Topic, Validation, Verdict};
use crate::names::{Name, SignedName};
use crate::node_id::NodeId;
use crate::record::Service;
use crate::stream::Protocol;
use crate::topology::Load;

pub(super) const CONTROL: Protocol = Protocol::new("/daa/control/1");
/// The most bytes of a message beside the payload of one that is gossiped.
const MAX_REST: usize = 256 << 10;

/// What others want of the task of a node.
#[derive(Debug)]
pub(super) enum Command {
    Join { node: NodeId },
    Leave { reply: oneshot::Sender<()> },
    Subscribe { topic: Topic, validation: Validation, reply: Reply<Subscription, TooManyTopics> },
    Publish { message: SignedMessage, reply: Reply<MessageId, PublishError> },
    Validated { id: MessageId, verdict: Verdict },
    Find { what: Find, reply: Reply<Found, Busy> },
    Candidates { service: Service, reply: oneshot::Sender<Vec<Candidate>> },
    Register { name: Box<SignedName>, reply: Reply<(), Busy> },
    Unregister { name: Name },
    SetLoad { load: Load },
    KnownPeers { reply: oneshot::Sender<BootstrapList> },
}

/// Where the answer to a command goes.
pub(super) type Reply<T, E> = oneshot::Sender<Result<T, E>>;

/// What is looked for in the network.
#[derive(Debug)]
pub(super) enum Find {
    Node(NodeId),
    Providers(Service),
    Name(Name),
}

/// Which machine a message is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Membership,
    Gossip,
    Discovery,
    Topology,
}

impl Part {
    const fn number(self) -> u8 {
        match self {
            Self::Membership => 1,
            Self::Gossip => 2,
            Self::Discovery => 3,
            Self::Topology => 4,
        }
    }

    /// Nothing for one that this version does not have.
    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Membership, Self::Gossip, Self::Discovery, Self::Topology]
            .into_iter()
            .find(|part| part.number() == number)
    }

    /// A message of the machine.
    pub(super) fn message(self, body: &[u8]) -> Bytes {
        let mut message = BytesMut::with_capacity(body.len() + 1);
        message.put_u8(self.number());
        message.put_slice(body);
        message.freeze()
    }
}

/// For messages whose gossip has at most so many bytes of payload.
pub(super) fn codec(max_payload: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(max_payload + MAX_REST).new_codec()
}
