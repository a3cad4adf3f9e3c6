//! All budgets, and what counts against each.

use std::collections::{BTreeMap, HashMap};

use daa_core::amount::{Amount, Currency, Money};
use daa_core::clock::Timestamp;
use daa_core::id::AgentId;

use super::usage::{SpendKey, Usage, UsageBefore};
use crate::budget::{Budget, BudgetStatus};
use crate::name::BudgetName;
use crate::rejection::Rejection;
use crate::transfer::Spending;

type Purse = (AgentId, Currency);

#[derive(Debug, Default)]
pub(super) struct Budgets {
    purses: HashMap<Purse, BTreeMap<BudgetName, State>>,
    /// The latest moment of any spending.
    latest: Timestamp,
    /// The number of the next spending. Never undone: it only tells spendings apart.
    next: u64,
}

#[derive(Debug)]
pub(super) struct State {
    budget: Budget,
    usage: Usage,
    /// Spendings with lower numbers came before the budget was set.
    since: u64,
}

/// What undoes a change.
#[derive(Debug)]
pub(super) enum BudgetUndo {
    Remove(Budget),
    Limit(Budget),
    PutBack(Box<State>),
    Usage(Purse, BudgetName, UsageBefore),
    Latest(Timestamp),
}

impl Budgets {
    /// `None` when it is so already.
    pub(super) fn set(&mut self, budget: &Budget) -> Result<Option<BudgetUndo>, Rejection> {
        let purse = self.purses.entry(purse_of(budget)).or_default();
        match purse.get_mut(&budget.name) {
            None => {
                let state =
                    State { budget: budget.clone(), usage: Usage::new(budget.period), since: self.next };
                purse.insert(budget.name.clone(), state);
                Ok(Some(BudgetUndo::Remove(budget.clone())))
            }
            Some(state) if state.budget == *budget => Ok(None),
            Some(state) if state.budget.period == budget.period => {
                Ok(Some(BudgetUndo::Limit(std::mem::replace(&mut state.budget, budget.clone()))))
            }
            Some(_) => Err(Rejection::BudgetDiffers { budget: budget.name.clone() }),
        }
    }

    pub(super) fn lift(
        &mut self,
        agent: &AgentId,
        currency: Currency,
        name: &BudgetName,
    ) -> Result<BudgetUndo, Rejection> {
        let purse = self.purses.get_mut(&(agent.clone(), currency));
        match purse.and_then(|purse| purse.remove(name)) {
            Some(state) => Ok(BudgetUndo::PutBack(Box::new(state))),
            None => Err(Rejection::UnknownBudget { agent: agent.clone(), budget: name.clone() }),
        }
    }

    /// When a spending asked for at `at` takes place.
    pub(super) fn moment(&self, at: Timestamp) -> Timestamp {
        at.max(self.latest)
    }

    /// Counts a spending, when all budgets allow it.
    pub(super) fn charge(
        &mut self,
        spending: &Spending,
        money: Money,
        undo: &mut Vec<BudgetUndo>,
    ) -> Result<SpendKey, Rejection> {
        let key = SpendKey { at: self.moment(spending.at), number: self.next };
        let purse = (spending.agent.clone(), money.currency());
        let states = self.purses.get_mut(&purse).filter(|states| !states.is_empty());
        let none = || Rejection::NoBudget { agent: spending.agent.clone(), needed: money };
        let states = states.ok_or_else(none)?;
        for state in states.values() {
            let remaining = state.status(key.at).remaining;
            if money.amount() > remaining {
                let remaining = money.currency().units(remaining.units());
                let budget = state.budget.name.clone();
                return Err(Rejection::OverBudget { budget, needed: money, remaining });
            }
        }
        for (name, state) in states {
            let before = state.usage.charge(key, money.amount().units());
            undo.push(BudgetUndo::Usage(purse.clone(), name.clone(), before));
        }
        undo.push(BudgetUndo::Latest(self.latest));
        self.latest = key.at;
        self.next = self.next.saturating_add(1);
        Ok(key)
    }

    /// Takes `back` of a spending out of all budgets that it was counted against.
    pub(super) fn refund(&mut self, agent: &AgentId, key: SpendKey, back: Money, undo: &mut Vec<BudgetUndo>) {
        let purse = (agent.clone(), back.currency());
        let Some(states) = self.purses.get_mut(&purse) else { return };
        for (name, state) in states.iter_mut().filter(|(_, state)| state.since <= key.number) {
            let before = state.usage.refund(key, back.amount().units());
            undo.push(BudgetUndo::Usage(purse.clone(), name.clone(), before));
        }
    }

    pub(super) fn undo(&mut self, undo: BudgetUndo) {
        match undo {
            BudgetUndo::Remove(budget) => {
                if let Some(purse) = self.purses.get_mut(&purse_of(&budget)) {
                    purse.remove(&budget.name);
                }
            }
            BudgetUndo::Limit(budget) => {
                let purse = self.purses.get_mut(&purse_of(&budget));
                if let Some(state) = purse.and_then(|purse| purse.get_mut(&budget.name)) {
                    state.budget = budget;
                }
            }
            BudgetUndo::PutBack(state) => {
                let purse = self.purses.entry(purse_of(&state.budget)).or_default();
                purse.insert(state.budget.name.clone(), *state);
            }
            BudgetUndo::Usage(purse, name, before) => {
                if let Some(state) = self.purses.get_mut(&purse).and_then(|purse| purse.get_mut(&name)) {
                    state.usage.restore(before);
                }
            }
            BudgetUndo::Latest(latest) => self.latest = latest,
        }
    }

    /// Forgets, for the budgets of one agent, what can count no more.
    pub(super) fn prune(&mut self, agent: &AgentId, currency: Currency) {
        let latest = self.latest;
        let states = self.purses.get_mut(&(agent.clone(), currency));
        states.into_iter().flat_map(BTreeMap::values_mut).for_each(|state| state.usage.prune(latest));
    }

    pub(super) fn status(
        &self,
        agent: &AgentId,
        currency: Currency,
        at: Timestamp,
    ) -> impl Iterator<Item = BudgetStatus> {
        let at = self.moment(at);
        let states = self.purses.get(&(agent.clone(), currency));
        states.into_iter().flat_map(BTreeMap::values).map(move |state| state.status(at))
    }
}

impl State {
    fn status(&self, at: Timestamp) -> BudgetStatus {
        BudgetStatus::new(self.budget.clone(), Amount::from_units(self.usage.used(at)))
    }
}

fn purse_of(budget: &Budget) -> Purse {
    (budget.agent.clone(), budget.currency())
}
