//! Taking back what was done since the last commit.

use daa_core::amount::Currency;
use daa_core::id::TransferId;

use super::budgets::BudgetUndo;
use super::{Books, OpenHold, Savepoint};

/// What undoes one elementary change.
#[derive(Debug)]
pub(super) enum Undo {
    Opened,
    Slot { index: usize, posted: i128, held: u128 },
    Seen([u8; 16]),
    Issued(Currency, u128),
    Transfers(u64),
    HoldOpened(TransferId),
    HoldEnded(Box<OpenHold>),
    Budget(BudgetUndo),
}

impl Books {
    /// Marks the present state, to come back to by [`Self::rollback`].
    #[must_use]
    pub const fn savepoint(&self) -> Savepoint {
        Savepoint(self.undo.len())
    }

    /// Takes back what was done since the savepoint, but nothing that was committed.
    pub fn rollback(&mut self, savepoint: Savepoint) {
        while self.undo.len() > savepoint.0 {
            if let Some(undo) = self.undo.pop() {
                self.take_back(undo);
            }
        }
    }

    /// Takes back everything since the last commit.
    pub fn rollback_all(&mut self) {
        self.rollback(Savepoint(0));
    }

    /// Makes what was done final: it can no longer be taken back.
    pub fn commit(&mut self) {
        for undo in self.undo.drain(..) {
            if let Undo::Budget(BudgetUndo::Usage((agent, currency), ..)) = undo {
                self.budgets.prune(&agent, currency);
            }
        }
        // A large batch must not keep its memory for ever.
        self.undo.shrink_to(1024);
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Opened => {
                if let Some(slot) = self.accounts.pop() {
                    self.index.remove(&(slot.account.id, slot.account.currency));
                }
            }
            Undo::Slot { index, posted, held } => {
                if let Some(slot) = self.accounts.get_mut(index) {
                    (slot.posted, slot.held) = (posted, held);
                }
            }
            Undo::Seen(key) => {
                self.seen.remove(&key);
            }
            Undo::Issued(currency, issued) => {
                self.issued.insert(currency, issued);
            }
            Undo::Transfers(transfers) => self.transfers = transfers,
            Undo::HoldOpened(id) => {
                self.holds.remove(&id);
            }
            Undo::HoldEnded(open) => {
                self.holds.insert(open.hold.id.clone(), *open);
            }
            Undo::Budget(undo) => self.budgets.undo(undo),
        }
    }
}
