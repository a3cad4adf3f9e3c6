//! Large contents: from several peers at once, verified as they arrive, and resumed where they were left.
//!
//! A content is bytes, named by their BLAKE3 [`Digest`]. It travels in groups of 1 MiB. Who fetches first gets the [`Outline`], which is
//! the upper part of BLAKE3's own tree, and proves it and the size of the content against the digest. From then on each group is verified by itself,
//! before it goes to the [`Sink`], whoever it came from. So it does not matter whom it is fetched from, and the streams need no seals.
//!
//! A peer that sends what does not verify is asked no more in this fetch, and named. A slow one does not hold up the end: a group that it was asked
//! for is asked of others too when nothing else is left.
//!
//! ```
//! use std::sync::Arc;
//!
//! use daa_crypto::CryptoSuite;
//! use daa_net::auth::Auth;
//! use daa_net::transfer::{FetchOptions, FileSink, MemorySource};
//! use daa_net::transport::MemoryNetwork;
//! use daa_net::{Node, NodeIdentity, NodeOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (suite, network) = (CryptoSuite::new(), MemoryNetwork::new());
//! let start = async || -> Result<Node, Box<dyn std::error::Error>> {
//!     let auth = Auth::new(suite.clone(), NodeIdentity::generate(&suite)?, "example".parse()?);
//!     Ok(Node::start(&auth, Arc::new(network.join(auth.clone())), NodeOptions::new()).await?)
//! };
//! let (bob, alice) = (start().await?, start().await?);
//! let source = MemorySource::new();
//! let digest = source.add(vec![7; 3_000_000]);
//! bob.share(Arc::new(source));
//!
//! alice.join(&bob.addresses()).await?;
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("checkpoint");
//! let sink = FileSink::new(&path);
//! let fetched = alice.fetch(digest, &[bob.id()], &sink, FetchOptions::default()).await?;
//! assert_eq!(fetched.size, 3_000_000);
//! assert_eq!(std::fs::read(&path)?, vec![7; 3_000_000]);
//! # Ok(())
//! # }
//! ```
//!
//! [`Digest`]: daa_core::digest::Digest

mod artifacts;
mod asking;
mod error;
mod fetching;
mod outline;
mod sharing;
mod sink;
mod source;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

pub use artifacts::ArtifactSource;
pub use error::{FetchError, Misbehaved, PeerEnd};
pub use outline::{GROUP, Outline};
pub use sink::{FileSink, MemorySink, Sink};
pub use source::{FileSource, MemorySource, Source};

#[cfg(any(test, feature = "test-util"))]
pub(crate) use asking::read_any;
pub(crate) use fetching::fetch;
pub(crate) use sharing::Sharing;

use crate::node_id::NodeId;
use crate::stream::Protocol;

pub(crate) const TRANSFER: Protocol = Protocol::new("/daa/transfer/1");

/// How a content is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchOptions {
    /// The most bytes that it may have: 64 GiB. For each MiB of it there are 32 bytes in memory.
    pub max_size: u64,
    /// How long a peer may take for a group, the connection included: 30 s.
    pub timeout: Duration,
    /// How many groups are asked for, and in memory, at a time: 16.
    pub outstanding: usize,
    /// How many of them of one peer: 2.
    pub per_peer: usize,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { max_size: 64 << 30, timeout: Duration::from_secs(30), outstanding: 16, per_peer: 2 }
    }
}

impl FetchOptions {
    /// With another size that it may have.
    #[must_use]
    pub const fn with_max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// With another time for a group.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With so many groups at a time, of all peers and of one; at least one.
    #[must_use]
    pub fn with_outstanding(mut self, all: usize, per_peer: usize) -> Self {
        (self.outstanding, self.per_peer) = (all.max(1), per_peer.clamp(1, 8));
        self
    }
}

/// What a fetch has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// How many bytes the content has.
    pub size: u64,
    /// How many groups were there already.
    pub resumed: u64,
    /// What became of the peers.
    pub peers: BTreeMap<NodeId, PeerReport>,
}

/// What a peer did in a fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerReport {
    /// How many verified bytes came of it.
    pub bytes: u64,
    /// Why it was asked no more, where it was not because all was there.
    pub ended: Option<PeerEnd>,
}
