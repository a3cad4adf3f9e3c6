//! Rewards: split by work, held until audited, paid once.

use std::collections::BTreeSet;

use daa_core::amount::{Amount, Currency, Money};
use daa_core::clock::Timestamp;
use daa_core::id::{AccountId, AgentId, TransferId};

use crate::account::{Account, AccountKind};
use crate::change::LedgerChange;
use crate::command::{Applied, Command};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::rejection::Rejection;
use crate::round::Round;
use crate::transfer::{Hold, Memo};

/// What one agent gets of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// The agent.
    pub agent: AgentId,
    /// How much; shares of nothing are not held.
    pub amount: Amount,
}

/// Pays agents for the rounds of a run, from one account.
///
/// A reward is first allocated: held for the agent until the round is audited. Then it is paid, or denied. All
/// three are idempotent per run, round and agent, so a program that starts again after a crash may do them all
/// again, and pays nobody twice.
///
/// # Examples
///
/// ```
/// # use daa_core::amount::{Amount, Currency};
/// # use daa_core::digest::Digest;
/// use daa_economy::{Ledger, Memo, RewardPool, Round, Slash, Stakes};
///
/// # async fn example(ledger: Ledger, usdc: Currency, evidence: Digest) -> Result<(), Box<dyn std::error::Error>> {
/// let stakes = Stakes::new(ledger.clone(), "slashed".try_into()?, usdc);
/// let pool = RewardPool::new(ledger, "rewards".try_into()?, usdc);
/// let (alice, mallory) = ("alice".try_into()?, "mallory".try_into()?);
/// let round = Round::new("digits-1".try_into()?, 7);
/// stakes.lock(&round.run, &mallory, Amount::from_units(5_000_000)).await?;
///
/// pool.allocate(&round, Amount::from_units(1_000_000), &[(alice, 3), (mallory.clone(), 1)]).await?;
/// pool.deny(&round, &mallory, Memo::new("the update does not replay")?).await?;
/// stakes.slash(&round, &mallory, Slash::All, Memo::new("poisoned update")?, evidence).await?;
/// pool.pay(&round, &"alice".try_into()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RewardPool {
    ledger: Ledger,
    pool: AccountId,
    currency: Currency,
}

impl RewardPool {
    /// Rewards from the account `pool`, which may be of any kind; unless there is one, it is opened as
    /// [`AccountKind::Treasury`] when the first are allocated.
    #[must_use]
    pub const fn new(ledger: Ledger, pool: AccountId, currency: Currency) -> Self {
        Self { ledger, pool, currency }
    }

    /// Splits `total` by the weights of the agents, and holds each share, all or none. The accounts of new agents
    /// are opened. What cannot be split evenly goes, unit by unit, to the largest remainders; agents count in
    /// the order of their ids, so the order of `weights` does not matter.
    ///
    /// # Errors
    /// [`Rejection::Split`] without a positive weight or with an agent twice; [`Rejection::IdReused`] when this
    /// round was allocated in another way; [`Rejection::InsufficientFunds`] when the pool does not cover it.
    /// Nothing is held then.
    pub async fn allocate(
        &self,
        round: &Round,
        total: Amount,
        weights: &[(AgentId, u64)],
    ) -> Result<Vec<Share>, LedgerError> {
        self.ledger.update(|change, now| self.plan_allocate(change, round, total, weights, now)).await
    }

    /// As [`Self::allocate`], as part of a change that is appended together with other writes.
    ///
    /// # Errors
    /// As there; the change may then hold some of the shares, and must be dropped.
    pub fn plan_allocate(
        &self,
        change: &mut LedgerChange,
        round: &Round,
        total: Amount,
        weights: &[(AgentId, u64)],
        now: Timestamp,
    ) -> Result<Vec<Share>, Rejection> {
        let shares = split(total, weights)?;
        let pool = Account::new(self.pool.clone(), self.currency, AccountKind::Treasury);
        change.ensure_account(pool, now)?;
        for share in shares.iter().filter(|share| !share.amount.is_zero()) {
            self.hold(change, round, share, now)?;
        }
        Ok(shares)
    }

    /// As [`Self::pay`], as part of a change that is appended together with other writes.
    ///
    /// # Errors
    /// As there.
    pub fn plan_pay(
        &self,
        change: &mut LedgerChange,
        round: &Round,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Applied, Rejection> {
        pay(change, reward_id(round, agent)?, now)
    }

    /// As [`Self::deny`], as part of a change that is appended together with other writes.
    ///
    /// # Errors
    /// As there.
    pub fn plan_deny(
        &self,
        change: &mut LedgerChange,
        round: &Round,
        agent: &AgentId,
        reason: Memo,
        now: Timestamp,
    ) -> Result<Applied, Rejection> {
        change.step(Command::Void { hold: reward_id(round, agent)?, memo: Some(reason) }, now)
    }

    /// Pays an allocated reward in full.
    ///
    /// # Errors
    /// [`Rejection::NotOpen`] when it was never allocated, or was denied.
    pub async fn pay(&self, round: &Round, agent: &AgentId) -> Result<Applied, LedgerError> {
        self.pay_all(round, std::slice::from_ref(agent)).await
    }

    /// Pays the allocated rewards of several agents in full, all or none.
    ///
    /// # Errors
    /// [`Rejection::NotOpen`] when one was never allocated, or was denied.
    pub async fn pay_all(&self, round: &Round, agents: &[AgentId]) -> Result<Applied, LedgerError> {
        let update = self.ledger.update(|change, now| {
            let mut applied = Applied::Before;
            for agent in agents {
                if pay(change, reward_id(round, agent)?, now)? == Applied::Now {
                    applied = Applied::Now;
                }
            }
            Ok(applied)
        });
        update.await
    }

    /// Gives an allocated reward back to the pool.
    ///
    /// # Errors
    /// [`Rejection::NotOpen`] when it was never allocated, or was paid.
    pub async fn deny(&self, round: &Round, agent: &AgentId, reason: Memo) -> Result<Applied, LedgerError> {
        let hold = reward_id(round, agent)?;
        self.ledger.void(&hold, Some(reason)).await
    }

    /// What is allocated to an agent for a round, and neither paid nor denied yet.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    pub async fn pending(&self, round: &Round, agent: &AgentId) -> Result<Option<Money>, LedgerError> {
        let hold = reward_id(round, agent)?;
        self.ledger.read(|books| books.hold(&hold).map(|hold| hold.money)).await
    }

    fn hold(
        &self,
        change: &mut LedgerChange,
        round: &Round,
        share: &Share,
        now: Timestamp,
    ) -> Result<Applied, Rejection> {
        let account = Account::of_agent(&share.agent, self.currency)?;
        let money = self.currency.units(share.amount.units());
        let hold = Hold::new(reward_id(round, &share.agent)?, self.pool.clone(), account.id.clone(), money);
        change.ensure_account(account, now)?;
        change.step(Command::Hold(hold), now)
    }
}

fn reward_id(round: &Round, agent: &AgentId) -> Result<TransferId, Rejection> {
    Ok(round.id("reward", agent)?)
}

fn pay(change: &mut LedgerChange, hold: TransferId, now: Timestamp) -> Result<Applied, Rejection> {
    match change.books().hold(&hold).map(|hold| hold.money.amount()) {
        Some(amount) => change.step(Command::Post { hold, amount }, now),
        None if change.books().was_posted(&hold) => Ok(Applied::Before),
        None => Err(Rejection::NotOpen { hold }),
    }
}

fn split(total: Amount, weights: &[(AgentId, u64)]) -> Result<Vec<Share>, Rejection> {
    let mut sorted: Vec<&(AgentId, u64)> = weights.iter().collect();
    sorted.sort();
    let distinct: BTreeSet<&AgentId> = sorted.iter().map(|(agent, _)| agent).collect();
    if distinct.len() != sorted.len() {
        return Err(Rejection::Split);
    }
    let numbers: Vec<u64> = sorted.iter().map(|(_, weight)| *weight).collect();
    let amounts = total.split(&numbers).ok_or(Rejection::Split)?;
    let shares = sorted.iter().zip(amounts);
    Ok(shares.map(|((agent, _), amount)| Share { agent: agent.clone(), amount }).collect())
}
