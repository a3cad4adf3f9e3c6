//! What taking part costs and earns.

use daa_compute::RunConfig;
use daa_compute::commitment::Round;
use daa_core::amount::{Amount, Currency, Money};
use daa_core::clock::Timestamp;
use daa_core::id::{AccountId, AgentId};
use daa_economy::{
    Account, AccountKind, Budget, BudgetName, Command, Ledger, LedgerChange, Period, Rejection, RunId,
    Transfer,
};

use super::error::SwarmError;

/// What a run pays, demands and charges, all in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Economics {
    /// What everything is counted in.
    pub currency: Currency,
    /// What the accepted submissions of a round share.
    pub round_reward: Amount,
    /// What a member puts at risk when it joins.
    pub stake: Amount,
    /// What an agent has before it joins.
    pub endowment: Amount,
    /// The most that an agent may spend on one action.
    pub action_limit: Amount,
    /// The most that an agent may spend in all.
    pub spending_limit: Amount,
    /// What a thousand examples of training or of auditing cost.
    pub compute_price: Amount,
}

impl Economics {
    /// The swarm's own, for a run: rUv with six decimals; 10 a round, a stake of 50, compute at 0.01 for a thousand
    /// examples, and for each agent enough to train in every round and to audit seven times as much.
    ///
    /// # Errors
    /// Never in practice: the currency is a constant.
    pub fn standard(config: &RunConfig) -> Result<Self, SwarmError> {
        let currency = Currency::new("rUv", 6)?;
        let whole = |units: u128| Amount::from_units(units * 1_000_000);
        let mut economics = Self {
            currency,
            round_reward: whole(10),
            stake: whole(50),
            endowment: whole(100),
            action_limit: whole(1),
            spending_limit: whole(40),
            compute_price: Amount::from_units(10_000),
        };
        let price = economics.price_of(config.inner.examples()).amount();
        let all = price.units().saturating_mul(8 * u128::from(config.rounds));
        economics.action_limit = economics.action_limit.max(price);
        economics.spending_limit = economics.spending_limit.max(Amount::from_units(all));
        let needed = economics.stake.units().saturating_add(economics.spending_limit.units());
        economics.endowment = economics.endowment.max(Amount::from_units(needed));
        Ok(economics)
    }

    /// Whether a run can be paid for like this.
    pub(super) fn check(&self, config: &RunConfig) -> Result<(), SwarmError> {
        let price = self.price_of(config.inner.examples()).amount();
        let wrong = |reason| Err(SwarmError::Economics { reason });
        if self.round_reward.units() < u128::from(config.protocol.max_members) {
            return wrong("the reward of a round must leave a unit for every member");
        }
        if self.stake.is_zero() || self.endowment < self.stake {
            return wrong("the endowment must cover the stake, which must be something");
        }
        if self.action_limit < price {
            return wrong("one round of training costs more than an agent may spend on an action");
        }
        Ok(())
    }

    /// The same where members keep books of their own: the house endows each with its stake and nothing more, because what a member
    /// spends on computation is its own money.
    #[must_use]
    pub const fn with_own_books(mut self) -> Self {
        self.endowment = self.stake;
        self
    }

    /// Opens a member's own books: its account, with what it may spend in all of the run, and its budgets. Repeating it has no effect.
    ///
    /// # Errors
    /// [`SwarmError`] when the ledger fails.
    pub async fn open_own_books(
        &self,
        ledger: &Ledger,
        config: &RunConfig,
        agent: &AgentId,
    ) -> Result<(), SwarmError> {
        let (accounts, run) = (Accounts::new()?, run_name(config)?);
        let own = Self { endowment: self.spending_limit, ..self.clone() };
        let opened = ledger.update(|change, now| {
            for (id, kind) in
                [(&accounts.mint, AccountKind::Issuance), (&accounts.compute, AccountKind::Treasury)]
            {
                change.step(Command::Open(Account::new(id.clone(), own.currency, kind)), now)?;
            }
            accounts.endow_agent(change, &run, &own, agent, now)
        });
        Ok(opened.await?)
    }

    /// What so many examples cost; rounded up to the smallest unit.
    #[must_use]
    pub fn price_of(&self, examples: u64) -> Money {
        let units = self.compute_price.units().saturating_mul(u128::from(examples)).div_ceil(1_000);
        self.currency.units(units.max(1))
    }
}

/// The name of a run in streams and books.
pub(super) fn run_name(config: &RunConfig) -> Result<RunId, SwarmError> {
    Ok(RunId::new(config.run_id().to_string().chars().take(16).collect::<String>())?)
}

/// The accounts of a run, beside those of its agents.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    pub(super) mint: AccountId,
    pub(super) pool: AccountId,
    pub(super) compute: AccountId,
    pub(super) slashed: AccountId,
}

impl Accounts {
    pub(super) fn new() -> Result<Self, SwarmError> {
        Ok(Self {
            mint: AccountId::new("mint")?,
            pool: AccountId::new("rewards")?,
            compute: AccountId::new("compute")?,
            slashed: AccountId::new("slashed")?,
        })
    }

    /// Opens the accounts of the house and fills the pool for all rounds; repeating it has no effect.
    pub(super) fn endow_pool(
        &self,
        change: &mut LedgerChange,
        run: &RunId,
        economics: &Economics,
        rounds: u32,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let currency = economics.currency;
        let kinds = [
            (&self.mint, AccountKind::Issuance),
            (&self.pool, AccountKind::Treasury),
            (&self.compute, AccountKind::Treasury),
            (&self.slashed, AccountKind::Treasury),
        ];
        for (id, kind) in kinds {
            change.step(Command::Open(Account::new(id.clone(), currency, kind)), now)?;
        }
        let total = economics.round_reward.checked_mul(u128::from(rounds)).unwrap_or(Amount::MAX);
        let money = currency.units(total.units());
        let transfer = Transfer::new(
            format!("endow/{run}/pool").try_into()?,
            self.mint.clone(),
            self.pool.clone(),
            money,
        );
        change.step(Command::Transfer(vec![transfer]), now)?;
        Ok(())
    }

    /// Gives an agent its endowment and its budgets; repeating it has no effect.
    pub(super) fn endow_agent(
        &self,
        change: &mut LedgerChange,
        run: &RunId,
        economics: &Economics,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let account = Account::of_agent(agent, economics.currency)?;
        let money = economics.currency.units(economics.endowment.units());
        let id = format!("endow/{run}/agent/{agent}").try_into()?;
        let transfer = Transfer::new(id, self.mint.clone(), account.id.clone(), money);
        change.step(Command::Open(account), now)?;
        change.step(Command::Transfer(vec![transfer]), now)?;
        let limits = [
            ("each-action", economics.action_limit, Period::PerAction),
            ("whole-run", economics.spending_limit, Period::Total),
        ];
        for (name, limit, period) in limits {
            let limit = economics.currency.units(limit.units());
            let Ok(name) = BudgetName::new(name) else { continue };
            change.step(Command::SetBudget(Budget::new(name, agent.clone(), limit, period)), now)?;
        }
        Ok(())
    }
}

/// The round as the economy names it.
pub(super) fn payday(run: &RunId, round: Round) -> daa_economy::Round {
    daa_economy::Round::new(run.clone(), u64::from(round.0))
}
