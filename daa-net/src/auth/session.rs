//! What a handshake gives.

use std::fmt;

use daa_crypto::{Context, FrameCipher, HkdfSha256, Secret, VerifyingKey};

use crate::node_id::NodeId;

const INITIATOR_KEY: Context = Context::new("daa-net pq-auth key of the initiator v1");
const RESPONDER_KEY: Context = Context::new("daa-net pq-auth key of the responder v1");
const CONFIRMATION: Context = Context::new("daa-net pq-auth confirmation v1");
const SESSION: Context = Context::new("daa-net pq-auth session v1");

/// Names a session to both of its nodes, and to nobody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = blake3::Hash::from_bytes(self.0).to_hex();
        write!(f, "SessionId({}…)", hash.get(..8).unwrap_or_default())
    }
}

/// Two nodes that have proved themselves to each other, and keys that only they have.
#[derive(Debug)]
pub struct Session {
    peer: VerifyingKey,
    id: SessionId,
    version: u32,
    cipher: FrameCipher,
    send: Secret,
    receive: Secret,
}

impl Session {
    /// The other node.
    #[must_use]
    pub fn peer(&self) -> NodeId {
        NodeId::of(&self.peer)
    }

    /// The key that it has proved.
    #[must_use]
    pub const fn peer_key(&self) -> &VerifyingKey {
        &self.peer
    }

    /// The same on both sides, and of no other session.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The version of the handshake.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// What frames are to be sealed with.
    #[must_use]
    pub const fn cipher(&self) -> FrameCipher {
        self.cipher
    }

    /// The key of what goes to the other side. Derive keys from it, rather than use it as one.
    #[must_use]
    pub const fn send_key(&self) -> &Secret {
        &self.send
    }

    /// The key of what comes from the other side: its [`send_key`](Self::send_key).
    #[must_use]
    pub const fn receive_key(&self) -> &Secret {
        &self.receive
    }
}

/// The keys of a session, before it is known whose it is.
pub(super) struct Keys {
    initiator: Secret,
    responder: Secret,
    pub(super) confirmation: Secret,
    id: SessionId,
}

impl Keys {
    /// Of the secret and the transcript, both signatures included.
    pub(super) fn derive(secret: &Secret, transcript: &[u8; 32]) -> Self {
        let hkdf = HkdfSha256::extract(transcript, secret.as_bytes());
        Self {
            initiator: hkdf.derive(INITIATOR_KEY, &[]),
            responder: hkdf.derive(RESPONDER_KEY, &[]),
            confirmation: hkdf.derive(CONFIRMATION, &[]),
            id: SessionId(*hkdf.derive(SESSION, &[]).as_bytes()),
        }
    }

    pub(super) fn of_initiator(self, peer: VerifyingKey, version: u32, cipher: FrameCipher) -> Session {
        let Self { initiator: send, responder: receive, id, .. } = self;
        Session { peer, id, version, cipher, send, receive }
    }

    pub(super) fn of_responder(self, peer: VerifyingKey, version: u32, cipher: FrameCipher) -> Session {
        let Self { initiator: receive, responder: send, id, .. } = self;
        Session { peer, id, version, cipher, send, receive }
    }
}
