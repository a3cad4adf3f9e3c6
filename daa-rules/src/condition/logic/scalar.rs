//! Values that do not depend on the request.

use std::cmp::Ordering;
use std::sync::Arc;

use daa_core::action::{Action, Context, Request};
use daa_core::clock::Timestamp;

use super::super::decimal::Decimal;
use super::super::evaluate::{self, Budget};
use super::super::expression::Expression;
use super::super::value::{Value, order_exactly};

/// A value that other values are compared with.
#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Text(Arc<str>),
    Whole(i128),
    Float(f64),
    Money(Decimal),
}

/// What kind of values can be compared with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Null,
    Bool,
    Text,
    Number,
    /// Of this currency.
    Money(String),
}

impl Scalar {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Null => Class::Null,
            Self::Bool(_) => Class::Bool,
            Self::Text(_) => Class::Text,
            Self::Whole(_) | Self::Float(_) => Class::Number,
            Self::Money(money) => Class::Money(money.code().to_owned()),
        }
    }

    pub(super) const fn is_ordered(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Whole(_) | Self::Float(_) | Self::Money(_))
    }

    /// The order of two values, as conditions have it.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, Self::Null) => Some(Ordering::Equal),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Whole(a), Self::Float(b)) => order_exactly(*a, *b),
            (Self::Float(a), Self::Whole(b)) => order_exactly(*b, *a).map(Ordering::reverse),
            (Self::Money(a), Self::Money(b)) => a.compare(b),
            _ => None,
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.order(other) == Some(Ordering::Equal)
    }

    /// Whether it is the least amount of its currency.
    pub(super) fn is_no_money(&self) -> bool {
        matches!(self, Self::Money(money) if money.parts() == (0, 0))
    }
}

/// Evaluates what does not depend on a request.
#[derive(Debug)]
pub(super) struct Constants {
    /// Some action: nothing that is evaluated looks at it.
    action: Option<Action>,
    context: Context,
}

impl Constants {
    pub(super) fn new() -> Self {
        let name = "constant";
        let action = match (name.parse(), name.parse(), name.parse()) {
            (Ok(id), Ok(kind), Ok(actor)) => Action::new(id, kind, actor).ok(),
            _ => None,
        };
        Self { action, context: Context::new() }
    }

    /// `None` when it depends on the request; `Some(None)` when it is neither true nor false.
    pub(super) fn bool(&self, expression: &Expression) -> Option<Option<bool>> {
        match expression {
            Expression::Bool(bool) => Some(Some(*bool)),
            expression => self.evaluated(expression, |value| match value {
                Some(Value::Bool(bool)) => Some(bool),
                _ => None,
            }),
        }
    }

    /// `None` when it depends on the request, or is nothing that is compared.
    pub(super) fn scalar(&self, expression: &Expression) -> Option<Scalar> {
        self.evaluated(expression, |value| {
            Some(match value? {
                Value::Null => Scalar::Null,
                Value::Bool(bool) => Scalar::Bool(bool),
                Value::Int(int) => Scalar::Whole(int.into()),
                Value::UInt(uint) => Scalar::Whole(uint.into()),
                Value::Double(double) if !double.is_nan() => Scalar::Float(double),
                Value::Text(text) => Scalar::Text(text.into()),
                Value::Money(money) => Scalar::Money(money),
                _ => return None,
            })
        })?
    }

    /// The elements of a constant list.
    pub(super) fn scalars(&self, list: &Expression) -> Option<Vec<Scalar>> {
        let Expression::List(items) = list else { return None };
        items.iter().map(|item| self.scalar(item)).collect()
    }

    fn evaluated<T>(&self, expression: &Expression, read: impl FnOnce(Option<Value<'_>>) -> T) -> Option<T> {
        if !is_constant(expression) {
            return None;
        }
        let action = self.action.as_ref()?;
        let request = Request::new(action, &self.context, Timestamp::EPOCH);
        Some(read(evaluate::value(expression, &request, &mut Budget::new()).ok()))
    }
}

/// Whether it depends on nothing but itself.
fn is_constant(expression: &Expression) -> bool {
    match expression {
        Expression::Action(_) | Expression::Fact(_) | Expression::Param(_) => false,
        Expression::Given(_) | Expression::Plan(_) | Expression::Owner(_) => false,
        Expression::Null
        | Expression::Bool(_)
        | Expression::Int(_)
        | Expression::UInt(_)
        | Expression::Double(_)
        | Expression::Text(_)
        | Expression::Money(_)
        | Expression::Local(_) => true,
        Expression::Field(of, _)
        | Expression::Typed(of, _)
        | Expression::Has(of)
        | Expression::Not(of)
        | Expression::Negate(of)
        | Expression::NotFalse(of) => is_constant(of),
        Expression::Index(left, right)
        | Expression::And(left, right)
        | Expression::Or(left, right)
        | Expression::Binary(_, left, right) => is_constant(left) && is_constant(right),
        Expression::List(items) | Expression::Call(_, items) => items.iter().all(is_constant),
        Expression::If(parts) => parts.iter().all(is_constant),
        Expression::Fold(fold) => [&fold.range, &fold.initial, &fold.condition, &fold.step, &fold.result]
            .into_iter()
            .all(is_constant),
    }
}
