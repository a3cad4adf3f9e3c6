//! Stakes: what agents put at risk for a run.

use daa_core::amount::{Amount, Currency};
use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::id::{AccountId, AgentId, IdError, TransferId};

use crate::account::{Account, AccountKind, Balance, agent_account};
use crate::change::LedgerChange;
use crate::command::{Applied, Command};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::name::RunId;
use crate::rejection::Rejection;
use crate::round::Round;
use crate::transfer::{Memo, Transfer};

/// How much of a stake is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// All that is left.
    All,
    /// So much, in smallest units, or all that is left when that is less.
    UpTo(Amount),
}

/// Keeps what agents put at risk: on an account `stake/RUN/AGENT` for each, from which it is given back or
/// slashed.
///
/// Each agent locks once and is released once per run, and is slashed at most once per round; repeating any of
/// them has no effect.
#[derive(Clone, Debug)]
pub struct Stakes {
    ledger: Ledger,
    slashed: AccountId,
    currency: Currency,
}

impl Stakes {
    /// Stakes in `currency`; what is slashed goes to the account `slashed`, which may be of any kind;
    /// unless there is one, it is opened as [`AccountKind::Treasury`] when something is.
    #[must_use]
    pub const fn new(ledger: Ledger, slashed: AccountId, currency: Currency) -> Self {
        Self { ledger, slashed, currency }
    }

    /// Moves `amount` from the agent's account into its stake.
    ///
    /// # Errors
    /// [`Rejection::InsufficientFunds`] when the agent does not have it; [`Rejection::IdReused`] when it locked
    /// another amount for this run before.
    pub async fn lock(&self, run: &RunId, agent: &AgentId, amount: Amount) -> Result<Applied, LedgerError> {
        self.ledger.update(|change, now| self.plan_lock(change, run, agent, amount, now)).await
    }

    /// As [`Self::lock`], as part of a change that is appended together with other writes.
    ///
    /// # Errors
    /// As there.
    pub fn plan_lock(
        &self,
        change: &mut LedgerChange,
        run: &RunId,
        agent: &AgentId,
        amount: Amount,
        now: Timestamp,
    ) -> Result<Applied, Rejection> {
        let stake = self.stake(run, agent)?;
        let money = self.currency.units(amount.units());
        let id = stake_id("lock", run, agent)?;
        let transfer = Transfer::new(id, agent_account(agent)?, stake.id.clone(), money);
        change.step(Command::Open(stake), now)?;
        change.step(Command::Transfer(vec![transfer]), now)
    }

    /// Takes some or all of a stake, for what the agent did in a round. `evidence` is the digest of what lets
    /// others recheck it. Without anything left to take it has no effect.
    ///
    /// # Errors
    /// [`Rejection::UnknownAccount`] when nothing was ever locked.
    pub async fn slash(
        &self,
        round: &Round,
        agent: &AgentId,
        how_much: Slash,
        reason: Memo,
        evidence: Digest,
    ) -> Result<Applied, LedgerError> {
        let update = self.ledger.update(|change, now| {
            self.plan_slash(change, round, agent, how_much, reason.clone(), evidence, now)
        });
        update.await
    }

    /// As [`Self::slash`], as part of a change that is appended together with other writes.
    ///
    /// # Errors
    /// As there.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a fact of the slash; a struct would only rename them"
    )]
    pub fn plan_slash(
        &self,
        change: &mut LedgerChange,
        round: &Round,
        agent: &AgentId,
        how_much: Slash,
        reason: Memo,
        evidence: Digest,
        now: Timestamp,
    ) -> Result<Applied, Rejection> {
        let stake = self.stake(&round.run, agent)?;
        let left = available(change, &stake)?;
        let amount = match how_much {
            Slash::All => left,
            Slash::UpTo(amount) => amount.min(left),
        };
        let to = Account::new(self.slashed.clone(), self.currency, AccountKind::Treasury);
        self.drain(change, &round.id("slash", agent)?, &stake, to, amount, now, |transfer| {
            transfer.with_memo(reason).with_evidence(evidence)
        })
    }

    /// Gives what is left of a stake back to its agent. Without anything left it has no effect.
    ///
    /// # Errors
    /// [`Rejection::UnknownAccount`] when nothing was ever locked.
    pub async fn release(&self, run: &RunId, agent: &AgentId) -> Result<Applied, LedgerError> {
        self.ledger.update(|change, now| self.plan_release(change, run, agent, now)).await
    }

    /// As [`Self::release`], as part of a change that is appended together with other writes.
    ///
    /// # Errors
    /// As there.
    pub fn plan_release(
        &self,
        change: &mut LedgerChange,
        run: &RunId,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Applied, Rejection> {
        let stake = self.stake(run, agent)?;
        let left = available(change, &stake)?;
        let to = Account::of_agent(agent, self.currency)?;
        self.drain(change, &stake_id("release", run, agent)?, &stake, to, left, now, |transfer| transfer)
    }

    /// What an agent has at risk in a run, in smallest units.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    pub async fn at_stake(&self, run: &RunId, agent: &AgentId) -> Result<Amount, LedgerError> {
        let stake = self.stake(run, agent)?;
        let balance = self.ledger.balance(&stake.id, self.currency).await?;
        Ok(balance.as_ref().map_or(Amount::ZERO, Balance::available))
    }

    fn stake(&self, run: &RunId, agent: &AgentId) -> Result<Account, IdError> {
        let id = AccountId::new(format!("stake/{run}/{agent}"))?;
        Ok(Account::new(id, self.currency, AccountKind::Escrow))
    }

    /// Moves `amount` out of a stake, once.
    #[expect(clippy::too_many_arguments, reason = "private, and each is needed")]
    fn drain(
        &self,
        change: &mut LedgerChange,
        id: &TransferId,
        stake: &Account,
        to: Account,
        amount: Amount,
        now: Timestamp,
        describe: impl FnOnce(Transfer) -> Transfer,
    ) -> Result<Applied, Rejection> {
        if amount.is_zero() || change.books().knows(id) {
            return Ok(Applied::Before);
        }
        let money = self.currency.units(amount.units());
        let transfer = Transfer::new(id.clone(), stake.id.clone(), to.id.clone(), money);
        change.ensure_account(to, now)?;
        change.step(Command::Transfer(vec![describe(transfer)]), now)
    }
}

fn available(change: &LedgerChange, stake: &Account) -> Result<Amount, Rejection> {
    let (account, currency) = (&stake.id, stake.currency);
    let balance = change.books().balance(account, currency);
    let unknown = || Rejection::UnknownAccount { account: account.clone(), currency };
    balance.map(|balance| balance.available()).ok_or_else(unknown)
}

fn stake_id(what: &str, run: &RunId, agent: &AgentId) -> Result<TransferId, IdError> {
    TransferId::new(format!("stake-{what}/{run}/{agent}"))
}
