//! What the gate asks of whoever keeps the money.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::request::Action;
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::event::StreamWrite;
use crate::fault::{Fault, Reaction, Retry};
use crate::id::TransferId;

/// Names a reservation: money that is held for one action.
pub type ReservationId = TransferId;

/// Keeps money and budgets, and reserves what an action may cost.
///
/// Only the gate drives it: it begins a [`TreasuryChange`], appends the change's writes together with its own,
/// and confirms the change when the append is durable. So a decision and its reservation, and an outcome and its
/// settlement, are never apart.
#[async_trait]
pub trait Treasury: Send + Sync + fmt::Debug {
    /// Begins a change. No other change of this treasury begins until this one is confirmed or dropped; dropping
    /// it undoes it.
    ///
    /// The change is based on everything that is durable when it begins: an earlier change that became durable
    /// without being confirmed, or that another process wrote, is read first.
    ///
    /// # Errors
    /// [`TreasuryError`] when the state of the books cannot be read.
    async fn begin(&self) -> Result<Box<dyn TreasuryChange>, TreasuryError>;
}

/// A change to the books that is being prepared; nothing of it counts before [`Self::confirm`].
pub trait TreasuryChange: Send + fmt::Debug {
    /// Holds the action's `max_cost` of its actor, within the actor's funds and budgets. An action without a
    /// cost is never brought here. An action that is submitted again is brought here again; the gate then drops
    /// the change, or never records the refusal, because the action's own stream exists.
    ///
    /// # Errors
    /// [`Refusal`] when funds or budget do not cover it.
    fn reserve(&mut self, action: &Action, now: Timestamp) -> Result<ReservationId, Refusal>;

    /// Spends `actual` of what was reserved and gives the rest back. Never more than was reserved.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such open reservation, or `actual` exceeds it.
    fn settle(&mut self, reservation: &ReservationId, actual: Money, now: Timestamp) -> Result<(), Refusal>;

    /// Gives all of what was reserved back.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such open reservation.
    fn release(&mut self, reservation: &ReservationId, now: Timestamp) -> Result<(), Refusal>;

    /// The writes that make this change durable; the caller appends them in one batch with its own.
    fn writes(&self) -> Vec<StreamWrite>;

    /// Tells the treasury that the writes are durable.
    fn confirm(self: Box<Self>);
}

/// Why money is not reserved, settled or released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// The gate was given no treasury, so nothing that costs is possible.
    #[error("the action may cost {cost}, but no treasury is configured")]
    NoTreasury {
        /// What it may cost.
        cost: Money,
    },
    /// The account does not have it.
    #[error("{needed} are needed, {available} are available")]
    InsufficientFunds {
        /// What is needed.
        needed: Money,
        /// What is there and not held for something else.
        available: Money,
    },
    /// The budget does not allow it.
    #[error("budget {budget} allows {remaining} more in this period, {needed} are needed")]
    OverBudget {
        /// The budget.
        budget: String,
        /// What is needed.
        needed: Money,
        /// What is left in the period.
        remaining: Money,
    },
    /// The actor has no budget in this currency, so it may spend nothing of it.
    #[error("{actor} has no budget to spend {needed} from")]
    NoBudget {
        /// Who wanted to spend.
        actor: String,
        /// What is needed.
        needed: Money,
    },
    /// The actor has no account in this currency.
    #[error("{actor} has no account for {cost}")]
    NoAccount {
        /// Who wanted to spend.
        actor: String,
        /// What it would have cost.
        cost: Money,
    },
    /// The reservation is unknown, or was settled or released before.
    #[error("reservation {reservation} is not open")]
    NotOpen {
        /// The reservation.
        reservation: ReservationId,
    },
    /// More is to be settled than was reserved.
    #[error("{actual} are to be settled, but only {reserved} were reserved")]
    OverReservation {
        /// What the effect cost.
        actual: Money,
        /// What was reserved.
        reserved: Money,
    },
    /// The same idempotency key was used for something else.
    #[error("transfer {transfer} exists with other content")]
    IdReused {
        /// The key.
        transfer: TransferId,
    },
}

impl Reaction for Refusal {
    fn fault(&self) -> Fault {
        match self {
            Self::NotOpen { .. } => Fault::Bug,
            _ => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::InsufficientFunds { .. } | Self::OverBudget { .. } | Self::NoBudget { .. } => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// The books cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the books cannot be read")]
#[non_exhaustive]
pub struct TreasuryError {
    /// What went wrong.
    #[source]
    pub source: Box<dyn StdError + Send + Sync>,
}

impl TreasuryError {
    /// Wraps what went wrong.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

impl Reaction for TreasuryError {
    fn fault(&self) -> Fault {
        Fault::Environment
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }
}

/// The treasury of a gate that was given none: whatever costs is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSpending;

#[async_trait]
impl Treasury for NoSpending {
    async fn begin(&self) -> Result<Box<dyn TreasuryChange>, TreasuryError> {
        Ok(Box::new(*self))
    }
}

impl TreasuryChange for NoSpending {
    fn reserve(&mut self, action: &Action, _: Timestamp) -> Result<ReservationId, Refusal> {
        match action.max_cost() {
            Some(cost) => Err(Refusal::NoTreasury { cost }),
            None => Err(Refusal::NotOpen { reservation: reservation_of(action) }),
        }
    }

    fn settle(&mut self, reservation: &ReservationId, _: Money, _: Timestamp) -> Result<(), Refusal> {
        Err(Refusal::NotOpen { reservation: reservation.clone() })
    }

    fn release(&mut self, reservation: &ReservationId, _: Timestamp) -> Result<(), Refusal> {
        Err(Refusal::NotOpen { reservation: reservation.clone() })
    }

    fn writes(&self) -> Vec<StreamWrite> {
        Vec::new()
    }

    fn confirm(self: Box<Self>) {}
}

/// An id made from the action's.
#[expect(clippy::expect_used, reason = "an action id is a valid id of the same alphabet and length")]
fn reservation_of(action: &Action) -> ReservationId {
    ReservationId::new(action.id().as_str()).expect("an action id is a valid id")
}
