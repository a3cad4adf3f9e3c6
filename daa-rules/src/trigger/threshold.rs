//! Values that trigger rules when they cross a bound.

use std::cmp::Ordering;
use std::fmt;

use daa_core::digest::DigestBuilder;
use serde_json::Value;

use crate::attribute::Type;
use crate::condition::{Amount, Condition, order};

/// A bound on a value, with hysteresis: raised once when the value reaches it, and again only after the value was beyond
/// where it is cleared.
#[derive(Clone, Debug)]
pub struct Threshold {
    text: String,
    value: Condition,
    is_above: bool,
    bound: Value,
    clear: Value,
}

impl Threshold {
    /// On failure says what is wrong.
    pub(crate) fn new(
        text: &str,
        value: Condition,
        is_above: bool,
        bound: Value,
        clear: Option<Value>,
    ) -> Result<Self, &'static str> {
        let clear = clear.unwrap_or_else(|| bound.clone());
        let kind = value.kind();
        if !(kind.is_number() || *kind == Type::Money) {
            return Err("a value that crosses a bound is a number or money");
        }
        let apart = order(kind, &clear, &bound)
            .ok_or("above, below and clear are what the value is: a number, or money of one currency")?;
        match (is_above, apart) {
            (_, Ordering::Equal) | (true, Ordering::Less) | (false, Ordering::Greater) => {
                Ok(Self { text: text.to_owned(), value, is_above, bound, clear })
            }
            _ => Err("clear is on the harmless side of the bound, or the bound itself"),
        }
    }

    pub(crate) const fn value(&self) -> &Condition {
        &self.value
    }

    /// The type of its value.
    pub(crate) const fn kind(&self) -> &Type {
        self.value.kind()
    }

    /// The code of the currency, where it is money.
    pub(crate) fn code(&self) -> Option<String> {
        let bound = (*self.kind() == Type::Money).then_some(&self.bound)?;
        Amount::parse(bound.as_str()?).map(|amount| amount.code().to_owned())
    }

    /// Whether it is raised once the value is this, given whether it was raised before; `None` where the value cannot be
    /// compared, and nothing changes.
    #[must_use]
    pub fn is_raised_after(&self, raised: bool, value: &Value) -> Option<bool> {
        let level = if raised { &self.clear } else { &self.bound };
        let order = order(self.kind(), value, level)?;
        let alarming = if self.is_above { Ordering::Greater } else { Ordering::Less };
        // Where it is cleared at the bound itself, the bound is still alarming.
        Some(order == alarming || order == Ordering::Equal)
    }

    pub(super) fn describe(&self, out: &mut DigestBuilder) {
        self.value.digest(out);
        out.add(if self.is_above { b"above" } else { b"below" });
        out.add(self.bound.to_string().as_bytes());
        out.add(self.clear.to_string().as_bytes());
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, is_above, bound, clear, .. } = self;
        write!(f, "{text} {} {bound}, cleared at {clear}", if *is_above { "above" } else { "below" })
    }
}
