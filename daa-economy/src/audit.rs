//! What an outsider runs over the stream, to believe it.
//!
//! [`verify`] follows the events with [`Books`], which refuse whatever cannot be, and keeps accounts of its own
//! beside them, by the plainest arithmetic there is, to compare both after every event.

use std::collections::{BTreeMap, HashMap};

use daa_core::amount::{Amount, Currency};
use daa_core::clock::Timestamp;
use daa_core::event::{DecodeError, EventStore, PageSize, ReadError, RecordedEvent, Version};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{AccountId, EventKind, TransferId};

use crate::account::{AccountKind, Balance};
use crate::books::Books;
use crate::change::{LEDGER_STREAM, State};
use crate::event::{LedgerEvent, VoidCause, Voided};
use crate::rejection::Rejection;
use crate::transfer::Hold;

/// What a ledger that verifies adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many events there are.
    pub events: u64,
    /// How many accounts.
    pub accounts: usize,
    /// How many transfers, posted holds included.
    pub transfers: u64,
    /// How many holds are still open.
    pub open_holds: usize,
    /// The sum over all accounts and currencies, in smallest units: zero.
    pub sum: i128,
    /// All accounts, in the order in which they were opened.
    pub balances: Vec<Balance>,
}

/// Why a ledger does not verify.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// An event is missing, or stands twice or in the wrong place.
    #[error("expected version {expected} of the ledger, found {found}")]
    Gap {
        /// The version that is next.
        expected: Version,
        /// The version that was found.
        found: Version,
    },
    /// An event that is not one of the ledger's.
    #[error("an event of kind {kind} stands in the ledger at version {version}")]
    Foreign {
        /// Its kind.
        kind: EventKind,
        /// Where it stands.
        version: Version,
    },
    /// An event does not decode.
    #[error("the ledger is damaged")]
    Decode(#[from] DecodeError),
    /// The store cannot be read, which says nothing about the ledger.
    #[error("the event store cannot be read")]
    Read(#[from] ReadError),
    /// An event that the books refuse: more than is there, a budget passed, a hold over-posted, an id used twice.
    #[error("the event at version {version} cannot be")]
    Refused {
        /// Where it stands.
        version: Version,
        /// Why it cannot be.
        #[source]
        source: Rejection,
    },
    /// The sum over all accounts of a currency is not zero.
    #[error("the sum over all {currency} accounts is {sum} at version {version}")]
    Unbalanced {
        /// After which event.
        version: Version,
        /// The currency.
        currency: Currency,
        /// The sum, in smallest units.
        sum: i128,
    },
    /// An account that may not be is below zero, or has more held than posted.
    #[error("account {account} has {posted} posted and {held} held at version {version}")]
    Overdrawn {
        /// After which event.
        version: Version,
        /// The account.
        account: AccountId,
        /// What is posted, in smallest units.
        posted: i128,
        /// What is held.
        held: Amount,
    },
    /// The books and the plain arithmetic disagree.
    #[error("the books have {books} on {account} at version {version}, the events add up to {events}")]
    Disagreement {
        /// After which event.
        version: Version,
        /// The account.
        account: AccountId,
        /// What the books have, in smallest units.
        books: i128,
        /// What the events add up to.
        events: i128,
    },
}

impl Reaction for AuditError {
    fn fault(&self) -> Fault {
        match self {
            Self::Disagreement { .. } => Fault::Bug,
            Self::Read(error) => error.fault(),
            _ => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        if let Self::Read(error) = self { error.retry() } else { Retry::Never }
    }
}

/// Verifies a ledger from its first event on. Events of other streams are passed over, so that a whole store can
/// be given.
///
/// After every event: each currency sums to zero, no account but those of [`AccountKind::Issuance`] is below zero
/// or has more held than posted; no event that is out of sequence, over a hold, over a budget, or repeats an id.
///
/// # Errors
/// [`AuditError`] at the first event that is wrong.
pub fn verify<'a>(events: impl IntoIterator<Item = &'a RecordedEvent>) -> Result<Summary, AuditError> {
    let mut auditor = Auditor::new();
    for event in events {
        auditor.check(event)?;
    }
    Ok(auditor.summary())
}

/// Verifies the ledger of a store, page by page.
///
/// # Errors
/// [`AuditError`] at the first event that is wrong, or when the store cannot be read.
///
/// # Cancel safety
/// Dropping the future has no effect.
pub async fn verify_store(store: &dyn EventStore) -> Result<Summary, AuditError> {
    let stream = State::new().stream;
    let (mut auditor, page) = (Auditor::new(), PageSize::default());
    loop {
        let events = store.read_stream(&stream, auditor.version, page).await?;
        events.iter().try_for_each(|event| auditor.check(event))?;
        if events.is_empty() {
            return Ok(auditor.summary());
        }
    }
}

/// Verifies a ledger piece by piece: for streams that are read in pages.
#[derive(Debug, Default)]
pub struct Auditor {
    books: Books,
    version: Version,
    posted: HashMap<(AccountId, Currency), i128>,
    sums: BTreeMap<Currency, i128>,
    holds: HashMap<TransferId, Hold>,
}

type Touched = Vec<(AccountId, Currency)>;

impl Auditor {
    /// Before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the next event; one of another stream is passed over.
    ///
    /// # Errors
    /// [`AuditError`] when it is wrong. What follows must not be checked then.
    pub fn check(&mut self, recorded: &RecordedEvent) -> Result<(), AuditError> {
        if recorded.stream.as_str() != LEDGER_STREAM {
            return Ok(());
        }
        let (expected, version) = (self.version.next(), recorded.version);
        if version != expected {
            return Err(AuditError::Gap { expected, found: version });
        }
        let foreign = || AuditError::Foreign { kind: recorded.kind.clone(), version };
        let event = LedgerEvent::read(recorded)?.ok_or_else(foreign)?;
        let refused = |source| AuditError::Refused { version, source };
        self.check_expiry(&event, recorded.at).map_err(refused)?;
        self.books.apply(&event).map_err(refused)?;
        self.books.commit();
        self.version = version;
        let touched = self.add_up(event);
        self.compare(&touched)
    }

    /// What was checked so far adds up to this.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let balances: Vec<Balance> = self.books.balances().collect();
        Summary {
            events: self.version.get(),
            accounts: balances.len(),
            transfers: self.books.transfers(),
            open_holds: self.holds.len(),
            sum: self.sums.values().sum(),
            balances,
        }
    }

    /// The books have no clock; the event says when its writer took the time to have come.
    fn check_expiry(&self, event: &LedgerEvent, at: Timestamp) -> Result<(), Rejection> {
        let LedgerEvent::Voided(Voided { hold, cause: VoidCause::Expired, .. }) = event else {
            return Ok(());
        };
        match self.holds.get(hold).map(|hold| hold.expires) {
            Some(Some(expires)) if at >= expires => Ok(()),
            Some(expires) => Err(Rejection::NotExpired { hold: hold.clone(), expires }),
            None => Err(Rejection::NotOpen { hold: hold.clone() }),
        }
    }

    /// Follows an event with nothing but additions.
    fn add_up(&mut self, event: LedgerEvent) -> Touched {
        let mut touched = Touched::new();
        match event {
            LedgerEvent::Transferred(transfers) => {
                for transfer in transfers.as_slice() {
                    let (amount, currency) = (transfer.money.amount(), transfer.money.currency());
                    self.add_legs(&transfer.from, &transfer.to, amount, currency, &mut touched);
                }
            }
            LedgerEvent::Held(hold) => {
                touched.push((hold.from.clone(), hold.money.currency()));
                self.holds.insert(hold.id.clone(), hold);
            }
            LedgerEvent::Posted(posted) => {
                if let Some(hold) = self.holds.remove(&posted.hold) {
                    let currency = hold.money.currency();
                    self.add_legs(&hold.from, &hold.to, posted.amount, currency, &mut touched);
                }
            }
            LedgerEvent::Voided(voided) => {
                self.holds.remove(&voided.hold);
            }
            LedgerEvent::Opened(_) | LedgerEvent::BudgetSet(_) | LedgerEvent::BudgetLifted(_) => {}
        }
        touched
    }

    fn add_legs(
        &mut self,
        from: &AccountId,
        to: &AccountId,
        amount: Amount,
        currency: Currency,
        touched: &mut Touched,
    ) {
        // The books have refused what does not fit.
        let units = i128::try_from(amount.units()).unwrap_or(i128::MAX);
        for (account, change) in [(from, units.saturating_neg()), (to, units)] {
            let key = (account.clone(), currency);
            let posted = self.posted.entry(key.clone()).or_default();
            *posted = posted.saturating_add(change);
            touched.push(key);
            let sum = self.sums.entry(currency).or_default();
            *sum = sum.saturating_add(change);
        }
    }

    fn compare(&self, touched: &Touched) -> Result<(), AuditError> {
        let version = self.version;
        for (account, currency) in touched {
            let sum = self.sums.get(currency).copied().unwrap_or_default();
            if sum != 0 {
                return Err(AuditError::Unbalanced { version, currency: *currency, sum });
            }
            let Some(balance) = self.books.balance(account, *currency) else { continue };
            let events = self.posted.get(&(account.clone(), *currency)).copied().unwrap_or_default();
            if balance.posted != events {
                let (account, books) = (account.clone(), balance.posted);
                return Err(AuditError::Disagreement { version, account, books, events });
            }
            let over = u128::try_from(events).map_or(true, |units| balance.held.units() > units);
            if over && balance.account.kind != AccountKind::Issuance {
                let (account, posted, held) = (account.clone(), events, balance.held);
                return Err(AuditError::Overdrawn { version, account, posted, held });
            }
        }
        Ok(())
    }
}
