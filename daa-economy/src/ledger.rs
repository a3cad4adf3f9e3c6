//! The ledger: the books, on an event store.

use std::sync::Arc;

use daa_core::amount::{Amount, Currency};
use daa_core::clock::{Clock, Timestamp};
use daa_core::event::{AppendError, Batch, EventStore};
use daa_core::id::{AccountId, AgentId, TransferId};
use tokio::sync::Mutex;

use crate::account::{Account, Balance};
use crate::books::Books;
use crate::budget::{Budget, BudgetStatus};
use crate::change::{LedgerChange, State};
use crate::command::{Applied, Command};
use crate::error::LedgerError;
use crate::name::BudgetName;
use crate::rejection::Rejection;
use crate::transfer::{Hold, MAX_MEMO_LEN, Memo, Transfer};

/// How often an append is tried again when another writer was faster, or it was not confirmed.
const MAX_CONFLICTS: u32 = 32;
/// The most transfers in one event of a batch.
const MAX_CHUNK: usize = 8_192;
/// The most bytes that the transfers of one event may take, well below the bound of a store.
const MAX_CHUNK_BYTES: usize = 768 << 10;

/// The ledger: double entry, on the stream `ledger` of an event store. Clones share one state; several ledgers,
/// also of several processes, may share one store.
///
/// # Contract
///
/// - What is acknowledged is durable. What is refused has changed nothing.
/// - Every command is safe to repeat: ids are remembered for ever, and a repetition has no effect.
/// - Every call first reads what others wrote, so answers are never older than the call.
///
/// # Cancel safety
/// A dropped call has done all of its change or nothing; call it again to be sure.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// use daa_core::amount::Currency;
/// use daa_core::clock::SystemClock;
/// use daa_core::event::MemoryEventStore;
/// use daa_economy::{Account, AccountKind, Ledger, Transfer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = Ledger::open(Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new())).await?;
/// let usdc = Currency::new("USDC", 6)?;
/// ledger.open_account(Account::new("mint".try_into()?, usdc, AccountKind::Issuance)).await?;
/// ledger.open_account(Account::of_agent(&"alice".try_into()?, usdc)?).await?;
/// let gift = Transfer::new("gift-1".try_into()?, "mint".try_into()?, "agent/alice".try_into()?, usdc.parse("2.50")?);
/// ledger.transfer(gift.clone()).await?;
/// ledger.transfer(gift).await?; // the same id: no second effect
///
/// let balance = ledger.balance(&"agent/alice".try_into()?, usdc).await?.map(|balance| balance.posted);
/// assert_eq!(balance, Some(2_500_000));
/// assert_eq!(ledger.sum(usdc).await?, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

impl Ledger {
    /// Reads the ledger of a store; an empty store has an empty ledger.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read, or its ledger is damaged.
    pub async fn open(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> Result<Self, LedgerError> {
        let mut state = State::new();
        state.catch_up(&*store).await?;
        Ok(Self { store, clock, state: Arc::new(Mutex::new(state)) })
    }

    /// The present moment, by the ledger's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Begins a change that is to be appended together with other writes.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read, or its ledger is damaged.
    pub async fn begin(&self) -> Result<LedgerChange, LedgerError> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        state.catch_up(&*self.store).await?;
        Ok(LedgerChange::new(state))
    }

    /// Does several commands in one append, all or none: `plan` steps them, and is called again when another
    /// writer was faster.
    ///
    /// # Errors
    /// What `plan` returns, or [`LedgerError`] of the store; nothing changed then.
    pub async fn update<T>(
        &self,
        mut plan: impl FnMut(&mut LedgerChange, Timestamp) -> Result<T, Rejection>,
    ) -> Result<T, LedgerError> {
        let mut unconfirmed = None;
        for _ in 0..MAX_CONFLICTS {
            let mut change = self.begin().await?;
            let done = plan(&mut change, self.clock.now())?;
            if change.is_empty() {
                return Ok(done);
            }
            let mut batch = Batch::new();
            batch.writes = change.writes();
            match self.store.append(batch).await {
                Ok(_) => {
                    change.confirm();
                    return Ok(done);
                }
                Err(AppendError::Conflict { .. }) => {}
                // If it is durable after all, the next round finds that it was done before.
                Err(error @ AppendError::Unconfirmed { .. }) => unconfirmed = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(unconfirmed.map_or(LedgerError::Contended { tries: MAX_CONFLICTS }, LedgerError::Append))
    }

    /// Does one command.
    ///
    /// # Errors
    /// [`LedgerError::Rejected`] when the books refuse it; otherwise what is wrong with the store.
    pub async fn perform(&self, command: Command) -> Result<Applied, LedgerError> {
        self.update(|change, now| change.step(command.clone(), now)).await
    }

    /// Opens an account. Opening the same one again has no effect.
    ///
    /// # Errors
    /// [`Rejection::AccountDiffers`] when it is open as another kind; otherwise as [`Self::perform`].
    pub async fn open_account(&self, account: Account) -> Result<Applied, LedgerError> {
        self.perform(Command::Open(account)).await
    }

    /// Makes one transfer.
    ///
    /// # Errors
    /// As [`Self::perform`].
    pub async fn transfer(&self, transfer: Transfer) -> Result<Applied, LedgerError> {
        self.perform(Command::Transfer(vec![transfer])).await
    }

    /// Makes linked transfers: all of them, in this order, or none. They must fit into one event (1 MiB).
    ///
    /// # Errors
    /// As [`Self::perform`].
    pub async fn transfer_linked(&self, transfers: Vec<Transfer>) -> Result<Applied, LedgerError> {
        self.perform(Command::Transfer(transfers)).await
    }

    /// Makes many transfers that do not depend on each other, as fast as the store allows: up to 8,192 of them
    /// share an append. Says of each, in order, what became of it.
    ///
    /// # Errors
    /// [`LedgerError`] of the store. Some of the transfers may have been made then: repeat the whole batch.
    ///
    /// # Cancel safety
    /// A dropped call may have made some of the transfers: repeat the whole batch.
    pub async fn transfer_batch(
        &self,
        transfers: Vec<Transfer>,
    ) -> Result<Vec<Result<Applied, Rejection>>, LedgerError> {
        let mut results = Vec::with_capacity(transfers.len());
        let mut rest = transfers.as_slice();
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(chunk_len(rest));
            let done = self.update(|change, now| Ok(change.step_batch(chunk.to_vec(), now))).await?;
            results.extend(done);
            rest = behind;
        }
        Ok(results)
    }

    /// Sets money aside.
    ///
    /// # Errors
    /// As [`Self::perform`].
    pub async fn hold(&self, hold: Hold) -> Result<Applied, LedgerError> {
        self.perform(Command::Hold(hold)).await
    }

    /// Moves `amount` of what a hold set aside, and frees the rest.
    ///
    /// # Errors
    /// [`Rejection::NotOpen`] when the hold has ended otherwise; otherwise as [`Self::perform`].
    pub async fn post(&self, hold: &TransferId, amount: Amount) -> Result<Applied, LedgerError> {
        self.perform(Command::Post { hold: hold.clone(), amount }).await
    }

    /// Frees what a hold set aside.
    ///
    /// # Errors
    /// [`Rejection::NotOpen`] when the hold has ended otherwise; otherwise as [`Self::perform`].
    pub async fn void(&self, hold: &TransferId, memo: Option<Memo>) -> Result<Applied, LedgerError> {
        self.perform(Command::Void { hold: hold.clone(), memo }).await
    }

    /// Frees what a hold set aside, if its time has come.
    ///
    /// # Errors
    /// [`Rejection::NotExpired`] when it has not; otherwise as [`Self::perform`].
    pub async fn expire(&self, hold: &TransferId) -> Result<Applied, LedgerError> {
        self.update(|change, now| change.step(Command::Expire { hold: hold.clone(), now }, now)).await
    }

    /// Sets a budget, or changes the limit of one; what was used stays used.
    ///
    /// # Errors
    /// [`Rejection::BudgetDiffers`] when one of this name has another period; otherwise as [`Self::perform`].
    pub async fn set_budget(&self, budget: Budget) -> Result<Applied, LedgerError> {
        self.perform(Command::SetBudget(budget)).await
    }

    /// Takes a budget away. An agent without any budget in a currency can spend nothing of it.
    ///
    /// # Errors
    /// [`Rejection::UnknownBudget`] when there is none; otherwise as [`Self::perform`].
    pub async fn lift_budget(
        &self,
        agent: &AgentId,
        currency: Currency,
        name: &BudgetName,
    ) -> Result<Applied, LedgerError> {
        let (agent, name) = (agent.clone(), name.clone());
        self.perform(Command::LiftBudget { agent, currency, name }).await
    }

    /// The budgets of an agent in a currency, by name, as they stand now.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn budgets(
        &self,
        agent: &AgentId,
        currency: Currency,
    ) -> Result<Vec<BudgetStatus>, LedgerError> {
        let now = self.clock.now();
        self.read(|books| books.budgets(agent, currency, now).collect()).await
    }

    /// What is on an account; `None` when it was never opened in this currency.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn balance(
        &self,
        account: &AccountId,
        currency: Currency,
    ) -> Result<Option<Balance>, LedgerError> {
        self.read(|books| books.balance(account, currency)).await
    }

    /// All accounts, in the order in which they were opened.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn balances(&self) -> Result<Vec<Balance>, LedgerError> {
        self.read(|books| books.balances().collect()).await
    }

    /// The sum over all accounts of a currency, in smallest units: zero, always.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn sum(&self, currency: Currency) -> Result<i128, LedgerError> {
        self.read(|books| books.sum(currency)).await
    }

    /// Asks the books, after reading what others wrote. `ask` must be quick: nobody else gets to the books
    /// meanwhile.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn read<T>(&self, ask: impl FnOnce(&Books) -> T) -> Result<T, LedgerError> {
        let mut state = self.state.lock().await;
        state.catch_up(&*self.store).await?;
        Ok(ask(&state.books))
    }
}

/// How many of the first transfers fit into one event, at least one.
fn chunk_len(transfers: &[Transfer]) -> usize {
    let mut bytes = 0usize;
    let mut fits = |transfer: &Transfer| {
        bytes = bytes.saturating_add(most_bytes(transfer));
        bytes <= MAX_CHUNK_BYTES
    };
    transfers.iter().take(MAX_CHUNK).take_while(|transfer| fits(transfer)).count().max(1)
}

/// More than a transfer can take as JSON, if its accounts occur for the first time.
fn most_bytes(transfer: &Transfer) -> usize {
    const ROW: usize = 96;
    // A control character takes six bytes in JSON.
    let notes =
        if transfer.memo.is_some() || transfer.evidence.is_some() { 6 * MAX_MEMO_LEN + 128 } else { 0 };
    ROW + transfer.id.as_str().len() + transfer.from.as_str().len() + transfer.to.as_str().len() + notes
}
