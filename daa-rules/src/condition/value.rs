//! What expressions evaluate to: views into the request and into the condition, rarely anything of their own.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use daa_core::amount::Money;
use serde_json::{Map, Value as Json};

use super::decimal::Decimal;
use super::evaluate::{Budget, Indeterminate};

#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(Cow<'a, str>),
    /// `action.cost`.
    Cost(Money),
    Money(Decimal),
    List(List<'a>),
    Map(&'a Map<String, Json>),
}

#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    Given(&'a [Json]),
    Built(Rc<[Value<'a>]>),
}

impl<'a> List<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Given(items) => items.len(),
            Self::Built(items) => items.len(),
        }
    }

    pub(crate) fn item(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Given(items) => items.get(index).map(Value::of),
            Self::Built(items) => items.get(index).cloned(),
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn of(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(bool) => Self::Bool(*bool),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int),
                (None, Some(uint)) => Self::UInt(uint),
                (None, None) => number.as_f64().map_or(Self::Null, Self::Double),
            },
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(items) => Self::List(List::Given(items)),
            Json::Object(map) => Self::Map(map),
        }
    }

    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::UInt(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Cost(_) | Self::Money(_) => "money",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    pub(crate) fn money(&self) -> Option<Decimal> {
        match self {
            Self::Cost(money) => Decimal::of(*money),
            Self::Money(decimal) => Some(*decimal),
            _ => None,
        }
    }

    fn integer(&self) -> Option<i128> {
        match self {
            Self::Int(int) => Some((*int).into()),
            Self::UInt(uint) => Some((*uint).into()),
            _ => None,
        }
    }

    /// The order of two values; `None` where there is none.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Double(a), _) => order_exactly(other.integer()?, *a).map(Ordering::reverse),
            (_, Self::Double(b)) => order_exactly(self.integer()?, *b),
            _ => match (self.integer(), other.integer()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => self.money()?.compare(&other.money()?),
            },
        }
    }

    /// Whether two values are equal. Values of different types are not, numbers aside; money is compared with
    /// nothing but money of the same currency and null.
    pub(crate) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Indeterminate> {
        budget.step()?;
        match (self, other) {
            (Self::Null, Self::Null) => Ok(true),
            (Self::Text(a), Self::Text(b)) => {
                budget.text(a.len().min(b.len()))?;
                Ok(a == b)
            }
            (Self::List(a), Self::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for index in 0..a.len() {
                    let (Some(a), Some(b)) = (a.item(index), b.item(index)) else { return Ok(false) };
                    if !a.equals(&b, budget)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Self::Map(a), Self::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, a) in *a {
                    let Some(b) = b.get(key) else { return Ok(false) };
                    if !Value::of(a).equals(&Value::of(b), budget)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Self::Cost(_) | Self::Money(_), Self::Null) | (Self::Null, Self::Cost(_) | Self::Money(_)) => {
                Ok(false)
            }
            (Self::Cost(_) | Self::Money(_), _) | (_, Self::Cost(_) | Self::Money(_)) => {
                self.order(other).map(Ordering::is_eq).ok_or_else(|| self.mismatch("==", other))
            }
            _ => Ok(self.order(other) == Some(Ordering::Equal)),
        }
    }

    pub(crate) fn mismatch(&self, operator: &'static str, other: &Self) -> Indeterminate {
        if let (Some(a), Some(b)) = (self.money(), other.money())
            && a.code() != b.code()
        {
            return Indeterminate::Currencies;
        }
        Indeterminate::Operands { operator, left: self.type_name(), right: other.type_name() }
    }
}

/// Compares an integer with a float without rounding either.
pub(super) fn order_exactly(int: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Every integer here has at most 65 bits, so beyond this the float decides.
    const BEYOND: f64 = 1e30;
    if double.abs() >= BEYOND {
        return Some(if double > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = double.floor();
    // Exact: the float is a whole number well within the range of i128.
    let order = int.cmp(&(whole as i128));
    Some(order.then(if double > whole { Ordering::Less } else { Ordering::Equal }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_integers_and_floats_without_rounding() {
        let big = Value::Int((1 << 53) + 1);
        assert_eq!(big.order(&Value::Double(9_007_199_254_740_992.0)), Some(Ordering::Greater));
        assert_eq!(
            Value::UInt(u64::MAX).order(&Value::Double(18_446_744_073_709_551_616.0)),
            Some(Ordering::Less)
        );
        assert_eq!(Value::Int(-1).order(&Value::Double(-0.5)), Some(Ordering::Less));
        assert_eq!(Value::Int(1).order(&Value::Double(1.5)), Some(Ordering::Less));
        assert_eq!(Value::Double(1.5).order(&Value::Int(1)), Some(Ordering::Greater));
        assert_eq!(Value::Int(1).order(&Value::Double(f64::NAN)), None);
        assert_eq!(Value::Int(1).order(&Value::Double(f64::INFINITY)), Some(Ordering::Less));
        assert_eq!(Value::Int(1).order(&Value::UInt(1)), Some(Ordering::Equal));
    }
}
