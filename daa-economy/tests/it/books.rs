//! The books against a naive reference: random commands, and the laws after every one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use daa_core::amount::Amount;
use daa_core::clock::Timestamp;
use daa_core::event::{EventStore, MemoryEventStore, Position, RecordedEvent, Version};
use daa_economy::audit::{AuditError, verify};
use daa_economy::{
    AccountKind, Applied, Books, Command, Hold, LedgerError, LedgerEvent, Memo, Rejection, Transfer,
};
use proptest::prelude::*;

use crate::support::{account, all_events, available, funded, ledger_on, posted, transfer, usd};

const NAMES: [&str; 5] = ["mint", "agent/a", "agent/b", "fees", "agent/c"];

#[derive(Clone, Debug)]
enum Op {
    Transfer { id: u8, from: usize, to: usize, units: u128 },
    Linked(Vec<(u8, usize, usize, u128)>),
    Hold { id: u8, from: usize, to: usize, units: u128 },
    Post { id: u8, units: u128 },
    Void { id: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    let row = || (0u8..40, 0..NAMES.len(), 0..NAMES.len(), 0u128..30);
    prop_oneof![
        4 => row().prop_map(|(id, from, to, units)| Op::Transfer { id, from, to, units }),
        1 => prop::collection::vec(row(), 0..4).prop_map(Op::Linked),
        2 => row().prop_map(|(id, from, to, units)| Op::Hold { id, from, to, units }),
        2 => (0u8..40, 0u128..30).prop_map(|(id, units)| Op::Post { id, units }),
        1 => (0u8..40).prop_map(|id| Op::Void { id }),
    ]
}

fn name(id: u8) -> String {
    format!("t{id}")
}

fn command(op: &Op) -> Command {
    let make = |id: u8, from: usize, to: usize, units| transfer(&name(id), NAMES[from], NAMES[to], units);
    match op {
        Op::Transfer { id, from, to, units } => Command::Transfer(vec![make(*id, *from, *to, *units)]),
        Op::Linked(rows) => Command::Transfer(rows.iter().map(|&(i, f, t, u)| make(i, f, t, u)).collect()),
        Op::Hold { id, from, to, units } => {
            let Transfer { id, from, to, money, .. } = make(*id, *from, *to, *units);
            Command::Hold(Hold::new(id, from, to, money))
        }
        Op::Post { id, units } => {
            Command::Post { hold: name(*id).try_into().unwrap(), amount: Amount::from_units(*units) }
        }
        Op::Void { id } => Command::Void { hold: name(*id).try_into().unwrap(), memo: None },
    }
}

/// The reference: whole states are copied, so that nothing needs to be taken back.
#[derive(Clone, Debug, Default, PartialEq)]
struct Naive {
    posted: [i128; NAMES.len()],
    held: [i128; NAMES.len()],
    used: BTreeMap<u8, String>,
    holds: BTreeMap<u8, (usize, usize, i128)>,
    ended: BTreeMap<u8, Option<u128>>,
}

impl Naive {
    /// `Err` for what must be refused.
    fn apply(&mut self, op: &Op) -> Result<(), ()> {
        match op {
            Op::Transfer { id, from, to, units } => self.transfer(*id, *from, *to, *units),
            Op::Linked(rows) => {
                let mut next = self.clone();
                rows.iter().try_for_each(|&(id, from, to, units)| next.transfer(id, from, to, units))?;
                *self = next;
                Ok(())
            }
            Op::Hold { id, from, to, units } => {
                if self.used(*id, format!("h{from},{to},{units}"))? {
                    return Ok(());
                }
                self.check(*from, *to, *units)?;
                self.held[*from] += *units as i128;
                self.holds.insert(*id, (*from, *to, *units as i128));
                self.used.insert(*id, format!("h{from},{to},{units}"));
                Ok(())
            }
            Op::Post { id, units } => {
                if self.ended.get(id) == Some(&Some(*units)) {
                    return Ok(());
                }
                let &(from, to, held) = self.holds.get(id).ok_or(())?;
                if *units == 0 || *units as i128 > held {
                    return Err(());
                }
                self.held[from] -= held;
                self.posted[from] -= *units as i128;
                self.posted[to] += *units as i128;
                self.holds.remove(id);
                self.ended.insert(*id, Some(*units));
                Ok(())
            }
            Op::Void { id } => {
                if self.ended.get(id) == Some(&None) {
                    return Ok(());
                }
                let (from, _, held) = self.holds.remove(id).ok_or(())?;
                self.held[from] -= held;
                self.ended.insert(*id, None);
                Ok(())
            }
        }
    }

    fn used(&self, id: u8, content: String) -> Result<bool, ()> {
        match self.used.get(&id) {
            None => Ok(false),
            Some(known) if *known == content => Ok(true),
            Some(_) => Err(()),
        }
    }

    fn check(&self, from: usize, to: usize, units: u128) -> Result<(), ()> {
        let covered = from == 0 || self.posted[from] - self.held[from] >= units as i128;
        if units == 0 || from == to || !covered { Err(()) } else { Ok(()) }
    }

    fn transfer(&mut self, id: u8, from: usize, to: usize, units: u128) -> Result<(), ()> {
        if self.used(id, format!("t{from},{to},{units}"))? {
            return Ok(());
        }
        self.check(from, to, units)?;
        self.posted[from] -= units as i128;
        self.posted[to] += units as i128;
        self.used.insert(id, format!("t{from},{to},{units}"));
        Ok(())
    }
}

fn opened() -> (Books, Vec<LedgerEvent>) {
    let mut books = Books::new();
    let kinds = [AccountKind::Issuance, AccountKind::Agent, AccountKind::Agent, AccountKind::Treasury];
    let kinds = kinds.into_iter().chain([AccountKind::Agent]);
    let commands = NAMES.iter().zip(kinds).map(|(name, kind)| Command::Open(account(name, kind)));
    let events = commands.filter_map(|command| books.step(command).unwrap()).collect();
    books.commit();
    (books, events)
}

/// What can be seen of the books.
fn view(books: &Books) -> (Vec<(i128, i128)>, u64, usize) {
    let balances = books.balances().map(|balance| (balance.posted, balance.held.units() as i128)).collect();
    (balances, books.transfers(), books.holds().count())
}

fn record(events: &[LedgerEvent]) -> Vec<RecordedEvent> {
    let numbered = (1u64..).zip(events);
    let recorded = numbered.map(|(number, event)| {
        let new = event.to_new(Timestamp::EPOCH).unwrap();
        let (position, version) = (Position::new(number), Version::new(number));
        RecordedEvent::new(position, "ledger".try_into().unwrap(), version, new.kind, new.at, new.payload)
    });
    recorded.collect()
}

proptest! {
    #[test]
    fn agree_with_the_reference_and_conserve_after_every_command(ops in prop::collection::vec(op(), 1..80)) {
        let (mut books, mut events) = opened();
        let mut naive = Naive::default();
        for op in &ops {
            let before = view(&books);
            let result = books.step(command(op));
            prop_assert_eq!(result.is_ok(), naive.apply(op).is_ok(), "{:?}: {:?}", op, result);
            if result.is_ok() {
                prop_assert_eq!(books.step(command(op)), Ok(None), "repeating {:?} has no effect", op);
            }
            if !matches!(result, Ok(Some(_))) {
                prop_assert_eq!(&before, &view(&books));
            }
            events.extend(result.ok().flatten());
            let (balances, ..) = view(&books);
            let expected: Vec<(i128, i128)> = naive.posted.into_iter().zip(naive.held).collect();
            prop_assert_eq!(balances, expected);
            prop_assert_eq!(books.sum(usd()), 0);
            prop_assert_eq!(books.holds().count(), naive.holds.len());
        }
        // What was read back adds up to the same, and verifies.
        let recorded = record(&events);
        let mut replayed = Books::new();
        for event in &recorded {
            replayed.apply(&LedgerEvent::read(event).unwrap().unwrap()).unwrap();
        }
        prop_assert_eq!(view(&books), view(&replayed));
        let summary = verify(&recorded).unwrap();
        prop_assert_eq!((summary.sum, summary.transfers), (0, books.transfers()));
    }

    #[test]
    fn rolling_back_restores_what_was(
        first in prop::collection::vec(op(), 0..30), second in prop::collection::vec(op(), 0..30),
    ) {
        let (mut books, _) = opened();
        for op in &first {
            let _ = books.step(command(op));
        }
        books.commit();
        let before = view(&books);
        let results: Vec<_> = second.iter().map(|op| books.step(command(op))).collect();
        let after = view(&books);
        books.rollback_all();
        prop_assert_eq!(&before, &view(&books));
        // The same commands have the same effect again: nothing of the first time was left behind.
        let again: Vec<_> = second.iter().map(|op| books.step(command(op))).collect();
        prop_assert_eq!(results, again);
        prop_assert_eq!(after, view(&books));
    }

    #[test]
    fn what_is_in_circulation_never_leaves_the_range(amounts in prop::collection::vec(any::<u128>(), 1..12)) {
        let mut books = Books::new();
        for name in ["mint", "mint-2", "a", "b"] {
            let kind = if name.len() == 1 { AccountKind::Agent } else { AccountKind::Issuance };
            books.step(Command::Open(account(name, kind))).unwrap();
        }
        for (index, &units) in amounts.iter().enumerate() {
            let (from, to) = (["mint", "mint-2"][index % 2], ["a", "b"][index % 2]);
            let before = view(&books);
            // Half of it, so that one account alone often stays within the range.
            match books.step(Command::Transfer(vec![transfer(&format!("t{index}"), from, to, units / 2)])) {
                Ok(_) => {}
                Err(Rejection::Overflow { .. } | Rejection::Zero { .. }) => prop_assert_eq!(before, view(&books)),
                Err(other) => prop_assert!(false, "{:?}", other),
            }
            prop_assert_eq!(books.sum(usd()), 0);
        }
    }
}

#[test]
fn an_auditor_finds_what_was_changed_left_out_or_repeated() {
    let (mut books, mut events) = opened();
    for (id, from, to, units) in [("t1", "mint", "agent/a", 50), ("t2", "agent/a", "agent/b", 20)] {
        events.extend(books.step(Command::Transfer(vec![transfer(id, from, to, units)])).unwrap());
    }
    let good = record(&events);
    assert_eq!(verify(&good).unwrap().accounts, 5);

    let mut gap = good.clone();
    gap.remove(5);
    assert!(matches!(verify(&gap), Err(AuditError::Gap { .. })));

    let mut changed = good.clone();
    let text = String::from_utf8(changed[6].payload.to_vec()).unwrap().replace("\"20\"", "\"51\"");
    changed[6].payload = text.into_bytes().into();
    assert!(matches!(
        verify(&changed),
        Err(AuditError::Refused { source: Rejection::InsufficientFunds { .. }, .. })
    ));

    let mut twice = good.clone();
    let mut copy = good[6].clone();
    copy.version = Version::new(8);
    twice.push(copy);
    assert!(matches!(verify(&twice), Err(AuditError::Refused { source: Rejection::IdReused { .. }, .. })));

    // An expiry before its time, which the books cannot see: they have no clock.
    let mut early = opened().1;
    let (id, from, to) = ("h".try_into().unwrap(), "mint".try_into().unwrap(), "fees".try_into().unwrap());
    let hold = Hold::new(id, from, to, usd().units(1)).with_expiry(Timestamp::from_millis(1));
    let (mut books, _) = opened();
    early.extend(books.step(Command::Hold(hold)).unwrap());
    let expire = Command::Expire { hold: "h".try_into().unwrap(), now: Timestamp::from_millis(1) };
    early.extend(books.step(expire).unwrap());
    let mut early = record(&early);
    assert!(matches!(verify(&early), Err(AuditError::Refused { source: Rejection::NotExpired { .. }, .. })));
    early[6].at = Timestamp::from_millis(1);
    verify(&early).unwrap();

    let mut torn = good;
    torn[5].payload = "{\"currencies\":[],\"accounts\":[],\"transfers\":[[\"t1\",0,1,0,\"5\"]]}".into();
    assert!(matches!(verify(&torn), Err(AuditError::Decode(_))));
}

#[tokio::test]
async fn two_ledgers_on_one_store_never_overdraw_together() {
    let store = MemoryEventStore::new();
    let first = funded(Arc::new(store.clone())).await;
    let second = ledger_on(Arc::new(store.clone())).await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..40 {
        let ledger = if index % 2 == 0 { first.clone() } else { second.clone() };
        let id = format!("pay-{index}");
        tasks.spawn(async move { ledger.transfer(transfer(&id, "agent/alice", "agent/bob", 7)).await });
    }
    let results = tasks.join_all().await;
    let paid = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(paid, 14, "100 units cover 14 payments of 7");
    let short = |result: &&Result<Applied, LedgerError>| {
        matches!(result, Err(LedgerError::Rejected(Rejection::InsufficientFunds { .. })))
    };
    assert_eq!(results.iter().filter(short).count(), 26);
    assert_eq!((posted(&first, "agent/alice").await, posted(&second, "agent/bob").await), (2, 98));
    assert_eq!(verify(&all_events(&store).await).unwrap().sum, 0);
}

#[tokio::test]
async fn a_batch_tells_of_each_transfer_what_became_of_it() {
    let store = MemoryEventStore::new();
    let ledger = funded(Arc::new(store.clone())).await;
    let batch = vec![
        transfer("b1", "agent/alice", "agent/bob", 60),
        transfer("b2", "agent/alice", "agent/bob", 60),
        transfer("b1", "agent/alice", "agent/bob", 60),
        transfer("b3", "agent/bob", "agent/nobody", 1),
        transfer("b1", "agent/alice", "agent/bob", 61),
    ];
    let results = ledger.transfer_batch(batch.clone()).await.unwrap();
    assert_eq!((&results[0], &results[2]), (&Ok(Applied::Now), &Ok(Applied::Before)));
    assert!(matches!(results[1], Err(Rejection::InsufficientFunds { .. })));
    assert!(matches!(results[3], Err(Rejection::UnknownAccount { .. })));
    assert!(matches!(results[4], Err(Rejection::IdReused { .. })));
    assert_eq!(posted(&ledger, "agent/bob").await, 60);
    let head = store.head().await.unwrap();
    ledger.transfer_batch(batch).await.unwrap();
    assert_eq!(store.head().await.unwrap(), head, "repeating writes nothing");
}

#[tokio::test]
async fn a_hold_reduces_what_is_available_and_ends_only_when_it_is_told_to() {
    let store = Arc::new(MemoryEventStore::new());
    let ledger = funded(store.clone()).await;
    let hold = |id: &str, units| {
        let (id, from, to) = (id.try_into().unwrap(), "agent/alice", "agent/bob");
        Hold::new(id, from.try_into().unwrap(), to.try_into().unwrap(), usd().units(units))
    };
    ledger.hold(hold("h1", 70).with_expiry(Timestamp::from_millis(0))).await.unwrap();
    ledger.hold(hold("h2", 30).with_expiry(Timestamp::from_millis(5))).await.unwrap();
    assert_eq!((posted(&ledger, "agent/alice").await, available(&ledger, "agent/alice").await), (100, 0));
    assert!(ledger.hold(hold("h3", 1)).await.is_err());
    let not_yet = ledger.expire(&"h2".try_into().unwrap()).await;
    assert!(matches!(not_yet, Err(LedgerError::Rejected(Rejection::NotExpired { .. }))));
    assert_eq!(ledger.post(&"h2".try_into().unwrap(), Amount::from_units(10)).await.unwrap(), Applied::Now);
    assert_eq!(
        ledger.post(&"h2".try_into().unwrap(), Amount::from_units(10)).await.unwrap(),
        Applied::Before
    );
    assert!(ledger.post(&"h2".try_into().unwrap(), Amount::from_units(11)).await.is_err());
    assert!(ledger.void(&"h2".try_into().unwrap(), None).await.is_err());
    ledger.expire(&"h1".try_into().unwrap()).await.unwrap();
    assert_eq!(available(&ledger, "agent/alice").await, 90);
    assert!(Memo::new("x".repeat(257)).is_err());
    assert_eq!(verify(&all_events(&*store).await).unwrap().open_holds, 0);
}
