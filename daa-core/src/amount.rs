//! Exact money: integers in the smallest unit of a currency, checked, never a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::fault::{Fault, Reaction, Retry};

/// The most decimal places a currency can have: with more, one whole unit would not fit in a `u128`.
pub const MAX_DECIMALS: u8 = 38;

/// A number of smallest units, such as cents or wei. It carries no currency; [`Money`] does.
///
/// Serialised as a decimal string, because JSON numbers lose precision beyond 2⁵³.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(u128::MAX);

    /// Wraps a number of smallest units.
    #[must_use]
    pub const fn from_units(units: u128) -> Self {
        Self(units)
    }

    /// The number of smallest units.
    #[must_use]
    pub const fn units(self) -> u128 {
        self.0
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` where it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The difference, or `None` where it would be negative.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The product, or `None` where it does not fit.
    #[must_use]
    pub const fn checked_mul(self, factor: u128) -> Option<Self> {
        match self.0.checked_mul(factor) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// Splits this amount by integer weights, without losing or making a unit.
    ///
    /// Each share is rounded down; the units left over go, one each, to the shares with the largest
    /// remainders, the earlier one first where they tie (largest-remainder method). `None` when the weights are
    /// empty or all zero, or when a product does not fit.
    #[must_use]
    pub fn split(self, weights: &[u64]) -> Option<Vec<Self>> {
        let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
        if total == 0 {
            return None;
        }
        let mut shares = Vec::with_capacity(weights.len());
        let mut remainders = Vec::with_capacity(weights.len());
        for (index, &weight) in weights.iter().enumerate() {
            let product = self.0.checked_mul(u128::from(weight))?;
            shares.push(Self(product / total));
            remainders.push((product % total, index));
        }
        let given: u128 = shares.iter().map(|share| share.0).sum();
        remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let left = usize::try_from(self.0.checked_sub(given)?).ok()?;
        for &(_, index) in remainders.iter().take(left) {
            let share = shares.get_mut(index)?;
            share.0 = share.0.checked_add(1)?;
        }
        Some(shares)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(de::Error::custom("an amount is a string of decimal digits"));
        }
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// What money is counted in: a code, and how many decimal places one whole unit has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; 12],
    len: u8,
    decimals: u8,
}

impl Currency {
    /// A currency of 1 to 12 letters or digits, with at most [`MAX_DECIMALS`] decimal places.
    ///
    /// # Errors
    /// [`AmountError::Currency`] when the code or the number of decimals is out of range.
    pub fn new(code: &str, decimals: u8) -> Result<Self, AmountError> {
        let fits = (1..=12).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !fits || decimals > MAX_DECIMALS {
            return Err(AmountError::Currency { code: code.chars().take(32).collect(), decimals });
        }
        let mut bytes = [0; 12];
        for (slot, byte) in bytes.iter_mut().zip(code.bytes()) {
            *slot = byte;
        }
        Ok(Self { code: bytes, len: code.len() as u8, decimals })
    }

    /// The code, such as `USDC`.
    #[must_use]
    pub fn code(&self) -> &str {
        let bytes = self.code.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The number of decimal places of one whole unit.
    #[must_use]
    pub const fn decimals(&self) -> u8 {
        self.decimals
    }

    /// Reads a decimal number of whole units, such as `12.50`.
    ///
    /// # Errors
    /// [`AmountError`] when the text is not a plain decimal number, has more decimal places than the currency,
    /// or does not fit.
    pub fn parse(&self, text: &str) -> Result<Money, AmountError> {
        let number = || AmountError::Number { text: text.chars().take(64).collect() };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let has_point = text.contains('.');
        if whole.is_empty() || !digits(whole) || !digits(fraction) || (has_point && fraction.is_empty()) {
            return Err(number());
        }
        if fraction.len() > usize::from(self.decimals) {
            return Err(AmountError::Precision {
                text: text.chars().take(64).collect(),
                decimals: self.decimals,
                code: self.code().to_owned(),
            });
        }
        let overflow = || AmountError::Overflow;
        let scale = 10u128.checked_pow(u32::from(self.decimals)).ok_or_else(overflow)?;
        let whole: u128 = whole.parse().map_err(|_| overflow())?;
        let padded = format!("{fraction:0<width$}", width = usize::from(self.decimals));
        let fraction: u128 = if padded.is_empty() { 0 } else { padded.parse().map_err(|_| overflow())? };
        let units = whole.checked_mul(scale).and_then(|units| units.checked_add(fraction));
        Ok(Money { amount: Amount(units.ok_or_else(overflow)?), currency: *self })
    }

    /// This many smallest units of the currency.
    #[must_use]
    pub const fn units(&self, units: u128) -> Money {
        Money { amount: Amount(units), currency: *self }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.code(), self.decimals)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Currency")]
struct CurrencyRepr<'a> {
    code: std::borrow::Cow<'a, str>,
    decimals: u8,
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CurrencyRepr { code: self.code().into(), decimals: self.decimals }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let repr = CurrencyRepr::deserialize(deserializer)?;
        Self::new(&repr.code, repr.decimals).map_err(de::Error::custom)
    }
}

/// An amount of one currency. Printed with the currency's decimals and code: `12.50 USD`.
///
/// ```
/// use daa_core::amount::Currency;
///
/// let usdc = Currency::new("USDC", 6)?;
/// let price = usdc.parse("12.5")?;
/// assert_eq!(price.to_string(), "12.500000 USDC");
/// assert_eq!(price.checked_add(usdc.units(1))?.to_string(), "12.500001 USDC");
/// assert!(usdc.parse("0.0000001").is_err());
/// # Ok::<(), daa_core::amount::AmountError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    amount: Amount,
    currency: Currency,
}

impl Money {
    /// The amount, in smallest units.
    #[must_use]
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// The currency.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// The sum.
    ///
    /// # Errors
    /// [`AmountError::Mismatch`] for different currencies, [`AmountError::Overflow`] where it does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_add(other.amount).ok_or(AmountError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// The difference.
    ///
    /// # Errors
    /// [`AmountError::Mismatch`] for different currencies, [`AmountError::Overflow`] where it would be negative.
    pub fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_sub(other.amount).ok_or(AmountError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    fn same_currency(self, other: Self) -> Result<(), AmountError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(AmountError::Mismatch { left: self.currency, right: other.currency })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.currency.decimals);
        if decimals == 0 {
            return write!(f, "{} {}", self.amount, self.currency);
        }
        let scale = 10u128.pow(u32::from(self.currency.decimals));
        let (whole, fraction) = (self.amount.0 / scale, self.amount.0 % scale);
        write!(f, "{whole}.{fraction:0decimals$} {}", self.currency)
    }
}

/// A calculation or a text that makes no valid amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmountError {
    /// The result does not fit, or would be negative.
    #[error("the amount is out of range")]
    Overflow,
    /// Two currencies in one calculation.
    #[error("cannot combine {left:?} with {right:?}")]
    Mismatch {
        /// The currency on the left.
        left: Currency,
        /// The currency on the right.
        right: Currency,
    },
    /// Not a plain decimal number.
    #[error("{text:?} is not a decimal number such as 12.50")]
    Number {
        /// What was read.
        text: String,
    },
    /// More decimal places than the currency has.
    #[error("{text:?} has more than the {decimals} decimal places of {code}")]
    Precision {
        /// What was read.
        text: String,
        /// The decimal places of the currency.
        decimals: u8,
        /// The currency.
        code: String,
    },
    /// A code or a number of decimals that no currency can have.
    #[error(
        "{code:?} with {decimals} decimals is no currency: 1 to 12 letters or digits, at most {MAX_DECIMALS} decimals"
    )]
    Currency {
        /// The code that was given.
        code: String,
        /// The decimals that were given.
        decimals: u8,
    },
}

impl Reaction for AmountError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Reads smallest units: decimal digits only.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AmountError::Number { text: text.chars().take(64).collect() });
        }
        text.parse().map(Self).map_err(|_| AmountError::Overflow)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn printing_and_parsing_round_trip(units: u128, decimals in 0u8..=MAX_DECIMALS) {
            let currency = Currency::new("TST", decimals).unwrap();
            let money = currency.units(units);
            let text = money.to_string();
            prop_assert_eq!(currency.parse(text.strip_suffix(" TST").unwrap()), Ok(money));
        }

        #[test]
        fn splitting_conserves_every_unit(units in 0..=u128::from(u64::MAX), weights in prop::collection::vec(0u64..1000, 1..20)) {
            let amount = Amount::from_units(units);
            match amount.split(&weights) {
                Some(shares) => {
                    let sum: u128 = shares.iter().map(|share| share.units()).sum();
                    prop_assert_eq!(sum, units);
                    for (share, weight) in shares.iter().zip(&weights) {
                        let exact = units * u128::from(*weight);
                        let total: u128 = weights.iter().map(|&w| u128::from(w)).sum();
                        prop_assert!(share.units().abs_diff(exact / total) <= 1);
                    }
                }
                None => prop_assert!(weights.iter().all(|&weight| weight == 0)),
            }
        }

        #[test]
        fn json_round_trips(units: u128) {
            let money = Currency::new("ETH", 18).unwrap().units(units);
            let json = serde_json::to_string(&money).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        }
    }

    #[test]
    fn refuses_what_is_not_a_plain_decimal() {
        let usd = Currency::new("USD", 2).unwrap();
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,000", " 1", "1.2.3", "١"] {
            assert!(matches!(usd.parse(text), Err(AmountError::Number { .. })), "{text:?}");
        }
        assert!(matches!(usd.parse("1.005"), Err(AmountError::Precision { decimals: 2, .. })));
        assert_eq!(usd.parse(&u128::MAX.to_string()), Err(AmountError::Overflow));
    }

    #[test]
    fn refuses_to_mix_currencies_and_to_go_below_zero() {
        let usd = Currency::new("USD", 2).unwrap();
        let eur = Currency::new("EUR", 2).unwrap();
        assert!(matches!(usd.units(1).checked_add(eur.units(1)), Err(AmountError::Mismatch { .. })));
        assert_eq!(usd.units(1).checked_sub(usd.units(2)), Err(AmountError::Overflow));
        assert_eq!(usd.units(u128::MAX).checked_add(usd.units(1)), Err(AmountError::Overflow));
    }
}
