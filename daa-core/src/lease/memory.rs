//! Leases within one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::contract::{Lease, LeaseHolder, Leases, check_ttl};
use super::error::LeaseError;
use super::fence::FencingToken;
use crate::clock::{Clock, Timestamp};
use crate::id::{HolderId, LeaseName};

/// [`Leases`] in memory; clones share them. They are gone with the process, and so are those that could hold one.
#[derive(Clone, Debug)]
pub struct MemoryLeases {
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// One for all names, so that nothing is to be remembered of a name that nobody holds.
    tokens: u64,
    leases: HashMap<LeaseName, Row>,
    /// With so many leases those that are over are looked for.
    sweep_at: usize,
}

#[derive(Debug)]
struct Row {
    holder: HolderId,
    token: FencingToken,
    until: Timestamp,
}

impl MemoryLeases {
    /// No leases, by the time of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, held: Arc::default() }
    }

    /// Nothing panics between two changes, so a poisoned lock still guards a whole.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn current(&mut self, name: &LeaseName, now: Timestamp) -> Option<&mut Row> {
        self.leases.get_mut(name).filter(|row| row.until > now)
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.leases.len() >= self.sweep_at {
            self.leases.retain(|_, row| row.until > now);
            self.sweep_at = 64.max(2 * self.leases.len());
        }
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(&self, name: &LeaseName, holder: &HolderId, ttl: Duration) -> Result<Lease, LeaseError> {
        check_ttl(ttl)?;
        let now = self.clock.now();
        let mut held = self.held();
        if let Some(row) = held.current(name, now).filter(|row| row.holder != *holder) {
            let (by, remaining) = (row.holder.clone(), row.until.since(now));
            return Err(LeaseError::Held { name: name.clone(), by, remaining });
        }
        held.sweep(now);
        held.tokens += 1;
        let (token, until) = (FencingToken::new(held.tokens), now + ttl);
        held.leases.insert(name.clone(), Row { holder: holder.clone(), token, until });
        Ok(Lease::new(name.clone(), holder.clone(), token, until))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Lease, LeaseError> {
        check_ttl(ttl)?;
        let (name, token, now) = (lease.name(), lease.token(), self.clock.now());
        let mut held = self.held();
        let Some(row) = held.current(name, now).filter(|row| row.token == token) else {
            return Err(LeaseError::Lost { name: name.clone(), token });
        };
        row.until = now + ttl;
        Ok(Lease::new(name.clone(), lease.holder().clone(), token, row.until))
    }

    async fn release(&self, lease: &Lease) -> Result<bool, LeaseError> {
        let now = self.clock.now();
        let mut held = self.held();
        let ours = held.current(lease.name(), now).is_some_and(|row| row.token == lease.token());
        if ours {
            held.leases.remove(lease.name());
        }
        Ok(ours)
    }

    async fn holder(&self, name: &LeaseName) -> Result<Option<LeaseHolder>, LeaseError> {
        let now = self.clock.now();
        let mut held = self.held();
        let row = held.current(name, now);
        Ok(row.map(|row| LeaseHolder::new(row.holder.clone(), row.token, row.until.since(now))))
    }
}
