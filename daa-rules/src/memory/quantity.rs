//! How much is counted: an exact number that is never negative.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The decimal places that are kept.
const PLACES: usize = 38;
/// Ten to that power.
const ONE: u128 = 10u128.pow(PLACES as u32);

/// A whole part, and a fraction in units of ten to the minus [`PLACES`]. Written `12.5`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity {
    whole: u128,
    fraction: u128,
}

impl Quantity {
    pub(crate) const ZERO: Self = Self { whole: 0, fraction: 0 };
    pub(crate) const ONE: Self = Self { whole: 1, fraction: 0 };

    /// `fraction` in units of ten to the minus 38; `None` when it is a whole or more.
    pub(crate) const fn new(whole: u128, fraction: u128) -> Option<Self> {
        if fraction < ONE { Some(Self { whole, fraction }) } else { None }
    }

    pub(crate) const fn checked_add(self, other: Self) -> Option<Self> {
        // Two fractions are less than two wholes, which fits.
        let fraction = self.fraction + other.fraction;
        let (carry, fraction) = if fraction >= ONE { (1, fraction - ONE) } else { (0, fraction) };
        let Some(whole) = self.whole.checked_add(other.whole) else { return None };
        match whole.checked_add(carry) {
            Some(whole) => Some(Self { whole, fraction }),
            None => None,
        }
    }

    pub(crate) const fn checked_sub(self, other: Self) -> Option<Self> {
        let (borrow, fraction) = match self.fraction.checked_sub(other.fraction) {
            Some(fraction) => (0, fraction),
            None => (1, self.fraction + (ONE - other.fraction)),
        };
        let Some(whole) = self.whole.checked_sub(other.whole) else { return None };
        match whole.checked_sub(borrow) {
            Some(whole) => Some(Self { whole, fraction }),
            None => None,
        }
    }

    /// Its whole part, and its fraction in units of ten to the minus 38.
    pub(crate) const fn parts(self) -> (u128, u128) {
        (self.whole, self.fraction)
    }

    /// The whole part, where there is no other.
    pub(crate) const fn whole(self) -> Option<u128> {
        if self.fraction == 0 { Some(self.whole) } else { None }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fraction == 0 {
            return write!(f, "{}", self.whole);
        }
        let fraction = format!("{:0PLACES$}", self.fraction);
        write!(f, "{}.{}", self.whole, fraction.trim_end_matches('0'))
    }
}

/// A text that is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a quantity is a decimal number such as 12.5")]
pub(crate) struct NotAQuantity;

impl FromStr for Quantity {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > PLACES {
            return Err(NotAQuantity);
        }
        let whole = whole.parse().map_err(|_| NotAQuantity)?;
        let fraction = format!("{fraction:0<PLACES$}").parse().map_err(|_| NotAQuantity)?;
        Ok(Self { whole, fraction })
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantity() -> impl Strategy<Value = Quantity> {
        let whole = prop_oneof![0..100u128, any::<u128>()];
        let fraction = prop_oneof![Just(0), 0..ONE];
        (whole, fraction).prop_map(|(whole, fraction)| Quantity::new(whole, fraction).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_added_can_be_taken_away(a in quantity(), b in quantity()) {
            match a.checked_add(b) {
                Some(sum) => {
                    prop_assert!(sum >= a && sum >= b);
                    prop_assert_eq!(sum.checked_sub(b), Some(a));
                    prop_assert_eq!(b.checked_add(a), Some(sum));
                }
                None => prop_assert!(a.whole > u128::MAX / 2 || b.whole > u128::MAX / 2),
            }
            prop_assert_eq!(a.checked_sub(b).is_some(), a >= b);
        }

        #[test]
        fn is_read_as_it_is_written(a in quantity()) {
            prop_assert_eq!(a.to_string().parse::<Quantity>(), Ok(a));
        }
    }

    #[test]
    fn is_written_as_people_do() {
        let of = |text: &str| text.parse::<Quantity>().map(|quantity| quantity.to_string());
        assert_eq!(of("12.50").as_deref(), Ok("12.5"));
        assert_eq!(of("0.000001").as_deref(), Ok("0.000001"));
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1 ", "340282366920938463463374607431768211456"] {
            assert_eq!(bad.parse::<Quantity>(), Err(NotAQuantity), "{bad:?}");
        }
    }
}
