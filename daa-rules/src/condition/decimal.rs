//! An exact decimal amount of a currency: what a rule compares a cost with.

use std::cmp::Ordering;

use daa_core::amount::{Currency, Money};

use crate::memory::Quantity;

/// The most decimal places that are read; ten to that power still fits.
const PLACES: usize = 38;

/// A whole part, and a fraction in units of ten to the minus [`PLACES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    whole: u128,
    fraction: u128,
    /// Without decimal places: only its code counts.
    currency: Currency,
}

impl Decimal {
    /// Reads `12.50 USDC`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, code) = text.split_once(' ')?;
        let currency = Currency::new(code, 0).ok()?;
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (number, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > PLACES {
            return None;
        }
        let padded = format!("{fraction:0<PLACES$}");
        Some(Self { whole: whole.parse().ok()?, fraction: padded.parse().ok()?, currency })
    }

    /// The same amount as `money`; `None` only for more decimal places than any currency has.
    pub(crate) fn of(money: Money) -> Option<Self> {
        let decimals = u32::from(money.currency().decimals());
        let scale = 10u128.checked_pow(decimals)?;
        let missing = (PLACES as u32).checked_sub(decimals)?;
        let units = money.amount().units();
        let fraction = units.checked_rem(scale)?.checked_mul(10u128.checked_pow(missing)?)?;
        let currency = Currency::new(money.currency().code(), 0).ok()?;
        Some(Self { whole: units.checked_div(scale)?, fraction, currency })
    }

    /// The order of two amounts; `None` for different currencies.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        let order = || self.whole.cmp(&other.whole).then(self.fraction.cmp(&other.fraction));
        (self.currency == other.currency).then(order)
    }

    /// The sum; `None` for different currencies, and where it does not fit.
    pub(crate) fn checked_add(&self, other: &Self) -> Option<Self> {
        let (one, other_one) = (self.quantity()?, other.quantity()?);
        let sum = one.checked_add(other_one).filter(|_| self.currency == other.currency)?;
        let (whole, fraction) = sum.parts();
        Some(Self { whole, fraction, currency: self.currency })
    }

    /// The amount without its currency.
    pub(crate) const fn quantity(&self) -> Option<Quantity> {
        Quantity::new(self.whole, self.fraction)
    }

    /// As much of a currency of this code, rounded down to its smallest unit; `None` where it does not fit.
    pub(crate) fn within(&self, currency: Currency) -> Option<Money> {
        let decimals = u32::from(currency.decimals());
        let scale = 10u128.checked_pow(decimals)?;
        let below = 10u128.checked_pow((PLACES as u32).checked_sub(decimals)?)?;
        let units = self.whole.checked_mul(scale)?.checked_add(self.fraction.checked_div(below)?)?;
        Some(currency.units(units))
    }

    pub(crate) fn code(&self) -> &str {
        self.currency.code()
    }

    /// The parts, for a digest.
    pub(crate) const fn parts(&self) -> (u128, u128) {
        (self.whole, self.fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_plain_amounts_with_a_currency() {
        for bad in
            ["", "1", "1 ", " 1 USD", "1. USD", ".5 USD", "-1 USD", "1e3 USD", "1 U$D", "1  USD", "1 USD "]
        {
            assert_eq!(Decimal::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Decimal::parse(&format!("1.{} USD", "0".repeat(39))), None);
        assert_eq!(Decimal::parse("340282366920938463463374607431768211456 USD"), None);
        assert!(Decimal::parse("340282366920938463463374607431768211455.5 USD").is_some());
    }

    #[test]
    fn compares_across_decimal_places_without_rounding() {
        let limit = Decimal::parse("12.50 USDC").unwrap();
        let cost = |units| Decimal::of(Currency::new("USDC", 6).unwrap().units(units)).unwrap();
        assert_eq!(cost(12_500_000).compare(&limit), Some(Ordering::Equal));
        assert_eq!(cost(12_500_001).compare(&limit), Some(Ordering::Greater));
        assert_eq!(cost(12_499_999).compare(&limit), Some(Ordering::Less));
        assert_eq!(cost(u128::MAX).compare(&limit), Some(Ordering::Greater));
        assert_eq!(cost(1).compare(&Decimal::parse("1 EUR").unwrap()), None);
    }
}
