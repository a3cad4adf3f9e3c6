//! The contract of leases.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::error::LeaseError;
use super::fence::FencingToken;
use crate::clock::Timestamp;
use crate::id::{HolderId, LeaseName};

/// The longest time that a lease is given for at once: a day.
pub const MAX_LEASE: Duration = Duration::from_secs(86_400);

/// For those who implement leases: the bounds of a lease's time.
///
/// # Errors
/// [`LeaseError::Ttl`].
pub fn check_ttl(ttl: Duration) -> Result<(), LeaseError> {
    if ttl < Duration::from_millis(1) || ttl > MAX_LEASE { Err(LeaseError::Ttl { ttl }) } else { Ok(()) }
}

/// What a holder knows of its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    name: LeaseName,
    holder: HolderId,
    token: FencingToken,
    until: Timestamp,
}

impl Lease {
    /// For those who implement leases. `until` is by the holder's clock, and counts from before the request was sent.
    #[must_use]
    pub const fn new(name: LeaseName, holder: HolderId, token: FencingToken, until: Timestamp) -> Self {
        Self { name, holder, token, until }
    }

    /// What it is a lease of.
    #[must_use]
    pub const fn name(&self) -> &LeaseName {
        &self.name
    }

    /// Who has it.
    #[must_use]
    pub const fn holder(&self) -> &HolderId {
        &self.holder
    }

    /// What to show with everything that is done under it.
    #[must_use]
    pub const fn token(&self) -> FencingToken {
        self.token
    }

    /// Until when it lasts, by the holder's clock, unless it is renewed. It ends no earlier at the one who keeps it, as
    /// long as both clocks run equally fast.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }
}

/// Who holds a lease right now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseHolder {
    /// Who.
    pub holder: HolderId,
    /// With which token.
    pub token: FencingToken,
    /// For how long, unless it is renewed or released.
    pub remaining: Duration,
}

impl LeaseHolder {
    /// For those who implement leases.
    #[must_use]
    pub const fn new(holder: HolderId, token: FencingToken, remaining: Duration) -> Self {
        Self { holder, token, remaining }
    }
}

/// Leases, kept in one place for all who want them.
///
/// # Contract
///
/// An implementation must:
/// - give a lease to one holder at a time, by its own clock, until its time is over or it is released;
/// - give each acquisition of a name a token higher than all before it, also after the lease ended, was released, or
///   its keeper was started again;
/// - refuse to renew or release a lease whose token is not the current one, and change nothing then.
///
/// What it cannot promise is that a holder knows in time that its lease is over; see [the module](super). What else it
/// cannot promise, it must say.
///
/// The suite in `lease::testing` (feature `test-util`) checks that; every implementation runs it.
#[async_trait]
pub trait Leases: Send + Sync + fmt::Debug {
    /// Acquires a lease for `ttl`, in whole milliseconds.
    ///
    /// A holder that has it already gets it anew: with a higher token, so that the one it had is void. That is what
    /// becomes of an answer that was lost. So a holder is one that acts: two that must exclude each other need
    /// different ids.
    ///
    /// # Errors
    /// [`LeaseError::Held`] when another has it.
    ///
    /// # Cancel safety
    /// A dropped future may leave the lease acquired, for up to `ttl`.
    async fn acquire(&self, name: &LeaseName, holder: &HolderId, ttl: Duration) -> Result<Lease, LeaseError>;

    /// Extends a lease: it lasts for `ttl` from now on, with the same token.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when it is over: another may have it.
    ///
    /// # Cancel safety
    /// A dropped future leaves it extended or not.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Lease, LeaseError>;

    /// Gives a lease back; whether it was still held.
    ///
    /// # Errors
    /// [`LeaseError::Unavailable`]: it may be released or not, and ends by itself otherwise.
    ///
    /// # Cancel safety
    /// A dropped future leaves it released or not.
    async fn release(&self, lease: &Lease) -> Result<bool, LeaseError>;

    /// Who holds a lease.
    ///
    /// # Errors
    /// [`LeaseError::Unavailable`].
    async fn holder(&self, name: &LeaseName) -> Result<Option<LeaseHolder>, LeaseError>;
}
