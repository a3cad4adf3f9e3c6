//! What the lab and its nodes say to each other, a line of JSON each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a node is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) port: u16,
    pub(crate) kind: Kind,
}

/// What a node does in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A regional hub that relays.
    Hub,
    /// A leaf.
    Leaf,
    /// A leaf that stays within its local network.
    Local,
}

/// What a node is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) ask: Ask,
}

/// What a node is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Join by whoever is there.
    Join { addresses: Vec<String> },
    /// How it is.
    Status,
    /// Send something to this node, and have it back.
    Reach { node: String },
    /// Find who offers the service of the lab.
    Find,
}

/// What a node says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Say {
    /// It runs.
    Ready { node: String, addresses: Vec<String> },
    /// To an order.
    Answer { id: u64, answer: Answer },
}

/// To an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Done,
    Failed { why: String },
    Status(Status),
    Reached(Reached),
    Found { nodes: Vec<String> },
}

/// How a node is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) addresses: Vec<String>,
    /// Whether others can call it: `None` while nobody has tried.
    pub(crate) is_public: Option<bool>,
    /// The members that are alive, itself left out.
    pub(crate) alive: Vec<String>,
    pub(crate) neighbours: Vec<String>,
    /// How it is connected to whom.
    pub(crate) ways: BTreeMap<String, Way>,
}

impl Status {
    /// Whether a relay listens for the node.
    pub(crate) fn has_relay(&self) -> bool {
        self.addresses.iter().any(|address| address.contains("/p2p-circuit"))
    }
}

/// How two nodes are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    Direct,
    Relayed,
}

/// What came of sending something to a node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Reached {
    /// How they were connected before.
    pub(crate) before: Option<Way>,
    pub(crate) after: Option<Way>,
    /// How long the first answer took, the connection included, in milliseconds.
    pub(crate) first: f64,
    /// And the second one.
    pub(crate) again: f64,
    pub(crate) tries: u32,
}
