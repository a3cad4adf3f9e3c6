//! A double-entry ledger and budgets on the event store: exact money for agents.
//!
//! - [`Ledger`]: accounts, transfers and holds, on the stream `ledger` of an event store; [`Books`] is its pure
//!   core, [`LedgerChange`] its way into the atomic append of somebody else.
//! - [`Budget`]: how much an agent may spend per action, per hour, per day, in a rolling window, or at all.
//!   Budgets are part of the books, so there is no gap between their check and the reservation.
//! - [`AgentTreasury`]: what the gate of `daa-core` asks before an action that may cost something.
//! - [`Stakes`] and [`RewardPool`]: what agents put at risk, and what they are paid, run by run and round by
//!   round, never twice.
//! - [`verify`](audit::verify): what an outsider runs over the stream, to believe it.
//!
//! Money is integers in the smallest unit of a currency, always.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::dbg_macro,
        clippy::print_stdout
    )
)]

mod account;
pub mod audit;
mod books;
mod budget;
mod change;
mod command;
mod error;
mod event;
mod ledger;
mod name;
mod rejection;
mod reward;
mod round;
mod stake;
mod transfer;
mod treasury;

pub use account::{Account, AccountKind, Balance, agent_account};
pub use books::{BatchOutcome, Books, Savepoint};
pub use budget::{Budget, BudgetStatus, Period, Window};
pub use change::{LEDGER_STREAM, LedgerChange};
pub use command::{Applied, Command};
pub use error::LedgerError;
pub use event::{BudgetLifted, LedgerEvent, Posted, Transfers, VoidCause, Voided};
pub use ledger::Ledger;
pub use name::{BudgetName, MAX_NAME_LEN, NameError, RunId};
pub use rejection::Rejection;
pub use reward::{RewardPool, Share};
pub use round::Round;
pub use stake::{Slash, Stakes};
pub use transfer::{Hold, MAX_MEMO_LEN, Memo, MemoTooLong, Spending, Transfer};
pub use treasury::AgentTreasury;
