//! The handshake with which two nodes prove their keys to each other: `/daa/pq-auth/1`.
//!
//! It runs over any connection that already has an order and an end, encrypted or not, and gives both nodes a [`Session`].
//! Each side is a state machine: bytes in, bytes out. The messages are sent with their length before them by whoever
//! carries them, who also sees to it that none has more than [`MAX_MESSAGE`] bytes and that all is over within [`TIME_LIMIT`].
//!
//! ```text
//! initiator -> responder   hello: versions, network, both nodes, nonce, ML-KEM key, ciphers
//! responder -> initiator   reply: version, cipher, nonce, ciphertext, key unless it is known; signature
//! initiator -> responder   finish: key unless it is known; signature; confirmation
//! ```
//!
//! Both signatures cover what all messages before them say and each signature before them, and the names of the two ends that the connection below has
//! proved. The construction is SIGMA with the identities covered by both signatures (Krawczyk 2003, §5; as in TLS 1.3), with
//! an ephemeral ML-KEM-768 key (FIPS 203) in the place of Diffie-Hellman.
//!
//! # What it gives
//!
//! The initiator knows after the reply, and the responder after the finish, that the other holds the key behind its
//! [`NodeId`], takes part now, in this connection, in this network, and chose among the same versions and ciphers. Who records
//! everything and breaks all long-lived keys later learns nothing of the session's keys.
//!
//! # What it does not hide
//!
//! The responder's node is shown to whoever says hello, and the hello's to whoever answers: run the handshake inside of an
//! encrypted connection if that matters. Whoever says hello in the name of another node learns whether the responder knows that
//! node's key.

mod access;
mod error;
mod initiator;
pub(crate) mod keys;
#[cfg(test)]
mod pinned;
mod responder;
mod run;
mod session;
mod transcript;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use daa_crypto::{Context, CryptoSuite, FrameCipher, VerifyingKey};
use rand_core::CryptoRng;

use crate::identity::{self, IdentityError, NodeIdentity};
use crate::network::NetworkName;
use crate::node_id::NodeId;

pub use access::Access;
pub use error::{AuthError, Refusal};
pub use initiator::Initiator;
pub use responder::Responder;
pub use run::HandshakeError;
pub use session::{Session, SessionId};

use keys::KeyBook;

/// The most bytes of a message.
pub const MAX_MESSAGE: usize = 12 << 10;
/// How long the whole may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The versions of the handshake that are spoken here, the best first.
const VERSIONS: [u32; 1] = [1];

const INITIATOR: Context = Context::new("daa-net pq-auth initiator v1");
const RESPONDER: Context = Context::new("daa-net pq-auth responder v1");

/// The ends of a connection, as what carries it has proved them: the bytes of libp2p peer ids, say.
///
/// They bind the handshake to the connection. Where nothing is proved below, both are empty, and whoever stands between can
/// pass everything on, but read or change nothing that is sealed with the session's keys.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "two ends, for good")]
pub struct Ends<'a> {
    /// This one.
    pub ours: &'a [u8],
    /// The other one.
    pub theirs: &'a [u8],
}

/// One node's side of all its handshakes. Cheap to clone; clones share what they remember.
#[derive(Clone, Debug)]
pub struct Auth {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    suite: CryptoSuite,
    identity: NodeIdentity,
    network: NetworkName,
    access: Access,
    /// What frames may be sealed with, the best first.
    ciphers: Vec<FrameCipher>,
    keys: KeyBook,
}

impl Auth {
    /// The handshakes of a node in a network, with everybody.
    #[must_use]
    pub fn new(suite: CryptoSuite, identity: NodeIdentity, network: NetworkName) -> Self {
        let (access, keys) = (Access::everybody(), KeyBook::default());
        let ciphers = FrameCipher::supported().to_vec();
        Self { shared: Arc::new(Shared { suite, identity, network, access, ciphers, keys }) }
    }

    /// The same with these only. Nothing that was remembered is kept.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        let ((suite, identity, network), ciphers) = (self.parts(), self.shared.ciphers.clone());
        let keys = KeyBook::default();
        Self { shared: Arc::new(Shared { suite, identity, network, access, ciphers, keys }) }
    }

    /// The same, with these ciphers for the frames of streams, the best first, rather than [`FrameCipher::supported`]. What is not
    /// supported is left out, and ChaCha20-Poly1305, which every node has, is always among them. Nothing that was remembered is
    /// kept.
    #[must_use]
    pub fn with_frame_ciphers(self, ciphers: &[FrameCipher]) -> Self {
        let ((suite, identity, network), access) = (self.parts(), self.shared.access.clone());
        let supported = |cipher: &FrameCipher| FrameCipher::supported().contains(cipher);
        let mut ciphers: Vec<FrameCipher> = ciphers.iter().copied().filter(supported).collect();
        if !ciphers.contains(&FrameCipher::default()) {
            ciphers.push(FrameCipher::default());
        }
        let keys = KeyBook::default();
        Self { shared: Arc::new(Shared { suite, identity, network, access, ciphers, keys }) }
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.shared.identity.node()
    }

    /// What it was made with.
    pub(crate) fn parts(&self) -> (CryptoSuite, NodeIdentity, NetworkName) {
        let Shared { suite, identity, network, .. } = &*self.shared;
        (suite.clone(), identity.clone(), network.clone())
    }

    /// Remembers a key, so that it need not travel in a handshake: that of a record that was verified.
    ///
    /// # Errors
    /// [`IdentityError`]: it cannot be the key of a node.
    pub fn remember(&self, key: &VerifyingKey) -> Result<(), IdentityError> {
        identity::check(key)?;
        self.shared.keys.put(key);
        Ok(())
    }

    /// Begins a handshake: the state, and the hello to send. With `expected`, no other node will do.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] when who is expected is not let in, [`AuthError::Itself`] when that is this node,
    /// [`AuthError::Key`] when no key can be made.
    pub fn initiate(
        &self,
        ends: Ends<'_>,
        expected: Option<NodeId>,
        rng: &mut impl CryptoRng,
    ) -> Result<(Initiator, Vec<u8>), AuthError> {
        Initiator::begin(self.shared.clone(), ends, expected, rng)
    }

    /// Answers a hello: the state, and the reply to send.
    ///
    /// # Errors
    /// [`AuthError`]: the connection is to be closed; [`AuthError::to_message`] is what to tell the other side before.
    ///
    /// # Cancel safety
    /// To drop the future is to give the handshake up.
    pub async fn respond(
        &self,
        ends: Ends<'_>,
        hello: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Responder, Vec<u8>), AuthError> {
        Responder::begin(self.shared.clone(), ends, hello, rng).await
    }
}
