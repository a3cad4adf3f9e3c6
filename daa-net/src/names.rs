//! `.dark` addresses: those that certify themselves, and names that somebody has registered.
//!
//! The address of a node is its id, as 52 digits: nobody can register it, and nobody is needed to resolve it. A [`Name`] is
//! short, and belongs to who claimed it first, as far as those near its place know: its [`NameRecord`] is signed by the owner,
//! says which node it leads to, and expires. Owners renew, and give names away; each transfer is signed by who gives.
//!
//! # What it does not guarantee
//!
//! There is no order between strangers here that all agree on. Two who claim a name at the same moment, or on two sides of
//! a partition, may each be known as its owner by a part of the network; then the name does not resolve until one
//! gives up. Whoever surrounds the place of a name with enough nodes in enough subnets can hide a name, or show another
//! owner to those who never saw it. Whoever resolved a name before can tell: [`SignedName::follows`].
//! A claim costs a little work, which slows down who claims all words, and stops nobody. Where that is not enough, names are
//! to be ordered by consensus, or the node's own address used.

mod error;
mod name;
mod record;
mod resolve;
mod store;
#[cfg(test)]
mod tests;
mod title;
mod wire;

pub use error::{NameError, NameIssueError, ParseNameError};
pub use name::{DarkAddress, Name};
pub use record::{MAX_NAME_LIFE, MAX_NAME_RECORD, MAX_PROPERTIES, NameRecord, SignedName};
pub use resolve::Resolution;
pub use title::{Claim, MAX_TRANSFERS, Title, WORK_BITS};

#[cfg(test)]
use record::Descent;
pub(crate) use resolve::{Vote, decide, most};
pub(crate) use store::{NameStore, Put};
