//! What the owner of a name says about it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_crypto::{Context, CryptoSuite};
use prost::Message as _;

use super::error::{NameError, NameIssueError};
use super::name::Name;
use super::title::{Claim, Title};
use super::wire;
use crate::identity::{self, NodeIdentity};
use crate::network::NetworkName;
use crate::node_id::NodeId;
use crate::record::MAX_SKEW;

/// The most bytes of a signed record of a name.
pub const MAX_NAME_RECORD: usize = 32 << 10;
/// The longest that a name is registered for at once: 90 days. Renewing is to be automatic; and a name whose key is lost is free
/// after a season.
pub const MAX_NAME_LIFE: Duration = Duration::from_secs(90 * 24 * 3_600);
/// The most properties of a name.
pub const MAX_PROPERTIES: usize = 16;
/// The most bytes of the key and of the value of a property.
pub(super) const MAX_PROPERTY: usize = 256;
/// For so long after its end a name is kept for its owner: who is late is not robbed.
pub(crate) const NAME_GRACE: Duration = Duration::from_secs(7 * 24 * 3_600);

const RECORD: Context = Context::new("daa-net name record v1");

/// What the owner of a name says about it, for as long as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameRecord {
    /// The name.
    pub name: Name,
    /// The node that it leads to.
    pub target: NodeId,
    /// Whatever else: at most [`MAX_PROPERTIES`], 256 bytes for each key and value. Nobody has checked them.
    pub properties: BTreeMap<String, String>,
    /// Which of the owner's records: a later one has a higher number.
    pub version: u64,
    /// When it was issued, by the owner's clock.
    pub issued: Timestamp,
    /// From when on it is nothing; at most [`MAX_NAME_LIFE`] later. To renew is to issue a later one.
    pub expires: Timestamp,
}

impl NameRecord {
    /// A name that leads to a node, without properties.
    #[must_use]
    pub fn new(name: Name, target: NodeId, version: u64, issued: Timestamp, life: Duration) -> Self {
        let (properties, expires) = (BTreeMap::new(), issued + life);
        Self { name, target, properties, version, issued, expires }
    }

    /// With this property too.
    #[must_use]
    pub fn with_property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }

    /// Signs the record, under a title.
    ///
    /// # Errors
    /// [`NameIssueError::Content`] where it is beyond a bound, or the title is of another name or owner;
    /// [`NameIssueError::Sign`] when the signer fails.
    ///
    /// # Cancel safety
    /// To drop the future is to want no record.
    pub async fn issue(
        self,
        owner: &NodeIdentity,
        network: &NetworkName,
        title: Title,
    ) -> Result<SignedName, NameIssueError> {
        self.check()?;
        title.check_owner(owner.node())?;
        if *title.name() != self.name {
            return Err(NameError::Chain.into());
        }
        let body = wire::Body::encode(network, &self, &title, owner.key());
        let signature = owner.signer().sign(RECORD, &body).await?;
        let digest = blake3::hash(&body);
        let bytes = wire::seal(body, signature.encode(), &title);
        if bytes.len() > MAX_NAME_RECORD {
            return Err(NameError::Size { len: bytes.len() }.into());
        }
        Ok(SignedName(Arc::new(Inner { record: self, title, digest, bytes })))
    }

    fn check(&self) -> Result<(), NameError> {
        let long = |(key, value): (&String, &String)| key.len() > MAX_PROPERTY || value.len() > MAX_PROPERTY;
        if self.properties.len() > MAX_PROPERTIES || self.properties.iter().any(long) {
            return Err(NameError::Properties);
        }
        let life = self.expires.since(self.issued);
        if life.is_zero() || life > MAX_NAME_LIFE {
            return Err(NameError::Life { life });
        }
        Ok(())
    }
}

/// A record of a name that its owner has signed, and why the name is the owner's. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SignedName(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    record: NameRecord,
    title: Title,
    digest: blake3::Hash,
    bytes: Bytes,
}

/// How two records of a name stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Descent {
    /// They say the same.
    Same,
    /// It comes after the other, by the same owner or who got the name from that one.
    Newer,
    /// The other way round.
    Older,
    /// The owner has issued two different records of one version.
    Forked,
    /// Somebody else's claim, or a name that was given to two.
    Stranger,
}

impl SignedName {
    /// Reads what came from outside, and verifies it: network, work, transfers, key, signature, bounds, time.
    ///
    /// # Errors
    /// [`NameError`]: then nothing in it is to be believed.
    pub fn verify(
        suite: &CryptoSuite,
        network: &NetworkName,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Self, NameError> {
        if bytes.len() > MAX_NAME_RECORD {
            return Err(NameError::Size { len: bytes.len() });
        }
        let signed = wire::Signed::decode(bytes)?;
        let body = wire::Body::read(&signed.body)?;
        // What is cheap to refuse is refused before a signature is verified.
        if body.network != network.as_str() {
            return Err(NameError::Network);
        }
        let (name, claimer) = (body.name()?, body.claimer()?);
        let claim = Claim::check(network, name.clone(), claimer, body.claim_ordinal, body.claim_nonce)?;
        let record = NameRecord {
            name,
            target: body.target()?,
            properties: body
                .properties
                .iter()
                .map(|property| (property.key.clone(), property.value.clone()))
                .collect(),
            version: body.version,
            issued: Timestamp::from_millis(body.issued),
            expires: Timestamp::from_millis(body.expires),
        };
        record.check()?;
        if record.issued > now + MAX_SKEW {
            return Err(NameError::Early { issued: record.issued, now });
        }
        if record.expires <= now {
            return Err(NameError::Expired { expired: record.expires, now });
        }
        let key = suite.decode_verifying_key(&body.key)?;
        identity::check(&key)?;
        let title = Title::verify(suite, network, claim, signed.transfers)?;
        title.check_owner(NodeId::of(&key))?;
        if title.ordinal() != body.ordinal {
            return Err(NameError::Chain);
        }
        let signature = suite.decode_signature(&signed.signature)?;
        suite.verify(&key, RECORD, &signed.body, &signature)?;
        let digest = blake3::hash(&signed.body);
        let bytes = wire::seal(signed.body, signature.encode(), &title);
        Ok(Self(Arc::new(Inner { record, title, digest, bytes })))
    }

    /// The name that bytes are a record of, they say: nothing is verified.
    pub(crate) fn peek(bytes: &[u8]) -> Option<Name> {
        let signed = wire::Signed::decode(bytes).ok()?;
        wire::Body::read(&signed.body).ok()?.name().ok()
    }

    /// What it says.
    #[must_use]
    pub fn record(&self) -> &NameRecord {
        &self.0.record
    }

    /// Whose the name is.
    #[must_use]
    pub fn owner(&self) -> NodeId {
        self.0.title.owner()
    }

    /// Why it is.
    #[must_use]
    pub fn title(&self) -> &Title {
        &self.0.title
    }

    /// The bytes that travel; [`verify`](Self::verify) reads them.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// Whether it says anything at this moment.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        now < self.record().expires
    }

    /// Whether this is of the owner of a record that was seen before, or of who got the name from that owner: of an honest name
    /// it always is, unless the title was [claimed anew](Title::renewed) since.
    #[must_use]
    pub fn follows(&self, earlier: &Self) -> bool {
        matches!(self.descent(earlier), Descent::Same | Descent::Newer)
    }

    pub(crate) fn descent(&self, other: &Self) -> Descent {
        let (ours, theirs) = (&self.0.title, &other.0.title);
        let follows =
            |later: &Title, earlier: &Title| later.owner_at(earlier.ordinal()) == Some(earlier.owner());
        if self.record().name != other.record().name {
            return Descent::Stranger;
        }
        let place = |name: &Self| (name.0.title.ordinal(), name.record().version);
        match place(self).cmp(&place(other)) {
            std::cmp::Ordering::Greater if follows(ours, theirs) => Descent::Newer,
            std::cmp::Ordering::Less if follows(theirs, ours) => Descent::Older,
            std::cmp::Ordering::Equal if self.owner() == other.owner() => {
                if self.0.digest == other.0.digest {
                    Descent::Same
                } else {
                    Descent::Forked
                }
            }
            _ => Descent::Stranger,
        }
    }

    /// An order that all have, for what nothing else orders.
    pub(crate) fn digest(&self) -> [u8; 32] {
        *self.0.digest.as_bytes()
    }
}
