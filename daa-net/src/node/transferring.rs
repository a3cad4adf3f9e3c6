//! Giving contents, and fetching them.

use std::io;
use std::sync::Arc;

use daa_core::digest::Digest;

use super::{Node, NodeError};
use crate::node_id::NodeId;
use crate::stream::StreamOptions;
use crate::transfer::{self, FetchError, FetchOptions, Fetched, Sink, Source, TRANSFER};

impl Node {
    /// From now on other nodes may fetch what the source has; all that know the digest. Several sources are asked in turn.
    pub fn share(&self, source: Arc<dyn Source>) {
        self.inner.shared.sharing.share(source);
    }

    /// Fetches a content from peers, of which the first 64 count. Every byte is verified before it goes to the sink.
    ///
    /// # Errors
    /// [`FetchError`]. What the sink has it keeps, as far as it can; the next fetch goes on from there.
    ///
    /// # Cancel safety
    /// As after an error.
    pub async fn fetch(
        &self,
        digest: Digest,
        from: &[NodeId],
        sink: &dyn Sink,
        options: FetchOptions,
    ) -> Result<Fetched, FetchError> {
        let shared = &self.inner.shared;
        let open = |peer| async move {
            let opened = shared.open(peer, TRANSFER, StreamOptions::default().bulk().unsealed()).await;
            opened.map_err(|error| io::Error::other(NodeError::from(error)))
        };
        transfer::fetch(open, digest, from, sink, options).await
    }
}
