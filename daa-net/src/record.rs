//! What nodes say of themselves: where they are, what they offer, and which key messages to them are sealed to.

mod book;
mod error;
mod service;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_crypto::{Context, CryptoSuite, EncapsulationKey, KemAlgorithm, SignError, VerifyingKey};
use multiaddr::Multiaddr;

use crate::identity::{self, NodeIdentity};
use crate::network::NetworkName;
use crate::node_id::NodeId;

pub use book::{BookOptions, Conflict, OfferError, Offered, RecordBook};
pub use error::{ContentError, IssueError, RecordError};
pub use service::{ParseServiceError, Service};

/// The most bytes of a signed record.
pub const MAX_RECORD: usize = 16 << 10;
/// The most addresses in a record.
pub const MAX_ADDRESSES: usize = 16;
/// The most bytes of one address.
pub const MAX_ADDRESS: usize = 256;
/// The most services in a record.
pub const MAX_SERVICES: usize = 32;
/// The longest that a record is good for: a week.
pub const MAX_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How far a clock may be ahead of ours: a minute.
pub const MAX_SKEW: Duration = Duration::from_secs(60);

const RECORD: Context = Context::new("daa-net node record v1");

/// What a node does for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Is where newcomers begin: always there, at a known address.
    Bootstrap,
    /// Runs agents.
    Agent,
    /// Offers services to others.
    Service,
    /// Leads to another network.
    Bridge,
}

/// A node's place in the order of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// Connects to hubs.
    #[default]
    Leaf,
    /// Serves the leaves near it, and is connected to other hubs.
    RegionalHub,
    /// Serves hubs.
    SuperNode,
}

/// What a node says of itself, for as long as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeRecord {
    /// Which of its records: a later one has a higher number.
    pub version: u64,
    /// When it was issued, by the node's clock.
    pub issued: Timestamp,
    /// From when on it is nothing.
    pub expires: Timestamp,
    /// Where it can be reached, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<Multiaddr>,
    /// What it does.
    pub roles: BTreeSet<Role>,
    /// Its place.
    pub tier: Tier,
    /// What it offers, at most [`MAX_SERVICES`].
    pub services: BTreeSet<Service>,
    /// The key that messages to it are sealed to while it is away: of X-Wing. Nothing proves that the node has its other half:
    /// whoever seals to it names the node in what is authenticated.
    pub kem: EncapsulationKey,
}

impl NodeRecord {
    /// A leaf without address, role or service.
    #[must_use]
    pub fn new(version: u64, issued: Timestamp, life: Duration, kem: EncapsulationKey) -> Self {
        Self {
            version,
            issued,
            expires: issued + life,
            addresses: Vec::new(),
            roles: BTreeSet::new(),
            tier: Tier::default(),
            services: BTreeSet::new(),
            kem,
        }
    }

    /// With this address too.
    #[must_use]
    pub fn with_address(mut self, address: Multiaddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// With this role too.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.roles.insert(role);
        self
    }

    /// In this place.
    #[must_use]
    pub const fn with_tier(mut self, tier: Tier) -> Self {
        self.tier = tier;
        self
    }

    /// With this service too.
    #[must_use]
    pub fn with_service(mut self, service: Service) -> Self {
        self.services.insert(service);
        self
    }

    /// Signs the record, for one network.
    ///
    /// # Errors
    /// [`IssueError::Content`] where it is beyond a bound, [`IssueError::Sign`] when the signer fails.
    ///
    /// # Cancel safety
    /// To drop the future is to want no record.
    pub async fn issue(
        self,
        identity: &NodeIdentity,
        network: &NetworkName,
    ) -> Result<SignedRecord, IssueError> {
        self.check()?;
        let body = wire::encode(&self, identity.key(), network);
        let signature = identity.signer().sign(RECORD, &body).await?;
        let digest = blake3::hash(&body);
        let bytes = wire::seal(body, signature.encode());
        if bytes.len() > MAX_RECORD {
            return Err(ContentError::Size { len: bytes.len() }.into());
        }
        let (key, node) = (identity.key().clone(), identity.node());
        Ok(SignedRecord::new(self, key, node, digest, bytes))
    }

    fn check(&self) -> Result<(), ContentError> {
        let too_many = |what, count, max| Err(ContentError::TooMany { what, count, max });
        if self.addresses.len() > MAX_ADDRESSES {
            return too_many("addresses", self.addresses.len(), MAX_ADDRESSES);
        }
        if self.services.len() > MAX_SERVICES {
            return too_many("services", self.services.len(), MAX_SERVICES);
        }
        if let Some(long) = self.addresses.iter().find(|address| address.len() > MAX_ADDRESS) {
            return Err(ContentError::Address { len: long.len() });
        }
        if self.kem.algorithm() != KemAlgorithm::XWing {
            return Err(ContentError::Kem { found: self.kem.algorithm() });
        }
        let life = self.expires.since(self.issued);
        if life.is_zero() || life > MAX_LIFE {
            return Err(ContentError::Life { life });
        }
        Ok(())
    }
}

/// A record that its node has signed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SignedRecord(Arc<Signed>);

#[derive(Debug)]
struct Signed {
    record: NodeRecord,
    key: VerifyingKey,
    node: NodeId,
    digest: blake3::Hash,
    /// As it travels.
    bytes: Bytes,
}

impl SignedRecord {
    /// Reads what came from outside, and verifies it: network, key, signature, bounds, time. Addresses and services that this
    /// version cannot read are left out, as are roles that it does not know.
    ///
    /// # Errors
    /// [`RecordError`]: then nothing in it is to be believed.
    pub fn verify(
        suite: &CryptoSuite,
        network: &NetworkName,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD {
            return Err(ContentError::Size { len: bytes.len() }.into());
        }
        let (body, signature) = wire::open(bytes)?;
        let wire = wire::Body::read(&body)?;
        // What is cheap to refuse is refused before a signature is verified.
        if wire.network != network.as_str() {
            return Err(RecordError::Network);
        }
        let key = suite.decode_verifying_key(&wire.key)?;
        identity::check(&key)?;
        let record = wire.into_record(suite)?;
        record.check()?;
        if record.issued > now + MAX_SKEW {
            return Err(RecordError::Early { issued: record.issued, now });
        }
        if record.expires <= now {
            return Err(RecordError::Expired { expired: record.expires, now });
        }
        let signature = suite.decode_signature(&signature)?;
        suite.verify(&key, RECORD, &body, &signature)?;
        let digest = blake3::hash(&body);
        let bytes = wire::seal(body, signature.encode());
        let node = NodeId::of(&key);
        Ok(Self::new(record, key, node, digest, bytes))
    }

    fn new(record: NodeRecord, key: VerifyingKey, node: NodeId, digest: blake3::Hash, bytes: Bytes) -> Self {
        Self(Arc::new(Signed { record, key, node, digest, bytes }))
    }

    /// Who says it.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// The key of who says it.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.0.key
    }

    /// What it says.
    #[must_use]
    pub fn record(&self) -> &NodeRecord {
        &self.0.record
    }

    /// The bytes that travel; [`verify`](Self::verify) reads them.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// Whether it says anything at this moment.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        now < self.0.record.expires
    }

    /// Of what was signed: two signatures over the same are the same record.
    fn digest(&self) -> blake3::Hash {
        self.0.digest
    }
}

impl From<SignError> for IssueError {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}
