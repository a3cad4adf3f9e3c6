//! The messages as they travel: Protocol Buffers, bounded before they are read.

use bytes::Bytes;
use prost::{Message as _, Oneof};

use super::key::Key;
use super::table::K;
use crate::machine::MessageError;
use crate::node_id::NodeId;

/// The most bytes of a message.
pub(crate) const MAX_MESSAGE: usize = 128 << 10;
/// The most records that an answer has of one kind.
pub(super) const MAX_ENTRIES: usize = K;
/// The most nodes that whoever asks may say it knows.
pub(super) const MAX_KNOWS: usize = 64;
/// What an answer has beside its entries, at the most: names of 20 nodes, and numbers.
const FRAME: usize = 1 << 10;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Want {
    /// The nodes nearest to a place.
    Nodes,
    /// Those who offer a service.
    Providers,
    /// Who has a name.
    Name,
}

/// A node whose record the asker has: it need not travel again, unless it is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knows {
    pub(super) prefix: u64,
    pub(super) version: u64,
}

/// The first bytes of a node's id: enough to tell nodes that are nearest to a place from each other.
pub(super) fn prefix(node: &NodeId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *node.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// A record, and whose it is said to be: what is known already need not be verified again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) node: NodeId,
    pub(super) record: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Find(Find),
    Found(Found),
    Store(Stored),
    Kept(Kept),
}

/// Who or what is nearest to a place?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Find {
    pub(super) target: Key,
    pub(super) want: Want,
    /// How many nodes.
    pub(super) count: usize,
    pub(super) knows: Vec<Knows>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) nodes: Vec<Entry>,
    /// Nodes that the asker knows.
    pub(super) named: Vec<NodeId>,
    pub(super) providers: Vec<Entry>,
    /// The record of a name, or empty.
    pub(super) name: Bytes,
    /// How many records there was no room for.
    pub(super) left_out: u32,
}

/// What is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// The sender offers a service.
    Provider { key: Key, record: Bytes },
    /// Somebody has a name.
    Name { record: Bytes },
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    /// It is not this node's to keep, there is no room, or there is something that goes before it.
    No,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The number of the request: the answer has the same.
    pub(super) id: u64,
    pub(super) body: Body,
}

impl Message {
    pub(super) fn encode(&self) -> Bytes {
        let content = match &self.body {
            Body::Find(find) => proto::Content::Find(proto::Find {
                target: Bytes::copy_from_slice(find.target.as_bytes()),
                want: match find.want {
                    Want::Nodes => 1,
                    Want::Providers => 2,
                    Want::Name => 3,
                },
                count: u32::try_from(find.count).unwrap_or(u32::MAX),
                knows: find.knows.iter().flat_map(|knows| [knows.prefix, knows.version]).collect(),
            }),
            Body::Found(found) => proto::Content::Found(proto::Found {
                nodes: found.nodes.iter().map(proto::Entry::from).collect(),
                named: found.named.iter().flat_map(|node| *node.as_bytes()).collect::<Vec<_>>().into(),
                providers: found.providers.iter().map(proto::Entry::from).collect(),
                name: found.name.clone(),
                left_out: found.left_out,
            }),
            Body::Store(Stored::Provider { key, record }) => proto::Content::Provider(proto::Provider {
                key: Bytes::copy_from_slice(key.as_bytes()),
                record: record.clone(),
            }),
            Body::Store(Stored::Name { record }) => proto::Content::Name(record.clone()),
            Body::Kept(kept) => proto::Content::Kept(*kept == Kept::Yes),
        };
        proto::Envelope { id: self.id, content: Some(content) }.encode_to_vec().into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let wrong = |what| MessageError { what };
        if bytes.len() > MAX_MESSAGE {
            return Err(wrong("longer than any of discovery"));
        }
        let envelope = proto::Envelope::decode(Bytes::copy_from_slice(bytes))
            .map_err(|_| wrong("not one of discovery"))?;
        let body = match envelope.content.ok_or(wrong("of discovery, and empty or of a later version"))? {
            proto::Content::Find(find) => Body::Find(find.read()?),
            proto::Content::Found(found) => Body::Found(found.read()?),
            proto::Content::Provider(provider) => {
                Body::Store(Stored::Provider { key: key(&provider.key)?, record: provider.record })
            }
            proto::Content::Name(record) => Body::Store(Stored::Name { record }),
            proto::Content::Kept(kept) => Body::Kept(if kept { Kept::Yes } else { Kept::No }),
        };
        Ok(Self { id: envelope.id, body })
    }
}

/// An answer that is filled up to what a message may have.
#[derive(Debug)]
pub(super) struct Filling {
    found: Found,
    room: usize,
}

impl Filling {
    pub(super) fn new(name: Bytes) -> Self {
        let room = MAX_MESSAGE - FRAME - name.len().min(MAX_MESSAGE - FRAME);
        Self { found: Found { name, ..Found::default() }, room }
    }

    /// As many providers as there is room for in half of the message.
    pub(super) fn providers(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let mut room = self.room / 2;
        let before = room;
        for entry in entries {
            if self.found.providers.len() < MAX_ENTRIES && take(&mut room, &entry) {
                self.found.providers.push(entry);
            } else {
                self.found.left_out += 1;
            }
        }
        self.room -= before - room;
    }

    /// A node, and its record unless the asker has it; in the order of their distance.
    pub(super) fn node(&mut self, entry: Entry, is_known: bool) {
        if is_known {
            self.found.named.push(entry.node);
        } else if self.found.nodes.len() < MAX_ENTRIES && take(&mut self.room, &entry) {
            self.found.nodes.push(entry);
        } else {
            self.found.left_out += 1;
        }
    }

    pub(super) fn done(self) -> Found {
        self.found
    }
}

fn take(room: &mut usize, entry: &Entry) -> bool {
    // Tags and lengths of the entry and of its two fields.
    let size = entry.record.len() + 32 + 16;
    let fits = size <= *room;
    if fits {
        *room -= size;
    }
    fits
}

fn key(bytes: &Bytes) -> Result<Key, MessageError> {
    let wrong = MessageError { what: "a place has 32 bytes" };
    <[u8; 32]>::try_from(&**bytes).map(Key::from_bytes).map_err(|_| wrong)
}

mod proto {
    use super::{Bytes, Entry as Known, Find as Asked, Found as Answered};
    use super::{K, Knows, MAX_ENTRIES, MAX_KNOWS, MessageError, NodeId, Oneof, Want, key};

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Envelope {
        #[prost(uint64, tag = "1")]
        pub(super) id: u64,
        #[prost(oneof = "Content", tags = "2, 3, 4, 5, 6")]
        pub(super) content: Option<Content>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub(super) enum Content {
        #[prost(message, tag = "2")]
        Find(Find),
        #[prost(message, tag = "3")]
        Found(Found),
        #[prost(message, tag = "4")]
        Provider(Provider),
        #[prost(bytes = "bytes", tag = "5")]
        Name(Bytes),
        #[prost(bool, tag = "6")]
        Kept(bool),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Find {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) target: Bytes,
        #[prost(uint32, tag = "2")]
        pub(super) want: u32,
        #[prost(uint32, tag = "3")]
        pub(super) count: u32,
        /// Prefix and version, by turns.
        #[prost(fixed64, repeated, tag = "4")]
        pub(super) knows: Vec<u64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Entry {
        #[prost(bytes = "bytes", tag = "1")]
        node: Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        record: Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Found {
        #[prost(message, repeated, tag = "1")]
        pub(super) nodes: Vec<Entry>,
        /// Ids, one after the other.
        #[prost(bytes = "bytes", tag = "2")]
        pub(super) named: Bytes,
        #[prost(message, repeated, tag = "3")]
        pub(super) providers: Vec<Entry>,
        #[prost(bytes = "bytes", tag = "4")]
        pub(super) name: Bytes,
        #[prost(uint32, tag = "5")]
        pub(super) left_out: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Provider {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) key: Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub(super) record: Bytes,
    }

    impl From<&Known> for Entry {
        fn from(entry: &Known) -> Self {
            Self { node: Bytes::copy_from_slice(entry.node.as_bytes()), record: entry.record.clone() }
        }
    }

    fn node(bytes: &[u8]) -> Result<NodeId, MessageError> {
        let wrong = MessageError { what: "a node's id has 32 bytes" };
        bytes.try_into().map(NodeId::from_bytes).map_err(|_| wrong)
    }

    fn entries(entries: Vec<Entry>) -> Result<Vec<Known>, MessageError> {
        if entries.len() > MAX_ENTRIES {
            return Err(MessageError { what: "more records than an answer has" });
        }
        entries
            .into_iter()
            .map(|entry| Ok(Known { node: node(&entry.node)?, record: entry.record }))
            .collect()
    }

    impl Find {
        pub(super) fn read(self) -> Result<Asked, MessageError> {
            let want = match self.want {
                1 => Want::Nodes,
                2 => Want::Providers,
                3 => Want::Name,
                _ => {
                    return Err(MessageError {
                        what: "something is looked for that this version does not know",
                    });
                }
            };
            if self.knows.len() > 2 * MAX_KNOWS {
                return Err(MessageError { what: "more known nodes than a request has" });
            }
            let knows = self.knows.as_chunks().0.iter();
            let knows = knows.map(|&[prefix, version]| Knows { prefix, version }).collect();
            let count = usize::try_from(self.count).unwrap_or(K).min(K);
            Ok(Asked { target: key(&self.target)?, want, count, knows })
        }
    }

    impl Found {
        pub(super) fn read(self) -> Result<Answered, MessageError> {
            if self.named.len() > 32 * MAX_ENTRIES {
                return Err(MessageError { what: "more nodes than an answer has" });
            }
            Ok(Answered {
                nodes: entries(self.nodes)?,
                named: self.named.chunks(32).map(node).collect::<Result<_, _>>()?,
                providers: entries(self.providers)?,
                name: self.name,
                left_out: self.left_out,
            })
        }
    }
}

#[cfg(test)]
mod tests;
