//! Nodes that find, authenticate and reach each other with post-quantum keys, whoever they are and wherever they meet.
//!
//! A node is the hash of its ML-DSA key: its [`NodeId`]. What it says of itself, where it is and what it offers, it signs
//! as a [`NodeRecord`]. Two nodes that have a connection, whatever carries it, prove their keys to each other with the handshake of
//! [`auth`], and say nothing else before. Then they open [streams](stream) to each other, sealed under keys that only they have.
//!
//! A [`Node`] does all of that over a [`Transport`](transport::Transport): [in memory](transport::MemoryNetwork), or over the internet
//! with libp2p. It knows who is there, finds who offers what, asks and answers ([`rpc`]), says things to many
//! ([`gossip`]), and resolves `.dark` addresses ([`names`]).
//!
//! ```
//! use std::sync::Arc;
//!
//! use daa_crypto::CryptoSuite;
//! use daa_net::auth::Auth;
//! use daa_net::transport::MemoryNetwork;
//! use daa_net::{Node, NodeDiscovery, NodeIdentity, NodeOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (suite, network) = (CryptoSuite::new(), MemoryNetwork::new());
//! let start = async |options| -> Result<Node, Box<dyn std::error::Error>> {
//!     let auth = Auth::new(suite.clone(), NodeIdentity::generate(&suite)?, "example".parse()?);
//!     Ok(Node::start(&auth, Arc::new(network.join(auth.clone())), options).await?)
//! };
//! let bob = start(NodeOptions::new().offering("echo".parse()?)).await?;
//! bob.serve("echo/1", async |request| Ok(request.body));
//!
//! let alice = start(NodeOptions::new()).await?;
//! alice.join(&bob.addresses()).await?;
//! alice.wait_for(&"echo".parse()?).await?;
//! let found = alice.discover_nodes(&"echo".parse()?).await?;
//! assert_eq!(found[0].record.node(), bob.id());
//! assert_eq!(alice.call(bob.id(), "echo/1", "hello".into(), Default::default()).await?, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! # What is not here
//!
//! No certificate and no authority: a key is known by its hash, or by a record that somebody trusted handed over. No order between
//! strangers: a name belongs to who came first, as far as [`names`] can tell. Nobody's traffic is hidden: who watches the lines sees who
//! talks to whom.
//!
//! # Errors
//!
//! Every error implements [`Reaction`](daa_core::fault::Reaction): whose fault it is, and whether a retry can help.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::dbg_macro,
        clippy::print_stdout
    )
)]

pub mod auth;
mod chance;
mod discovery;
mod fault;
pub mod gossip;
mod identity;
mod machine;
mod membership;
pub mod names;
mod network;
mod node;
mod node_id;
mod quota;
pub mod record;
pub mod rpc;
mod shares;
#[cfg(test)]
mod simulation;
pub mod stream;
mod subnet;
#[cfg(any(test, feature = "test-util"))]
#[expect(clippy::expect_used, reason = "a test that fails")]
pub mod testing;
mod topology;
pub mod transfer;
pub mod transport;

pub use discovery::{
    BootstrapError, BootstrapList, BootstrapPeer, Candidate, Discovered, DiscoveryOptions, NotOffered,
    ProviderRecord, RankOptions, Sighting, Standing, SubnetLimits,
};
pub use identity::{IdentityError, NodeIdentity};
pub use membership::{Member, MemberState, MembershipEvent, MembershipOptions};
pub use network::{NetworkName, ParseNetworkError};
pub use node::{Heard, Node, NodeDiscovery, NodeError, NodeEvent, NodeOptions, Subscription};
pub use node_id::{NodeId, ParseNodeIdError};
pub use record::{NodeRecord, RecordBook, SignedRecord};
pub use topology::{Load, Topology, TopologyEvent, TopologyOptions};
