//! Whose a name is: a claim with work behind it, and the transfers since.

use bytes::Bytes;
use daa_crypto::{Context, CryptoSuite};

use super::error::{NameError, NameIssueError};
use super::name::Name;
use super::wire;
use crate::identity::{self, NodeIdentity};
use crate::network::NetworkName;
use crate::node_id::NodeId;

/// The bits of work behind a claim: a million hashes, some tenths of a second.
///
/// It slows down who would claim every word, and fill what others keep; it is no protection of a name.
pub const WORK_BITS: u32 = 20;
/// The most transfers that a title has. Then the owner claims the name anew, with the number of transfers that there were.
pub const MAX_TRANSFERS: usize = 4;

const TRANSFER: Context = Context::new("daa-net name transfer v1");

/// That somebody wants a name, and has worked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    name: Name,
    owner: NodeId,
    /// How often the name has changed hands before.
    ordinal: u64,
    nonce: u64,
}

impl Claim {
    /// Works for a claim to a name that is nobody's: some tenths of a second of a processor, so not on a thread that others wait
    /// for.
    #[must_use]
    pub fn work(network: &NetworkName, name: &Name, owner: NodeId) -> Self {
        Self::work_at(network, name, owner, 0)
    }

    fn work_at(network: &NetworkName, name: &Name, owner: NodeId, ordinal: u64) -> Self {
        let puzzle = puzzle(network, name, &owner, ordinal);
        // There is one among a few million of 2^64.
        let nonce = (0..u64::MAX).find(|nonce| is_solved(&puzzle, *nonce)).unwrap_or(u64::MAX);
        Self { name: name.clone(), owner, ordinal, nonce }
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Who wants it.
    #[must_use]
    pub const fn owner(&self) -> NodeId {
        self.owner
    }

    pub(super) const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    pub(super) const fn nonce(&self) -> u64 {
        self.nonce
    }

    pub(super) fn check(
        network: &NetworkName,
        name: Name,
        owner: NodeId,
        ordinal: u64,
        nonce: u64,
    ) -> Result<Self, NameError> {
        if is_solved(&puzzle(network, &name, &owner, ordinal), nonce) {
            return Ok(Self { name, owner, ordinal, nonce });
        }
        Err(NameError::Work { name, owner })
    }
}

fn puzzle(network: &NetworkName, name: &Name, owner: &NodeId, ordinal: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("daa-net 2026-11 name claim v1");
    for field in [network.as_str(), name.label()] {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.update(owner.as_bytes());
    hasher.update(&ordinal.to_le_bytes());
    *hasher.finalize().as_bytes()
}

fn is_solved(puzzle: &[u8; 32], nonce: u64) -> bool {
    let hash = blake3::keyed_hash(puzzle, &nonce.to_le_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_be_bytes([a, b, c, d]).leading_zeros() >= WORK_BITS
}

/// That a name was given to somebody, signed by who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) ordinal: u64,
    pub(super) to: NodeId,
    /// What was signed, the signature, and the key of who signed.
    pub(super) signed: wire::Transfer,
}

/// Why a name is somebody's: the first claim, or a later one of an owner who was known as that, and the transfers since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    claim: Claim,
    transfers: Vec<Transfer>,
}

impl Title {
    /// The title of who claims a name.
    #[must_use]
    pub const fn new(claim: Claim) -> Self {
        Self { claim, transfers: Vec::new() }
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.claim.name
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> NodeId {
        self.transfers.last().map_or(self.claim.owner, |transfer| transfer.to)
    }

    /// How often the name has changed hands.
    #[must_use]
    pub fn ordinal(&self) -> u64 {
        self.transfers.last().map_or(self.claim.ordinal, |transfer| transfer.ordinal)
    }

    /// Gives the name to somebody, for good: the title of the new owner. It counts when the new owner has issued a record
    /// under it, and that is known where the name is kept.
    ///
    /// # Errors
    /// [`NameError::NotOwner`] when who gives is not the owner, [`NameError::TooManyTransfers`] when it is to be
    /// [claimed anew](Self::renewed) first, [`NameIssueError::Sign`] when the signer fails.
    ///
    /// # Cancel safety
    /// To drop the future is to give nothing away.
    pub async fn transfer(
        mut self,
        from: &NodeIdentity,
        network: &NetworkName,
        to: NodeId,
    ) -> Result<Self, NameIssueError> {
        self.check_owner(from.node())?;
        if self.transfers.len() >= MAX_TRANSFERS {
            return Err(NameError::TooManyTransfers.into());
        }
        let ordinal = self.ordinal().checked_add(1).ok_or(NameError::Chain)?;
        let body = wire::TransferBody::encode(network, self.name(), ordinal, from.key(), to);
        let signature = from.signer().sign(TRANSFER, &body).await?;
        let signed = wire::Transfer { body, signature: signature.encode().into() };
        self.transfers.push(Transfer { ordinal, to, signed });
        Ok(self)
    }

    /// The title of the same owner without the transfers, for a new claim: work, as for the first one. Who knows the name by a
    /// record of one of the owners that this leaves out does not follow it any more: keep the longer title published for some days
    /// before.
    #[must_use]
    pub fn renewed(&self, network: &NetworkName) -> Self {
        Self::new(Claim::work_at(network, self.name(), self.owner(), self.ordinal()))
    }

    pub(super) const fn claim(&self) -> &Claim {
        &self.claim
    }

    pub(super) fn transfers(&self) -> impl Iterator<Item = &wire::Transfer> {
        self.transfers.iter().map(|transfer| &transfer.signed)
    }

    /// Who owned it after so many transfers, if the title reaches there.
    pub(super) fn owner_at(&self, ordinal: u64) -> Option<NodeId> {
        if ordinal == self.claim.ordinal {
            return Some(self.claim.owner);
        }
        self.transfers.iter().find(|transfer| transfer.ordinal == ordinal).map(|transfer| transfer.to)
    }

    pub(super) fn check_owner(&self, found: NodeId) -> Result<(), NameError> {
        let owner = self.owner();
        if owner == found { Ok(()) } else { Err(NameError::NotOwner { owner, found }) }
    }

    /// Follows the transfers from a claim that holds.
    pub(super) fn verify(
        suite: &CryptoSuite,
        network: &NetworkName,
        claim: Claim,
        transfers: Vec<wire::Transfer>,
    ) -> Result<Self, NameError> {
        if transfers.len() > MAX_TRANSFERS {
            return Err(NameError::TooManyTransfers);
        }
        let mut title = Self::new(claim);
        for signed in transfers {
            let body = wire::TransferBody::read(&signed.body)?;
            let to = body.to()?;
            let next = title.ordinal().checked_add(1);
            if body.network != network.as_str()
                || body.label != title.name().label()
                || next != Some(body.ordinal)
            {
                return Err(NameError::Chain);
            }
            let key = suite.decode_verifying_key(&body.key)?;
            identity::check(&key)?;
            title.check_owner(NodeId::of(&key))?;
            let signature = suite.decode_signature(&signed.signature)?;
            suite.verify(&key, TRANSFER, &signed.body, &signature)?;
            // As it is signed, and nothing beside it.
            let body_bytes = Bytes::copy_from_slice(&signed.body);
            let signed = wire::Transfer { body: body_bytes, signature: signature.encode().into() };
            title.transfers.push(Transfer { ordinal: body.ordinal, to, signed });
        }
        Ok(title)
    }
}
