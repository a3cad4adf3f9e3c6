//! Budgets against brute force over the whole history.

use std::sync::Arc;
use std::time::Duration;

use daa_core::amount::Amount;
use daa_core::clock::Timestamp;
use daa_core::event::MemoryEventStore;
use daa_core::id::{AgentId, TransferId};
use daa_economy::{
    AccountKind, Books, Budget, Command, Hold, LedgerError, Period, Rejection, Spending, Window,
};
use proptest::prelude::*;

use crate::support::{account, funded, ledger_on, transfer, usd};

fn alice() -> AgentId {
    "alice".try_into().unwrap()
}

fn window(millis: u64) -> Window {
    Window::new(Duration::from_millis(millis)).unwrap()
}

fn budget(name: &str, limit: u128, period: Period) -> Budget {
    Budget::new(name.try_into().unwrap(), alice(), usd().units(limit), period)
}

fn spend(id: &str, units: u128, at: u64) -> Command {
    let (from, to) = ("agent/alice".try_into().unwrap(), "fees".try_into().unwrap());
    let spending = Spending::new(alice(), Timestamp::from_millis(at));
    Command::Hold(Hold::new(id.try_into().unwrap(), from, to, usd().units(units)).with_spending(spending))
}

fn rich() -> Books {
    let mut books = Books::new();
    let accounts = [
        ("mint", AccountKind::Issuance),
        ("agent/alice", AccountKind::Agent),
        ("fees", AccountKind::Treasury),
    ];
    for (name, kind) in accounts {
        books.step(Command::Open(account(name, kind))).unwrap();
    }
    books.step(Command::Transfer(vec![transfer("fund", "mint", "agent/alice", 1_000_000)])).unwrap();
    books.commit();
    books
}

#[derive(Clone, Debug)]
struct Spent {
    id: TransferId,
    at: u64,
    units: u128,
    open: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Spend { units: u128, later: u64 },
    Post { which: prop::sample::Index, share: u128 },
    Void { which: prop::sample::Index },
    Undo { units: u128 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u128..12, 0u64..8).prop_map(|(units, later)| Op::Spend { units, later }),
        2 => (any::<prop::sample::Index>(), 1u128..=4).prop_map(|(which, share)| Op::Post { which, share }),
        1 => any::<prop::sample::Index>().prop_map(|which| Op::Void { which }),
        1 => (1u128..12).prop_map(|units| Op::Undo { units }),
    ]
}

/// What counts at `now`, by the definition of the period.
fn counted(history: &[Spent], period: Period, now: u64) -> u128 {
    let counts = |spent: &&Spent| match period {
        Period::Fixed(window) => spent.at / window.as_millis() == now / window.as_millis(),
        Period::Rolling(window) => now - spent.at < window.as_millis(),
        Period::Total => true,
        _ => false,
    };
    history.iter().filter(counts).map(|spent| spent.units).sum()
}

proptest! {
    #[test]
    fn all_periods_agree_with_brute_force(ops in prop::collection::vec(op(), 1..120)) {
        let budgets = [
            budget("each", 9, Period::PerAction),
            budget("fixed", 20, Period::Fixed(window(10))),
            budget("rolling", 25, Period::Rolling(window(13))),
            budget("total", 200, Period::Total),
        ];
        let mut books = rich();
        for budget in &budgets {
            books.step(Command::SetBudget(budget.clone())).unwrap();
        }
        let (mut history, mut now): (Vec<Spent>, u64) = (Vec::new(), 0);
        for (index, op) in ops.iter().enumerate() {
            match op {
                Op::Spend { units, later } => {
                    now += later;
                    let fits = budgets.iter().all(|budget| {
                        counted(&history, budget.period, now) + units <= budget.limit.amount().units()
                    });
                    let id = format!("s{index}");
                    let result = books.step(spend(&id, *units, now));
                    prop_assert_eq!(result.is_ok(), fits, "{:?} at {}", result, now);
                    if fits {
                        history.push(Spent { id: id.as_str().try_into().unwrap(), at: now, units: *units, open: true });
                    } else {
                        let over = matches!(result, Err(Rejection::OverBudget { .. }));
                        prop_assert!(over);
                    }
                }
                Op::Post { which, share } if !history.is_empty() => {
                    let spent = which.get(&history).clone();
                    let units = (spent.units * share / 4).max(1);
                    let post = Command::Post { hold: spent.id.clone(), amount: Amount::from_units(units) };
                    let posted = books.step(post);
                    if spent.open {
                        prop_assert!(posted.is_ok());
                        let place = which.index(history.len());
                        (history[place].units, history[place].open) = (units, false);
                    }
                }
                Op::Void { which } if !history.is_empty() => {
                    let place = which.index(history.len());
                    if history[place].open {
                        let hold = history[place].id.clone();
                        books.step(Command::Void { hold, memo: None }).unwrap();
                        (history[place].units, history[place].open) = (0, false);
                    }
                }
                // What was taken back does not count.
                Op::Undo { units } => {
                    let savepoint = books.savepoint();
                    let _ = books.step(spend(&format!("u{index}"), *units, now));
                    books.rollback(savepoint);
                }
                Op::Post { .. } | Op::Void { .. } => {}
            }
            for status in books.budgets(&alice(), usd(), Timestamp::from_millis(now)) {
                let used = counted(&history, status.budget.period, now);
                prop_assert_eq!(status.used.units(), used, "{:?}", status.budget);
            }
            if index % 3 == 0 {
                books.commit();
            }
        }
    }
}

#[test]
fn windows_end_where_they_say() {
    let mut books = rich();
    books.step(Command::SetBudget(budget("rolling", 10, Period::Rolling(window(100))))).unwrap();
    books.step(Command::SetBudget(budget("day", 15, Period::Fixed(Window::DAY)))).unwrap();
    let midnight = 86_400_000;
    books.step(spend("a", 10, midnight - 1)).unwrap();
    assert!(books.step(spend("b", 1, midnight + 98)).is_err(), "99 ms later the first still counts");
    books.step(spend("c", 10, midnight + 99)).unwrap();
    let over = books.step(spend("d", 6, midnight + 300));
    assert!(matches!(over, Err(Rejection::OverBudget { budget, .. }) if budget.as_str() == "day"));
    books.step(spend("e", 5, midnight + 300)).unwrap();
}

#[test]
fn a_clock_that_goes_back_opens_no_new_window() {
    let mut books = rich();
    books.step(Command::SetBudget(budget("hour", 10, Period::Fixed(Window::HOUR)))).unwrap();
    books.step(spend("a", 10, 3_600_000)).unwrap();
    assert!(books.step(spend("b", 1, 3_599_999)).is_err());
}

#[test]
fn without_a_budget_nothing_can_be_spent_and_only_from_ones_own_account() {
    let mut books = rich();
    assert!(matches!(books.step(spend("a", 1, 0)), Err(Rejection::NoBudget { .. })));
    books.step(Command::SetBudget(budget("all", 10, Period::Total))).unwrap();
    books.step(spend("a", 1, 0)).unwrap();
    let foreign = Hold::new(
        "x".try_into().unwrap(),
        "mint".try_into().unwrap(),
        "fees".try_into().unwrap(),
        usd().units(1),
    )
    .with_spending(Spending::new(alice(), Timestamp::EPOCH));
    assert!(matches!(books.step(Command::Hold(foreign)), Err(Rejection::NotTheAgents { .. })));
}

#[tokio::test]
async fn what_was_used_survives_a_restart_and_a_change_of_the_limit() {
    let store = Arc::new(MemoryEventStore::new());
    let ledger = funded(store.clone()).await;
    ledger.open_account(account("fees", AccountKind::Treasury)).await.unwrap();
    ledger.set_budget(budget("total", 10, Period::Total)).await.unwrap();
    ledger.perform(spend("a", 8, 0)).await.unwrap();
    ledger.post(&"a".try_into().unwrap(), Amount::from_units(6)).await.unwrap();
    let ledger = ledger_on(store).await;
    let status = ledger.budgets(&alice(), usd()).await.unwrap();
    assert_eq!((status[0].used.units(), status[0].remaining.units()), (6, 4));
    ledger.set_budget(budget("total", 5, Period::Total)).await.unwrap();
    let over = ledger.perform(spend("b", 1, 0)).await;
    assert!(matches!(over, Err(LedgerError::Rejected(Rejection::OverBudget { .. }))));
    ledger.set_budget(budget("total", 7, Period::Total)).await.unwrap();
    ledger.perform(spend("b", 1, 0)).await.unwrap();
    let other = ledger.set_budget(budget("total", 7, Period::PerAction)).await;
    assert!(matches!(other, Err(LedgerError::Rejected(Rejection::BudgetDiffers { .. }))));
}

#[test]
fn a_budget_counts_only_what_was_spent_since_it_was_set() {
    let mut books = rich();
    books.step(Command::SetBudget(budget("old", 100, Period::Total))).unwrap();
    books.step(spend("before", 7, 0)).unwrap();
    books.step(Command::SetBudget(budget("new", 10, Period::Total))).unwrap();
    books.step(spend("after", 5, 0)).unwrap();
    books.step(Command::Void { hold: "before".try_into().unwrap(), memo: None }).unwrap();
    let used: Vec<u128> = books.budgets(&alice(), usd(), Timestamp::EPOCH).map(|s| s.used.units()).collect();
    assert_eq!(used, [5, 5], "what was never counted is not given back");
}

#[test]
fn a_budget_that_was_lifted_limits_nothing_and_allows_nothing() {
    let mut books = rich();
    books.step(Command::SetBudget(budget("small", 10, Period::PerAction))).unwrap();
    books.step(Command::SetBudget(budget("large", 50, Period::PerAction))).unwrap();
    assert!(books.step(spend("a", 11, 0)).is_err());
    let lift = |name: &str| {
        let (agent, currency) = (alice(), usd());
        Command::LiftBudget { agent, currency, name: name.try_into().unwrap() }
    };
    books.step(lift("small")).unwrap();
    books.step(spend("a", 11, 0)).unwrap();
    books.step(lift("large")).unwrap();
    assert!(matches!(books.step(spend("b", 1, 0)), Err(Rejection::NoBudget { .. })));
    assert!(matches!(books.step(lift("large")), Err(Rejection::UnknownBudget { .. })));
}
