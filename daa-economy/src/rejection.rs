//! Why the books refuse a command.

use daa_core::amount::{Currency, Money};
use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{AccountId, AgentId, IdError, TransferId};

use crate::account::AccountKind;
use crate::name::BudgetName;

/// Why the books refuse a command. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No such account in this currency was opened.
    #[error("account {account} was never opened in {currency:?}")]
    UnknownAccount {
        /// The account.
        account: AccountId,
        /// The currency.
        currency: Currency,
    },
    /// The account is open, as another kind.
    #[error("account {account} is open as {kind:?}")]
    AccountDiffers {
        /// The account.
        account: AccountId,
        /// The kind that it has.
        kind: AccountKind,
    },
    /// There is less on the account, or too much of it is held.
    #[error("{needed} are needed on {account}, {available} are available")]
    InsufficientFunds {
        /// The account.
        account: AccountId,
        /// What is needed.
        needed: Money,
        /// What is there and not held.
        available: Money,
    },
    /// A transfer, a hold or a posting of nothing.
    #[error("{id} is about nothing: the amount must be above zero")]
    Zero {
        /// The transfer or hold.
        id: TransferId,
    },
    /// From an account to itself.
    #[error("{id} goes from {account} to itself")]
    SameAccount {
        /// The transfer or hold.
        id: TransferId,
        /// The account.
        account: AccountId,
    },
    /// The id was used for something else.
    #[error("{id} exists with other content")]
    IdReused {
        /// The id.
        id: TransferId,
    },
    /// More of a currency than the books can count: at most `i128::MAX` smallest units are ever in circulation.
    #[error("{money} are more than can be in circulation")]
    Overflow {
        /// What was to be moved.
        money: Money,
    },
    /// The hold never existed, or has ended otherwise.
    #[error("hold {hold} is not open")]
    NotOpen {
        /// The hold.
        hold: TransferId,
    },
    /// More is to be posted than is held.
    #[error("{actual} are to be posted, but {hold} holds {held}")]
    OverHold {
        /// The hold.
        hold: TransferId,
        /// What is to be posted.
        actual: Money,
        /// What is held.
        held: Money,
    },
    /// The hold has no expiry, or it has not come.
    #[error("hold {hold} has not expired")]
    NotExpired {
        /// The hold.
        hold: TransferId,
        /// When it will have; `None` for never.
        expires: Option<Timestamp>,
    },
    /// Only agents spend within budgets, and only from their own accounts.
    #[error("{account} is not the account of agent {agent}")]
    NotTheAgents {
        /// The account.
        account: AccountId,
        /// The agent.
        agent: AgentId,
    },
    /// The agent has no budget in this currency, so it may spend nothing.
    #[error("{agent} has no budget to spend {needed} from")]
    NoBudget {
        /// The agent.
        agent: AgentId,
        /// What it wanted to spend.
        needed: Money,
    },
    /// A budget does not allow it.
    #[error("budget {budget} allows {remaining} more in this period, {needed} are needed")]
    OverBudget {
        /// The budget.
        budget: BudgetName,
        /// What is needed.
        needed: Money,
        /// What is left.
        remaining: Money,
    },
    /// A budget of this name has another period.
    #[error("budget {budget} exists with another period; lift it first, or use another name")]
    BudgetDiffers {
        /// The budget.
        budget: BudgetName,
    },
    /// There is no such budget.
    #[error("{agent} has no budget {budget}")]
    UnknownBudget {
        /// Whose it would be.
        agent: AgentId,
        /// The budget.
        budget: BudgetName,
    },
    /// Shares that cannot be computed: no weights, all of them zero, an agent twice, or too large a total.
    #[error("the total cannot be split by these weights")]
    Split,
    /// An id that was to be composed is too long.
    #[error("an id cannot be composed")]
    Id(#[from] IdError),
}

impl Reaction for Rejection {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        match self {
            Self::InsufficientFunds { .. } | Self::OverBudget { .. } | Self::NotExpired { .. } => {
                Retry::Later
            }
            _ => Retry::Never,
        }
    }
}
