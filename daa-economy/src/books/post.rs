//! How an event changes the books.

use std::collections::HashMap;

use daa_core::amount::{Amount, Currency, Money};
use daa_core::id::{AccountId, TransferId};

use super::undo::Undo;
use super::usage::SpendKey;
use super::{Books, OpenHold, Slot, money};
use crate::account::{Account, AccountKind, agent_account};
use crate::event::{LedgerEvent, VoidCause};
use crate::rejection::Rejection;
use crate::transfer::{Fingerprint, Hold, Transfer, closing};

/// The most of a currency that can be in circulation: then every balance, and every sum of balances, fits.
const MAX_ISSUED: u128 = i128::MAX.unsigned_abs();

impl Books {
    /// Follows an event; whether anything changed.
    pub(super) fn apply_counting(&mut self, event: &LedgerEvent) -> Result<bool, Rejection> {
        let savepoint = self.savepoint();
        let result = self.apply_parts(event);
        if result.is_err() {
            self.rollback(savepoint);
        }
        result
    }

    fn apply_parts(&mut self, event: &LedgerEvent) -> Result<bool, Rejection> {
        match event {
            LedgerEvent::Opened(account) => self.apply_opened(account)?,
            LedgerEvent::Transferred(transfers) => {
                for transfer in transfers.as_slice() {
                    self.apply_transfer(transfer, transfer.fingerprint())?;
                }
            }
            LedgerEvent::Held(hold) => self.apply_held(hold)?,
            LedgerEvent::Posted(posted) => self.apply_posted(&posted.hold, posted.amount)?,
            LedgerEvent::Voided(voided) => {
                let open = self.end_hold(&voided.hold, closing(&voided.hold, None))?;
                if voided.cause == VoidCause::Expired && open.hold.expires.is_none() {
                    let hold = voided.hold.clone();
                    self.undo.push(Undo::HoldEnded(Box::new(open)));
                    return Err(Rejection::NotExpired { hold, expires: None });
                }
                let unused = open.hold.money;
                self.refund(&open, unused);
                self.undo.push(Undo::HoldEnded(Box::new(open)));
            }
            LedgerEvent::BudgetSet(budget) => match self.budgets.set(budget)? {
                Some(undo) => self.undo.push(Undo::Budget(undo)),
                None => return Ok(false),
            },
            LedgerEvent::BudgetLifted(lifted) => {
                let undo = self.budgets.lift(&lifted.agent, lifted.currency, &lifted.name)?;
                self.undo.push(Undo::Budget(undo));
            }
        }
        Ok(true)
    }

    fn apply_opened(&mut self, account: &Account) -> Result<(), Rejection> {
        if let Some(slot) = self.slot(&account.id, account.currency) {
            let (account, kind) = (account.id.clone(), slot.account.kind);
            return Err(Rejection::AccountDiffers { account, kind });
        }
        self.index.insert((account.id.clone(), account.currency), self.accounts.len());
        self.accounts.push(Slot { account: account.clone(), posted: 0, held: 0 });
        self.undo.push(Undo::Opened);
        Ok(())
    }

    pub(super) fn apply_transfer(
        &mut self,
        transfer: &Transfer,
        print: Fingerprint,
    ) -> Result<(), Rejection> {
        let Transfer { id, from, to, money, .. } = transfer;
        let (from, to) = self.legs(id, from, to, *money)?;
        self.check_unused(print, id)?;
        self.check_available(from, *money)?;
        self.shift(from, to, *money)?;
        self.remember(print);
        self.count_transfer();
        Ok(())
    }

    fn apply_held(&mut self, hold: &Hold) -> Result<(), Rejection> {
        let (from, to) = self.legs(&hold.id, &hold.from, &hold.to, hold.money)?;
        let print = hold.fingerprint();
        self.check_unused(print, &hold.id)?;
        self.check_available(from, hold.money)?;
        let spent = self.charge(hold, from)?;
        let units = hold.money.amount().units();
        self.set_held(from, |held| held.checked_add(units), hold.money)?;
        self.remember(print);
        self.holds.insert(hold.id.clone(), OpenHold { hold: hold.clone(), from, to, spent });
        self.undo.push(Undo::HoldOpened(hold.id.clone()));
        Ok(())
    }

    fn apply_posted(&mut self, id: &TransferId, amount: Amount) -> Result<(), Rejection> {
        if amount.is_zero() {
            return Err(Rejection::Zero { id: id.clone() });
        }
        let held = self.open_hold(id)?.hold.money;
        let actual = money(amount.units(), held.currency());
        let Some(rest) = held.amount().checked_sub(amount) else {
            return Err(Rejection::OverHold { hold: id.clone(), actual, held });
        };
        let open = self.end_hold(id, closing(id, Some(amount)))?;
        let (from, to) = (open.from, open.to);
        self.refund(&open, money(rest.units(), held.currency()));
        self.undo.push(Undo::HoldEnded(Box::new(open)));
        self.shift(from, to, actual)?;
        self.count_transfer();
        Ok(())
    }

    /// Takes an open hold out and frees what it held; the caller pushes its undo.
    fn end_hold(&mut self, id: &TransferId, print: Fingerprint) -> Result<OpenHold, Rejection> {
        let open = self.holds.remove(id).ok_or_else(|| Rejection::NotOpen { hold: id.clone() })?;
        let units = open.hold.money.amount().units();
        // What is held includes what this hold holds, so this does not go below zero.
        self.set_held(open.from, |held| Some(held.saturating_sub(units)), open.hold.money)?;
        self.remember(print);
        Ok(open)
    }

    fn charge(&mut self, hold: &Hold, from: usize) -> Result<Option<SpendKey>, Rejection> {
        let Some(spending) = &hold.spending else { return Ok(None) };
        let agents = self.accounts.get(from).is_some_and(|slot| slot.account.kind == AccountKind::Agent);
        if !agents || agent_account(&spending.agent)? != hold.from {
            let (account, agent) = (hold.from.clone(), spending.agent.clone());
            return Err(Rejection::NotTheAgents { account, agent });
        }
        let mut undo = Vec::new();
        let key = self.budgets.charge(spending, hold.money, &mut undo)?;
        self.undo.extend(undo.into_iter().map(Undo::Budget));
        Ok(Some(key))
    }

    fn refund(&mut self, open: &OpenHold, back: Money) {
        let (Some(spending), Some(key)) = (&open.hold.spending, open.spent) else { return };
        let mut undo = Vec::new();
        self.budgets.refund(&spending.agent, key, back, &mut undo);
        self.undo.extend(undo.into_iter().map(Undo::Budget));
    }

    /// The places of both accounts.
    fn legs(
        &self,
        id: &TransferId,
        from: &AccountId,
        to: &AccountId,
        money: Money,
    ) -> Result<(usize, usize), Rejection> {
        if money.amount().is_zero() {
            return Err(Rejection::Zero { id: id.clone() });
        }
        if from == to {
            return Err(Rejection::SameAccount { id: id.clone(), account: from.clone() });
        }
        let place = |account: &AccountId| -> Result<usize, Rejection> {
            let currency: Currency = money.currency();
            let index: &HashMap<_, usize> = &self.index;
            let unknown = || Rejection::UnknownAccount { account: account.clone(), currency };
            index.get(&(account.clone(), currency)).copied().ok_or_else(unknown)
        };
        Ok((place(from)?, place(to)?))
    }

    fn check_unused(&self, print: Fingerprint, id: &TransferId) -> Result<(), Rejection> {
        if self.seen.contains_key(&print.key) { Err(Rejection::IdReused { id: id.clone() }) } else { Ok(()) }
    }

    fn check_available(&self, from: usize, needed: Money) -> Result<(), Rejection> {
        let Some(slot) = self.accounts.get(from) else { return Ok(()) };
        let available = slot.available();
        if slot.account.kind == AccountKind::Issuance || available >= needed.amount() {
            return Ok(());
        }
        let available = money(available.units(), needed.currency());
        Err(Rejection::InsufficientFunds { account: slot.account.id.clone(), needed, available })
    }

    /// Moves money between two accounts: both legs, and what is in circulation.
    fn shift(&mut self, from: usize, to: usize, moved: Money) -> Result<(), Rejection> {
        let overflow = || Rejection::Overflow { money: moved };
        let units = i128::try_from(moved.amount().units()).map_err(|_| overflow())?;
        let mut issued = self.issued.get(&moved.currency()).copied().unwrap_or_default();
        let before = issued;
        for (index, change) in [(from, units.checked_neg().ok_or_else(overflow)?), (to, units)] {
            let Some(slot) = self.accounts.get_mut(index) else { return Err(overflow()) };
            let posted = slot.posted.checked_add(change).ok_or_else(overflow)?;
            let below = |units: i128| if units < 0 { units.unsigned_abs() } else { 0 };
            issued = issued.checked_add(below(posted)).ok_or_else(overflow)?;
            issued = issued.checked_sub(below(slot.posted)).ok_or_else(overflow)?;
            self.undo.push(Undo::Slot { index, posted: slot.posted, held: slot.held });
            slot.posted = posted;
        }
        if issued > MAX_ISSUED {
            // The legs are taken back by the caller's rollback.
            return Err(overflow());
        }
        if issued != before {
            self.undo.push(Undo::Issued(moved.currency(), before));
            self.issued.insert(moved.currency(), issued);
        }
        Ok(())
    }

    fn set_held(
        &mut self,
        index: usize,
        change: impl FnOnce(u128) -> Option<u128>,
        money: Money,
    ) -> Result<(), Rejection> {
        let overflow = || Rejection::Overflow { money };
        let slot = self.accounts.get_mut(index).ok_or_else(overflow)?;
        let held = change(slot.held).ok_or_else(overflow)?;
        self.undo.push(Undo::Slot { index, posted: slot.posted, held: slot.held });
        slot.held = held;
        Ok(())
    }

    fn remember(&mut self, print: Fingerprint) {
        self.seen.insert(print.key, print.content);
        self.undo.push(Undo::Seen(print.key));
    }

    fn count_transfer(&mut self) {
        self.undo.push(Undo::Transfers(self.transfers));
        self.transfers = self.transfers.saturating_add(1);
    }
}
