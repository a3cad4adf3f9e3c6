//! What the event buses on brokers share: their names, how a message looks on the wire, what a group agreed on.

mod agreement;
mod answer;
mod escape;
mod fields;
mod lane;
mod name;
mod secret;

pub(crate) use agreement::Agreement;
pub(crate) use answer::{Answer, unless_lost};
pub(crate) use escape::escape_name;
pub(crate) use fields::{Fields, Letter};
pub(crate) use lane::Lane;
pub use name::{BusName, BusNameError};
pub(crate) use secret::Secret;

use std::error::Error as StdError;

use daa_core::bus::BusError;

/// How much of an error's text travels with a dead letter, in bytes.
const MAX_ERROR: usize = 2 << 10;

pub(crate) fn broker(what: &'static str) -> impl Fn(Box<dyn StdError + Send + Sync>) -> BusError {
    move |source| BusError::Broker { what, source }
}
