//! Budgets: how much an agent may spend in a period.

use std::num::NonZeroU64;
use std::time::Duration;

use daa_core::amount::{Amount, Currency, Money};
use daa_core::clock::Timestamp;
use daa_core::id::AgentId;
use serde::{Deserialize, Serialize};

use crate::name::BudgetName;

/// A length of time, at least one millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Window(NonZeroU64);

impl Window {
    /// One hour.
    pub const HOUR: Self = Self(NonZeroU64::MIN.saturating_add(3_600_000 - 1));
    /// One day of 24 hours; as a [`Period::Fixed`] the calendar day in UTC.
    pub const DAY: Self = Self(NonZeroU64::MIN.saturating_add(86_400_000 - 1));

    /// A window of `span`, in whole milliseconds; `None` for less than one, or more than fit.
    #[must_use]
    pub fn new(span: Duration) -> Option<Self> {
        u64::try_from(span.as_millis()).ok().and_then(NonZeroU64::new).map(Self)
    }

    /// Its length in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get()
    }

    /// The number of the fixed window, counted from the Unix epoch, that `at` lies in.
    #[must_use]
    pub const fn number(self, at: Timestamp) -> u64 {
        at.as_millis() / self.as_millis()
    }
}

/// Over which time a budget adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Period {
    /// Not at all: the limit holds for each action by itself.
    PerAction,
    /// Windows of fixed length that follow each other from the Unix epoch on: hours, or UTC calendar days.
    /// The whole limit may be spent at the end of one and again at the start of the next; where that is too
    /// much, use [`Self::Rolling`].
    Fixed(Window),
    /// The window that ends now. What was spent exactly one window ago counts no more.
    Rolling(Window),
    /// For as long as the budget stands.
    Total,
}

/// How much an agent may spend in a period. All budgets of an agent in a currency must allow a spending; an
/// agent without any may spend nothing.
///
/// What counts is what is reserved and what was settled, at the moment of the reservation, from when the budget
/// was set. What is released, or not needed when it is settled, counts no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Budget {
    /// Its name, one per agent and currency.
    pub name: BudgetName,
    /// Whose it is.
    pub agent: AgentId,
    /// The most that may be spent in a period, and the currency that the budget is about.
    pub limit: Money,
    /// The period.
    pub period: Period,
}

impl Budget {
    /// A budget.
    #[must_use]
    pub const fn new(name: BudgetName, agent: AgentId, limit: Money, period: Period) -> Self {
        Self { name, agent, limit, period }
    }

    /// The currency that it is about.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.limit.currency()
    }
}

/// A budget and how much of it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// The budget.
    pub budget: Budget,
    /// What is reserved or spent in the period; more than the limit when that was lowered afterwards.
    pub used: Amount,
    /// What may still be spent in the period.
    pub remaining: Amount,
}

impl BudgetStatus {
    pub(crate) const fn new(budget: Budget, used: Amount) -> Self {
        let remaining = match budget.limit.amount().checked_sub(used) {
            Some(remaining) => remaining,
            None => Amount::ZERO,
        };
        Self { budget, used, remaining }
    }
}
