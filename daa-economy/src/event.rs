//! What happens to the ledger, as it is stored.

use std::collections::HashMap;

use daa_core::amount::{Amount, Currency};
use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::event::{DecodeError, NewEvent, RecordedEvent};
use daa_core::id::{AccountId, AgentId, EventKind, TransferId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::account::Account;
use crate::budget::Budget;
use crate::name::BudgetName;
use crate::transfer::{Hold, Memo, Transfer};

/// Why a hold was voided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VoidCause {
    /// Somebody released it.
    Released,
    /// Its time had come.
    Expired,
}

/// What happens to the ledger. Each event conserves money: what leaves one account comes to another in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum LedgerEvent {
    /// An account was opened.
    Opened(Account),
    /// Money moved; one transfer or many.
    Transferred(Transfers),
    /// Money was set aside.
    Held(Hold),
    /// Some of what was set aside moved, and the rest is free.
    Posted(Posted),
    /// What was set aside is free.
    Voided(Voided),
    /// A budget was set, or its limit changed.
    BudgetSet(Budget),
    /// A budget was taken away.
    BudgetLifted(BudgetLifted),
}

/// A hold was posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Posted {
    /// The hold.
    pub hold: TransferId,
    /// How much of it, in smallest units.
    pub amount: Amount,
}

/// A hold was voided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Voided {
    /// The hold.
    pub hold: TransferId,
    /// What ended it.
    pub cause: VoidCause,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Memo>,
}

/// A budget was taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BudgetLifted {
    /// Whose it was.
    pub agent: AgentId,
    /// The currency that it was about.
    pub currency: Currency,
    /// Its name.
    pub name: BudgetName,
}

impl LedgerEvent {
    /// The name that events of this kind are stored under.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Opened(_) => "ledger.opened.v1",
            Self::Transferred(_) => "ledger.transferred.v1",
            Self::Held(_) => "ledger.held.v1",
            Self::Posted(_) => "ledger.posted.v1",
            Self::Voided(_) => "ledger.voided.v1",
            Self::BudgetSet(_) => "ledger.budget_set.v1",
            Self::BudgetLifted(_) => "ledger.budget_lifted.v1",
        }
    }

    /// Reads a recorded event; `None` for one that is of no kind of the ledger's.
    ///
    /// # Errors
    /// [`DecodeError`] when it is, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match event.kind.as_str() {
            "ledger.opened.v1" => Self::Opened(event.json()?),
            "ledger.transferred.v1" => Self::Transferred(event.json()?),
            "ledger.held.v1" => Self::Held(event.json()?),
            "ledger.posted.v1" => Self::Posted(event.json()?),
            "ledger.voided.v1" => Self::Voided(event.json()?),
            "ledger.budget_set.v1" => Self::BudgetSet(event.json()?),
            "ledger.budget_lifted.v1" => Self::BudgetLifted(event.json()?),
            _ => return Ok(None),
        }))
    }

    /// The event as it is appended.
    ///
    /// # Errors
    /// [`DecodeError`] when it has no JSON form, which no event of the books does.
    pub fn to_new(&self, at: Timestamp) -> Result<NewEvent, DecodeError> {
        NewEvent::json(kind_of(self), at, self)
    }
}

const fn kind_of(event: &LedgerEvent) -> EventKind {
    EventKind::constant(event.kind())
}

/// The transfers of one event.
///
/// Stored as JSON with the names of accounts and currencies once per event, and one short row per transfer:
/// `[id, from, to, currency, amount]`, where the middle three are indexes. Memo and evidence stand beside, for
/// those rows that have any. With 12-byte ids, 1,000 accounts and full batches a transfer takes 36 bytes
/// (`cargo run --release --manifest-path benches/Cargo.toml -- ledger`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfers(Vec<Transfer>);

impl Transfers {
    pub(crate) const fn new(transfers: Vec<Transfer>) -> Self {
        Self(transfers)
    }

    /// The transfers, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Transfer] {
        &self.0
    }
}

type Row = (TransferId, u32, u32, u32, Amount);

#[derive(Serialize, Deserialize)]
#[serde(rename = "Transfers")]
struct Table {
    currencies: Vec<Currency>,
    accounts: Vec<AccountId>,
    transfers: Vec<Row>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Note>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    row: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memo: Option<Memo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<Digest>,
}

/// Numbers distinct values in the order in which they first occur.
struct Interned<T> {
    values: Vec<T>,
    indexes: HashMap<T, u32>,
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn new() -> Self {
        Self { values: Vec::new(), indexes: HashMap::new() }
    }

    fn index(&mut self, value: &T) -> u32 {
        if let Some(&index) = self.indexes.get(value) {
            return index;
        }
        let index = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.indexes.insert(value.clone(), index);
        index
    }
}

impl Serialize for Transfers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut accounts, mut currencies) = (Interned::new(), Interned::new());
        let mut transfers = Vec::with_capacity(self.0.len());
        let mut notes = Vec::new();
        for (row, transfer) in (0u32..).zip(&self.0) {
            let (from, to) = (accounts.index(&transfer.from), accounts.index(&transfer.to));
            let currency = currencies.index(&transfer.money.currency());
            transfers.push((transfer.id.clone(), from, to, currency, transfer.money.amount()));
            if transfer.memo.is_some() || transfer.evidence.is_some() {
                notes.push(Note { row, memo: transfer.memo.clone(), evidence: transfer.evidence });
            }
        }
        let (accounts, currencies) = (accounts.values, currencies.values);
        Table { currencies, accounts, transfers, notes }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Transfers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let at = |index: u32| usize::try_from(index).unwrap_or(usize::MAX);
        let account = |index| table.accounts.get(at(index)).cloned();
        let mut transfers = Vec::with_capacity(table.transfers.len());
        for (id, from, to, currency, amount) in table.transfers {
            let legs = account(from).zip(account(to)).zip(table.currencies.get(at(currency)));
            let Some(((from, to), currency)) = legs else {
                return Err(D::Error::custom(format!("transfer {id} refers to a row that is not there")));
            };
            transfers.push(Transfer::new(id, from, to, currency.units(amount.units())));
        }
        for note in table.notes {
            let Some(transfer) = transfers.get_mut(at(note.row)) else {
                return Err(D::Error::custom(format!(
                    "a note refers to row {}, which is not there",
                    note.row
                )));
            };
            (transfer.memo, transfer.evidence) = (note.memo, note.evidence);
        }
        Ok(Self(transfers))
    }
}
