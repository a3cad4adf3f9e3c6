//! The money that follows from what happens in a run.

use daa_compute::commitment::Round;
use daa_compute::protocol::{Event, Finding};
use daa_core::clock::Timestamp;
use daa_core::id::AgentId;
use daa_economy::{Ledger, LedgerChange, Memo, Rejection, RewardPool, RunId, Slash, Stakes};

use super::economics::{Accounts, Economics, payday};
use super::error::SwarmError;
use super::view::RunView;

/// Books what follows from events, as part of the append that makes the events durable.
#[derive(Clone, Debug)]
pub(super) struct Bookkeeping {
    run: RunId,
    economics: Economics,
    accounts: Accounts,
    stakes: Stakes,
    rewards: RewardPool,
}

impl Bookkeeping {
    pub(super) fn new(run: RunId, economics: Economics, ledger: &Ledger) -> Result<Self, SwarmError> {
        let (accounts, currency) = (Accounts::new()?, economics.currency);
        let stakes = Stakes::new(ledger.clone(), accounts.slashed.clone(), currency);
        let rewards = RewardPool::new(ledger.clone(), accounts.pool.clone(), currency);
        Ok(Self { run, economics, accounts, stakes, rewards })
    }

    pub(super) const fn economics(&self) -> &Economics {
        &self.economics
    }

    pub(super) fn endow_pool(
        &self,
        change: &mut LedgerChange,
        rounds: u32,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        self.accounts.endow_pool(change, &self.run, &self.economics, rounds, now)
    }

    /// Books one event. `before` is the view without it.
    pub(super) fn book(
        &self,
        change: &mut LedgerChange,
        event: &Event,
        before: &RunView,
        now: Timestamp,
    ) -> Result<(), SwarmError> {
        match event {
            Event::Joined { agent, .. } => {
                self.accounts.endow_agent(change, &self.run, &self.economics, agent, now)?;
                self.stakes.plan_lock(change, &self.run, agent, self.economics.stake, now)?;
            }
            Event::RoundClosed { round, .. } => {
                let committed = before.open.iter().flat_map(|open| open.committed.values());
                let weights: Vec<(AgentId, u64)> =
                    committed.map(|commitment| (commitment.agent.clone(), commitment.examples)).collect();
                if !weights.is_empty() {
                    let total = self.economics.round_reward;
                    self.rewards.plan_allocate(change, &self.payday(*round), total, &weights, now)?;
                }
            }
            Event::Verdict { agent, round, finding: Finding::Forged { evidence, .. } } => {
                let reason = Memo::new(format!("forged its update of round {}", round.0 + 1))?;
                let payday = self.payday(*round);
                self.stakes.plan_slash(change, &payday, agent, Slash::All, reason, *evidence, now)?;
            }
            Event::RewardsReleased { round, members } => {
                self.release(change, *round, members, before, now)?
            }
            Event::Finished { .. } => {
                for (agent, _) in before.members.iter().filter(|(_, member)| member.forged.is_empty()) {
                    self.stakes.plan_release(change, &self.run, agent, now)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Pays those whose work stood the audits, and gives the others' shares back to the pool.
    fn release(
        &self,
        change: &mut LedgerChange,
        round: Round,
        paid: &[AgentId],
        before: &RunView,
        now: Timestamp,
    ) -> Result<(), SwarmError> {
        let payday = self.payday(round);
        let worked = before.members.iter().filter(|(_, member)| member.accepted.contains(&round));
        for (agent, _) in worked {
            if paid.contains(agent) {
                self.rewards.plan_pay(change, &payday, agent, now)?;
            } else {
                let reason = Memo::new("found guilty before the reward was due")?;
                self.rewards.plan_deny(change, &payday, agent, reason, now)?;
            }
        }
        Ok(())
    }

    fn payday(&self, round: Round) -> daa_economy::Round {
        payday(&self.run, round)
    }
}
