//! Going over the whole store again, as an outsider would.

use daa_core::action::{JournalAudit, JournalSummary};
use daa_core::event::EventStore;
use daa_economy::LedgerError;
use daa_economy::audit::{AuditError, Summary, verify_store};

use super::error::SwarmError;

/// What a second look at every event of a store found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Proof {
    /// The actions: was there an effect without a permit?
    pub journal: JournalSummary,
    /// The ledger: did it add up after every event? An error names the first event that does not.
    pub ledger: Result<Summary, AuditError>,
}

impl Proof {
    /// Whether nothing is amiss. Where events of actions were erased nobody can tell, so it is not sound.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let journal = self.journal.violations == 0 && self.journal.erased == 0;
        journal && self.ledger.as_ref().is_ok_and(|summary| summary.sum == 0)
    }

    /// Whether nothing is left open: no action without a last word, no money on hold. So it is after a run has ended.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.journal.open == 0 && self.ledger.as_ref().is_ok_and(|summary| summary.open_holds == 0)
    }
}

/// Reads the whole store, and checks journal and ledger event by event, from their first to their last.
///
/// # Errors
/// [`SwarmError`] when the store cannot be read. What is wrong with its content is in the [`Proof`].
pub async fn prove(store: &dyn EventStore) -> Result<Proof, SwarmError> {
    let mut journal = JournalAudit::new();
    journal.catch_up(store).await?;
    let ledger = match verify_store(store).await {
        Err(AuditError::Read(error)) => return Err(LedgerError::Read(error).into()),
        checked => checked,
    };
    Ok(Proof { journal: journal.summary(), ledger })
}
