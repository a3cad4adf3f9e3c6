//! Conditions over what a run knows.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::template::{Node, Resolved, Scope, Template};

/// A condition, as data: `{ "gt": ["${check.score}", 700] }`.
///
/// Numbers compare as numbers, text by its characters; what cannot be ordered, such as null and a number, makes
/// `lt`, `le`, `gt` and `ge` false.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// Every one holds.
    All(Vec<Self>),
    /// At least one holds.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// Both are equal.
    Eq(Template, Template),
    /// They are not equal.
    Ne(Template, Template),
    /// The first is less.
    Lt(Template, Template),
    /// The first is less or equal.
    Le(Template, Template),
    /// The first is greater.
    Gt(Template, Template),
    /// The first is greater or equal.
    Ge(Template, Template),
    /// The first is an item of the second, a list.
    In(Template, Template),
    /// It is neither null nor missing.
    Present(Template),
    /// It is the boolean true.
    True(Template),
}

impl Condition {
    /// Whether it holds.
    pub(in crate::workflow) fn holds(&self, scope: &dyn Scope) -> bool {
        let order = |left: &Template, right: &Template| {
            compare(&left.node().resolve(scope), &right.node().resolve(scope))
        };
        let equal = |left: &Template, right: &Template| {
            same(&left.node().resolve(scope), &right.node().resolve(scope))
        };
        match self {
            Self::All(all) => all.iter().all(|each| each.holds(scope)),
            Self::Any(any) => any.iter().any(|each| each.holds(scope)),
            Self::Not(not) => !not.holds(scope),
            Self::Eq(left, right) => equal(left, right),
            Self::Ne(left, right) => !equal(left, right),
            Self::Lt(left, right) => order(left, right) == Some(Ordering::Less),
            Self::Le(left, right) => matches!(order(left, right), Some(Ordering::Less | Ordering::Equal)),
            Self::Gt(left, right) => order(left, right) == Some(Ordering::Greater),
            Self::Ge(left, right) => matches!(order(left, right), Some(Ordering::Greater | Ordering::Equal)),
            Self::In(item, list) => {
                let (item, list) = (item.node().resolve(scope), list.node().resolve(scope));
                list.as_array().is_some_and(|list| list.iter().any(|each| equals(each, &item)))
            }
            Self::Present(of) => !of.node().resolve(scope).is_null(),
            Self::True(of) => *of.node().resolve(scope) == Value::Bool(true),
        }
    }

    /// Its templates.
    pub(in crate::workflow) fn nodes(&self, visit: &mut dyn FnMut(&Node)) {
        match self {
            Self::All(all) => all.iter().for_each(|each| each.nodes(visit)),
            Self::Any(any) => any.iter().for_each(|each| each.nodes(visit)),
            Self::Not(not) => not.nodes(visit),
            Self::Eq(left, right)
            | Self::Ne(left, right)
            | Self::Lt(left, right)
            | Self::Le(left, right)
            | Self::Gt(left, right)
            | Self::Ge(left, right)
            | Self::In(left, right) => {
                visit(left.node());
                visit(right.node());
            }
            Self::Present(of) | Self::True(of) => visit(of.node()),
        }
    }
}

fn same(left: &Resolved<'_>, right: &Resolved<'_>) -> bool {
    equals(left, right)
}

/// Numbers are equal when their values are: 1 and 1.0.
fn equals(left: &Value, right: &Resolved<'_>) -> bool {
    match (left, &**right) {
        (Value::Number(left), Value::Number(right)) => numbers(left, right) == Some(Ordering::Equal),
        (left, right) => left == right,
    }
}

fn compare(left: &Resolved<'_>, right: &Resolved<'_>) -> Option<Ordering> {
    match (&**left, &**right) {
        (Value::Number(left), Value::Number(right)) => numbers(left, right),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Whole numbers exactly, others as floats.
fn numbers(left: &serde_json::Number, right: &serde_json::Number) -> Option<Ordering> {
    let whole = |number: &serde_json::Number| {
        number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
    };
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
