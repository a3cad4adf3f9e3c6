//! The books: the pure state of the ledger.

mod budgets;
mod post;
mod undo;
mod usage;

use std::collections::{BTreeMap, HashMap};

use daa_core::amount::{Amount, Currency, Money};
use daa_core::clock::Timestamp;
use daa_core::id::{AccountId, AgentId, TransferId};

use self::budgets::Budgets;
use self::undo::Undo;
use self::usage::SpendKey;
use crate::account::{Account, Balance, available};
use crate::budget::BudgetStatus;
use crate::command::{Applied, Command};
use crate::event::{BudgetLifted, LedgerEvent, Posted, Transfers, VoidCause, Voided};
use crate::rejection::Rejection;
use crate::transfer::{Fingerprint, Hold, Spending, Transfer, closing};

/// The state of the ledger: accounts, holds, budgets, and what was done before. No I/O, no clock.
///
/// # Contract
///
/// - [`step`](Self::step) does a command at once and returns the event that others need to follow;
///   [`apply`](Self::apply) follows. Both check everything, and either do all or change nothing.
/// - After every event, in every currency, the sum over all accounts is zero, no account but those of
///   [`AccountKind::Issuance`](crate::AccountKind::Issuance) is below zero, and none has more held than posted.
/// - What was done since the last [`commit`](Self::commit) can be taken back by [`rollback`](Self::rollback).
///
/// # Memory
/// The books remember every transfer for ever, to refuse its repetition: 32 bytes each in a hash table, 38 to
/// 75 bytes with its slack; a hold that has ended takes two of these.
#[derive(Debug, Default)]
pub struct Books {
    accounts: Vec<Slot>,
    index: HashMap<(AccountId, Currency), usize>,
    /// What the content was of every id ever used.
    seen: HashMap<[u8; 16], [u8; 16]>,
    holds: HashMap<TransferId, OpenHold>,
    budgets: Budgets,
    /// For each currency, how much its issuance accounts are below zero, together.
    issued: BTreeMap<Currency, u128>,
    transfers: u64,
    undo: Vec<Undo>,
}

#[derive(Debug)]
struct Slot {
    account: Account,
    posted: i128,
    held: u128,
}

impl Slot {
    fn balance(&self) -> Balance {
        Balance::new(self.account.clone(), self.posted, Amount::from_units(self.held))
    }

    const fn available(&self) -> Amount {
        available(self.posted, Amount::from_units(self.held))
    }
}

#[derive(Debug)]
struct OpenHold {
    hold: Hold,
    from: usize,
    to: usize,
    spent: Option<SpendKey>,
}

/// A place in the changes since the last commit.
#[derive(Clone, Copy, Debug)]
pub struct Savepoint(usize);

/// What became of a batch of independent transfers.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchOutcome {
    /// The event, when any transfer had an effect.
    pub event: Option<LedgerEvent>,
    /// For each transfer what became of it, in order.
    pub results: Vec<Result<Applied, Rejection>>,
}

impl Books {
    /// Empty books.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Does a command; `None` when it was done before.
    ///
    /// # Errors
    /// [`Rejection`] when it cannot be done; nothing has changed then.
    pub fn step(&mut self, command: Command) -> Result<Option<LedgerEvent>, Rejection> {
        let event = match command {
            Command::Transfer(transfers) => return self.step_linked(transfers),
            Command::Open(account) => match self.slot(&account.id, account.currency) {
                Some(slot) if slot.account == account => return Ok(None),
                _ => LedgerEvent::Opened(account),
            },
            Command::Hold(hold) => {
                if self.done_before(hold.fingerprint(), &hold.id)? {
                    return Ok(None);
                }
                LedgerEvent::Held(self.dated(hold))
            }
            Command::Post { hold, amount } => {
                if self.ended_as(&hold, Some(amount)) {
                    return Ok(None);
                }
                LedgerEvent::Posted(Posted { hold, amount })
            }
            Command::Void { hold, memo } => {
                if self.ended_as(&hold, None) {
                    return Ok(None);
                }
                LedgerEvent::Voided(Voided { hold, cause: VoidCause::Released, memo })
            }
            Command::Expire { hold, now } => {
                if self.ended_as(&hold, None) {
                    return Ok(None);
                }
                let open = self.open_hold(&hold)?;
                if open.hold.expires.is_none_or(|expires| now < expires) {
                    let expires = open.hold.expires;
                    return Err(Rejection::NotExpired { hold, expires });
                }
                LedgerEvent::Voided(Voided { hold, cause: VoidCause::Expired, memo: None })
            }
            Command::SetBudget(budget) => {
                let event = LedgerEvent::BudgetSet(budget);
                return Ok(self.apply_counting(&event)?.then_some(event));
            }
            Command::LiftBudget { agent, currency, name } => {
                LedgerEvent::BudgetLifted(BudgetLifted { agent, currency, name })
            }
        };
        self.apply(&event)?;
        Ok(Some(event))
    }

    /// Makes transfers that do not depend on each other: those that can be made are, and share one event.
    pub fn step_batch(&mut self, transfers: Vec<Transfer>) -> BatchOutcome {
        let mut made = Vec::with_capacity(transfers.len());
        let mut results = Vec::with_capacity(transfers.len());
        for transfer in transfers {
            let result = self.step_transfer(&transfer);
            if result == Ok(Applied::Now) {
                made.push(transfer);
            }
            results.push(result);
        }
        let event = (!made.is_empty()).then(|| LedgerEvent::Transferred(Transfers::new(made)));
        BatchOutcome { event, results }
    }

    /// Follows an event of the stream.
    ///
    /// # Errors
    /// [`Rejection`] when no books would have written it; nothing has changed then.
    pub fn apply(&mut self, event: &LedgerEvent) -> Result<(), Rejection> {
        self.apply_counting(event).map(|_| ())
    }

    /// What is on an account; `None` when it was never opened in this currency.
    #[must_use]
    pub fn balance(&self, account: &AccountId, currency: Currency) -> Option<Balance> {
        self.slot(account, currency).map(Slot::balance)
    }

    /// All accounts, in the order in which they were opened.
    pub fn balances(&self) -> impl Iterator<Item = Balance> {
        self.accounts.iter().map(Slot::balance)
    }

    /// The sum over all accounts of a currency: zero, always.
    #[must_use]
    pub fn sum(&self, currency: Currency) -> i128 {
        // No partial sum leaves the range: what is in circulation is at most `i128::MAX`.
        self.accounts.iter().filter(|slot| slot.account.currency == currency).map(|slot| slot.posted).sum()
    }

    /// How many transfers were made, posted holds included.
    #[must_use]
    pub const fn transfers(&self) -> u64 {
        self.transfers
    }

    /// A hold that is open.
    #[must_use]
    pub fn hold(&self, id: &TransferId) -> Option<&Hold> {
        self.holds.get(id).map(|open| &open.hold)
    }

    /// All open holds, in no order.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values().map(|open| &open.hold)
    }

    /// The open holds that may be expired at `now`, in no order.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &Hold> {
        self.holds().filter(move |hold| hold.expires.is_some_and(|expires| expires <= now))
    }

    /// Whether a transfer or a hold of this id was ever made.
    #[must_use]
    pub fn knows(&self, id: &TransferId) -> bool {
        self.seen.contains_key(&crate::transfer::id_key(id))
    }

    /// Whether a hold ended by being posted.
    #[must_use]
    pub fn was_posted(&self, hold: &TransferId) -> bool {
        let voided = closing(hold, None);
        self.seen.get(&voided.key).is_some_and(|content| *content != voided.content)
    }

    /// The budgets of an agent in a currency, by name, as they stand at `now`.
    pub fn budgets(
        &self,
        agent: &AgentId,
        currency: Currency,
        now: Timestamp,
    ) -> impl Iterator<Item = BudgetStatus> {
        self.budgets.status(agent, currency, now)
    }

    fn slot(&self, account: &AccountId, currency: Currency) -> Option<&Slot> {
        self.accounts.get(*self.index.get(&(account.clone(), currency))?)
    }

    fn open_hold(&self, hold: &TransferId) -> Result<&OpenHold, Rejection> {
        self.holds.get(hold).ok_or_else(|| Rejection::NotOpen { hold: hold.clone() })
    }

    fn ended_as(&self, hold: &TransferId, posted: Option<Amount>) -> bool {
        let print = closing(hold, posted);
        self.seen.get(&print.key) == Some(&print.content)
    }

    fn done_before(&self, print: Fingerprint, id: &TransferId) -> Result<bool, Rejection> {
        match self.seen.get(&print.key) {
            None => Ok(false),
            Some(content) if *content == print.content => Ok(true),
            Some(_) => Err(Rejection::IdReused { id: id.clone() }),
        }
    }

    fn step_linked(&mut self, transfers: Vec<Transfer>) -> Result<Option<LedgerEvent>, Rejection> {
        let savepoint = self.savepoint();
        let mut made = Vec::with_capacity(transfers.len());
        for transfer in transfers {
            match self.step_transfer(&transfer) {
                Ok(Applied::Now) => made.push(transfer),
                Ok(Applied::Before) => {}
                Err(rejection) => {
                    self.rollback(savepoint);
                    return Err(rejection);
                }
            }
        }
        Ok((!made.is_empty()).then(|| LedgerEvent::Transferred(Transfers::new(made))))
    }

    fn step_transfer(&mut self, transfer: &Transfer) -> Result<Applied, Rejection> {
        let print = transfer.fingerprint();
        if self.done_before(print, &transfer.id)? {
            return Ok(Applied::Before);
        }
        let savepoint = self.savepoint();
        match self.apply_transfer(transfer, print) {
            Ok(()) => Ok(Applied::Now),
            Err(rejection) => {
                self.rollback(savepoint);
                Err(rejection)
            }
        }
    }

    /// Spending takes place no earlier than what was spent before it.
    fn dated(&self, mut hold: Hold) -> Hold {
        hold.spending = hold.spending.map(|Spending { agent, at }| {
            let at = self.budgets.moment(at);
            Spending { agent, at }
        });
        hold
    }
}

fn money(units: u128, currency: Currency) -> Money {
    currency.units(units)
}
