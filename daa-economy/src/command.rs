//! What can be asked of the books.

use daa_core::amount::{Amount, Currency};
use daa_core::clock::Timestamp;
use daa_core::id::{AgentId, TransferId};

use crate::account::Account;
use crate::budget::Budget;
use crate::name::BudgetName;
use crate::transfer::{Hold, Memo, Transfer};

/// What can be asked of the books. Each is done wholly or not at all, and is safe to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Opens an account.
    Open(Account),
    /// Makes linked transfers: all of them, in this order, or none. Those that were made before are left out.
    Transfer(Vec<Transfer>),
    /// Sets money aside.
    Hold(Hold),
    /// Moves `amount` of what a hold set aside to where it was set aside for, and frees the rest.
    Post {
        /// The hold.
        hold: TransferId,
        /// How much, in smallest units of its currency; above zero.
        amount: Amount,
    },
    /// Frees what a hold set aside.
    Void {
        /// The hold.
        hold: TransferId,
        /// Why, for people.
        memo: Option<Memo>,
    },
    /// Frees what a hold set aside, because its time has come.
    Expire {
        /// The hold.
        hold: TransferId,
        /// The present moment.
        now: Timestamp,
    },
    /// Sets a budget, or changes the limit of one; what was used stays used.
    SetBudget(Budget),
    /// Takes a budget away.
    LiftBudget {
        /// Whose it is.
        agent: AgentId,
        /// The currency that it is about.
        currency: Currency,
        /// Its name.
        name: BudgetName,
    },
}

/// Whether a command had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Applied {
    /// It had.
    Now,
    /// It had none, because it was done before.
    Before,
}
