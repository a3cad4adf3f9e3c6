//! Accounts, and what is on them.

use daa_core::amount::{Amount, Currency};
use daa_core::id::{AccountId, AgentId, IdError};
use serde::{Deserialize, Serialize};

/// What an account is for, which decides what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccountKind {
    /// Belongs to an agent. Only from these can be spent within budgets.
    Agent,
    /// Belongs to the house: fees, reward pools, what was slashed.
    Treasury,
    /// Money that waits for a decision, such as a stake.
    Escrow,
    /// Where money comes from and goes to: the outside, or a mint. Only these go below zero, by as much as all
    /// others together have, so that the sum of all accounts is zero.
    Issuance,
}

/// An account: a name, a currency and a kind. The same name may stand for one account in each currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Account {
    /// The name.
    #[serde(rename = "account")]
    pub id: AccountId,
    /// What it is counted in.
    pub currency: Currency,
    /// What it is for.
    pub kind: AccountKind,
}

impl Account {
    /// An account.
    #[must_use]
    pub const fn new(id: AccountId, currency: Currency, kind: AccountKind) -> Self {
        Self { id, currency, kind }
    }

    /// The account of an agent: `agent/ID`.
    ///
    /// # Errors
    /// [`IdError::TooLong`] when the agent's id leaves no room for the prefix.
    pub fn of_agent(agent: &AgentId, currency: Currency) -> Result<Self, IdError> {
        Ok(Self::new(agent_account(agent)?, currency, AccountKind::Agent))
    }
}

/// The name of an agent's account: `agent/ID`.
///
/// # Errors
/// [`IdError::TooLong`] when the agent's id leaves no room for the prefix.
pub fn agent_account(agent: &AgentId) -> Result<AccountId, IdError> {
    AccountId::new(format!("agent/{agent}"))
}

/// An account and what is on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Balance {
    /// The account.
    pub account: Account,
    /// What was posted, in smallest units; below zero only for [`AccountKind::Issuance`].
    pub posted: i128,
    /// How much of it is held.
    pub held: Amount,
}

impl Balance {
    pub(crate) const fn new(account: Account, posted: i128, held: Amount) -> Self {
        Self { account, posted, held }
    }

    /// What is there and not held: zero for an account below zero.
    #[must_use]
    pub const fn available(&self) -> Amount {
        available(self.posted, self.held)
    }
}

pub(crate) const fn available(posted: i128, held: Amount) -> Amount {
    if posted <= 0 {
        return Amount::ZERO;
    }
    match Amount::from_units(posted.unsigned_abs()).checked_sub(held) {
        Some(amount) => amount,
        None => Amount::ZERO,
    }
}
