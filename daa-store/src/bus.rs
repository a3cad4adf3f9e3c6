//! What the event buses on brokers share: their names, how a message looks on the wire, what a group agreed on, and
//! messages on their way from a broker to a consumer and back.

mod agreement;
mod arrival;
mod escape;
mod fields;
mod lane;
mod member;
mod name;
mod secret;
mod subscription;

pub(crate) use agreement::Agreement;
pub(crate) use arrival::{Arrival, Intake};
pub(crate) use escape::escape_name;
pub(crate) use fields::{Fields, Letter};
pub(crate) use lane::Lane;
pub(crate) use member::Member;
pub use name::{BusName, BusNameError};
pub(crate) use secret::Secret;
pub(crate) use subscription::{End, Feed, Subscription, subscription};

use std::error::Error as StdError;

use daa_core::bus::BusError;

/// How much of an error's text travels with a dead letter, in bytes.
const MAX_ERROR: usize = 2 << 10;

pub(crate) fn broker(what: &'static str) -> impl Fn(Box<dyn StdError + Send + Sync>) -> BusError {
    move |source| BusError::Broker { what, source }
}
