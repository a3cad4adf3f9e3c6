//! The treasury that the gate asks before an action that may cost something.

use async_trait::async_trait;
use daa_core::action::{Action, Refusal, ReservationId, Treasury, TreasuryChange, TreasuryError};
use daa_core::amount::Money;
use daa_core::clock::Timestamp;
use daa_core::event::StreamWrite;
use daa_core::id::{AccountId, TransferId};

use crate::account::{Account, AccountKind};
use crate::change::LedgerChange;
use crate::command::{Applied, Command};
use crate::ledger::Ledger;
use crate::rejection::Rejection;
use crate::transfer::{Hold, Spending};

/// Reserves what the actions of agents may cost: as holds on their accounts, within their budgets, for one payee.
///
/// An action of agent `alice` spends from the account `agent/alice`. What is reserved is named after the action,
/// `action/ID`, so an action never has two reservations at a time; one that took no effect and is asked for again has
/// `action.2/ID`, and so on. The gate appends the hold together with its decision, and the posting together with the
/// outcome: a crash leaves both or none.
///
/// An agent without a budget in the currency can spend nothing.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// use daa_core::action::{Gate, Policy};
/// use daa_core::amount::Currency;
/// use daa_core::clock::SystemClock;
/// use daa_core::event::MemoryEventStore;
/// use daa_economy::{AgentTreasury, Budget, Ledger, Period, Window};
///
/// # async fn example(rules: Arc<dyn Policy>) -> Result<(), Box<dyn std::error::Error>> {
/// let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
/// let ledger = Ledger::open(store.clone(), clock.clone()).await?;
/// let usdc = Currency::new("USDC", 6)?;
/// let daily = Budget::new("daily".try_into()?, "alice".try_into()?, usdc.parse("25")?, Period::Fixed(Window::DAY));
/// ledger.set_budget(daily).await?;
/// let gate = Gate::builder(store, clock)
///     .with_policy(rules)
///     .with_treasury(Arc::new(AgentTreasury::new(ledger, "fees".try_into()?)))
///     .build();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AgentTreasury {
    ledger: Ledger,
    payee: AccountId,
}

impl AgentTreasury {
    /// Pays what actions cost to the account `payee`, which may be of any kind; unless there is one in a
    /// currency, it is opened as [`AccountKind::Treasury`] when that is first spent. `ledger` must be on the gate's own event store.
    #[must_use]
    pub const fn new(ledger: Ledger, payee: AccountId) -> Self {
        Self { ledger, payee }
    }
}

#[async_trait]
impl Treasury for AgentTreasury {
    async fn begin(&self) -> Result<Box<dyn TreasuryChange>, TreasuryError> {
        let ledger = self.ledger.begin().await.map_err(TreasuryError::new)?;
        Ok(Box::new(Reserving { ledger, payee: self.payee.clone() }))
    }
}

#[derive(Debug)]
struct Reserving {
    ledger: LedgerChange,
    payee: AccountId,
}

impl TreasuryChange for Reserving {
    fn reserve(&mut self, action: &Action, now: Timestamp) -> Result<ReservationId, Refusal> {
        let actor = action.actor();
        let id = reservation_of(action, 1);
        let Some(cost) = action.max_cost() else { return Err(Refusal::NotOpen { reservation: id }) };
        let no_account = || Refusal::NoAccount { actor: actor.to_string(), cost };
        let account = Account::of_agent(actor, cost.currency()).map_err(|_| no_account())?;
        if self.ledger.books().balance(&account.id, cost.currency()).is_none() {
            return Err(no_account());
        }
        if cost.amount().is_zero() {
            return Err(Refusal::OverReservation { actual: cost, reserved: cost });
        }
        let payee = Account::new(self.payee.clone(), cost.currency(), AccountKind::Treasury);
        self.ledger.ensure_account(payee.clone(), now).map_err(|rejection| refusal(rejection, &id, cost))?;
        let id = self.reservation(action);
        let hold = Hold::new(id.clone(), account.id, payee.id, cost)
            .with_spending(Spending::new(actor.clone(), now));
        match self.ledger.step(Command::Hold(hold), now) {
            Ok(Applied::Before | Applied::Now) => Ok(id),
            Err(rejection) => Err(refusal(rejection, &id, cost)),
        }
    }

    fn settle(&mut self, reservation: &ReservationId, actual: Money, now: Timestamp) -> Result<(), Refusal> {
        let reserved = self.reserved(reservation)?;
        if actual.currency() != reserved.currency() {
            return Err(Refusal::OverReservation { actual, reserved });
        }
        if actual.amount().is_zero() {
            return self.release(reservation, now);
        }
        let post = Command::Post { hold: reservation.clone(), amount: actual.amount() };
        self.end(post, reservation, actual, now)
    }

    fn release(&mut self, reservation: &ReservationId, now: Timestamp) -> Result<(), Refusal> {
        let reserved = self.reserved(reservation)?;
        self.end(Command::Void { hold: reservation.clone(), memo: None }, reservation, reserved, now)
    }

    fn writes(&self) -> Vec<StreamWrite> {
        self.ledger.writes()
    }

    fn confirm(self: Box<Self>) {
        self.ledger.confirm();
    }
}

impl Reserving {
    /// The name of the reservation that an action has, or else of its next one. Those it had were given back, and are
    /// numbered without a gap.
    fn reservation(&self, action: &Action) -> TransferId {
        let books = self.ledger.books();
        let had = |go| books.knows(&reservation_of(action, go));
        let (mut low, mut high) = (0, 1);
        while high < u32::MAX && had(high) {
            (low, high) = (high, high.saturating_mul(2));
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if had(middle) { low = middle } else { high = middle }
        }
        let last = reservation_of(action, low);
        if low > 0 && books.hold(&last).is_some() { last } else { reservation_of(action, high) }
    }

    fn reserved(&self, reservation: &ReservationId) -> Result<Money, Refusal> {
        let hold = self.ledger.books().hold(reservation);
        let not_open = || Refusal::NotOpen { reservation: reservation.clone() };
        hold.map(|hold| hold.money).ok_or_else(not_open)
    }

    fn end(
        &mut self,
        command: Command,
        reservation: &ReservationId,
        money: Money,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.ledger.step(command, now).map_err(|rejection| refusal(rejection, reservation, money))?;
        Ok(())
    }
}

/// The first go at an action is named after it; those that follow are numbered before its id, which may hold any
/// character: so no two actions share a name.
#[expect(clippy::expect_used, reason = "an action id has at most 180 bytes of the same alphabet")]
fn reservation_of(action: &Action, go: u32) -> TransferId {
    let name = match go {
        1 => format!("action/{}", action.id()),
        go => format!("action.{go}/{}", action.id()),
    };
    TransferId::new(name).expect("prefix and number leave room for an action id")
}

/// What the gate is told when the books refuse.
fn refusal(rejection: Rejection, reservation: &ReservationId, needed: Money) -> Refusal {
    match rejection {
        Rejection::InsufficientFunds { needed, available, .. } => {
            Refusal::InsufficientFunds { needed, available }
        }
        Rejection::OverBudget { budget, needed, remaining } => {
            Refusal::OverBudget { budget: budget.to_string(), needed, remaining }
        }
        Rejection::NoBudget { agent, needed } => Refusal::NoBudget { actor: agent.to_string(), needed },
        Rejection::OverHold { actual, held, .. } => Refusal::OverReservation { actual, reserved: held },
        Rejection::IdReused { id } => Refusal::IdReused { transfer: id },
        Rejection::NotOpen { hold } => Refusal::NotOpen { reservation: hold },
        Rejection::UnknownAccount { account, .. }
        | Rejection::AccountDiffers { account, .. }
        | Rejection::NotTheAgents { account, .. }
        | Rejection::SameAccount { account, .. } => {
            Refusal::NoAccount { actor: account.to_string(), cost: needed }
        }
        _ => Refusal::NotOpen { reservation: reservation.clone() },
    }
}
