//! The equality tests of a condition: what must be so for it to be true, and can be seen without evaluating it.

use std::sync::Arc;

use daa_core::action::Request;

use super::evaluate::conform;
use super::expression::{ActionField, Declared, Expression, Operator};
use super::value::Value;
use crate::attribute::Type;

/// An attribute whose value can be looked up.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Action(ActionField),
    Fact(Declared),
    Param(Declared),
}

/// A value that a guard compares with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Literal {
    Text(Arc<str>),
    Whole(i128),
    Bool(bool),
}

/// What an attribute of a request is.
#[derive(Debug)]
pub(crate) enum Seen<'a> {
    Text(&'a str),
    Whole(i128),
    Bool(bool),
    /// Something that equals no literal of a guard.
    Other,
    Missing,
    /// Something else than what is declared.
    Misfit,
}

/// A test that a condition makes of one attribute, beside all others.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) subject: Subject,
    pub(crate) wanted: Wanted,
}

#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// That it is one of these; sorted, each but once.
    OneOf(Vec<Literal>),
    /// That it is there.
    Present,
}

/// The guards of a condition: its conjuncts that compare an attribute with literals, or ask whether it is there.
pub(super) fn guards(root: &Expression) -> Vec<Guard> {
    let mut guards = Vec::new();
    conjuncts(root, &mut |conjunct| guards.extend(guard(conjunct)));
    guards
}

/// All operands of `&&`, however they are grouped.
pub(super) fn conjuncts<'e>(root: &'e Expression, each: &mut impl FnMut(&'e Expression)) {
    match root {
        Expression::And(left, right) => {
            conjuncts(left, each);
            conjuncts(right, each);
        }
        other => each(other),
    }
}

fn guard(test: &Expression) -> Option<Guard> {
    let one_of = |subject: &Expression, mut all: Vec<Literal>| {
        all.sort();
        all.dedup();
        Some(Guard { subject: Subject::of(subject)?, wanted: Wanted::OneOf(all) })
    };
    match test {
        Expression::Binary(Operator::Equal, left, right) => match (Literal::of(left), Literal::of(right)) {
            (None, Some(literal)) => one_of(left, vec![literal]),
            (Some(literal), None) => one_of(right, vec![literal]),
            _ => None,
        },
        Expression::Binary(Operator::In, subject, all) => match &**all {
            Expression::List(items) => one_of(subject, items.iter().map(Literal::of).collect::<Option<_>>()?),
            _ => None,
        },
        Expression::Or(left, right) => {
            let (left, right) = (guard(left)?, guard(right)?);
            match (left.wanted, right.wanted) {
                (Wanted::OneOf(mut a), Wanted::OneOf(b)) if left.subject.path() == right.subject.path() => {
                    a.extend(b);
                    a.sort();
                    a.dedup();
                    Some(Guard { subject: left.subject, wanted: Wanted::OneOf(a) })
                }
                _ => None,
            }
        }
        Expression::Not(of) if is_bool(of) => one_of(of, vec![Literal::Bool(false)]),
        of if is_bool(of) => one_of(of, vec![Literal::Bool(true)]),
        Expression::Has(of) => match Subject::of(of)? {
            Subject::Action(_) => None,
            subject => Some(Guard { subject, wanted: Wanted::Present }),
        },
        _ => None,
    }
}

/// An attribute that is declared as true or false, and so is a test by itself.
fn is_bool(expression: &Expression) -> bool {
    matches!(expression, Expression::Fact(of) | Expression::Param(of) if of.kind == Type::Bool)
}

impl Literal {
    pub(super) fn of(expression: &Expression) -> Option<Self> {
        Some(match expression {
            Expression::Text(text) => Self::Text(Arc::clone(text)),
            Expression::Bool(bool) => Self::Bool(*bool),
            Expression::Int(int) => Self::Whole((*int).into()),
            Expression::UInt(uint) => Self::Whole((*uint).into()),
            Expression::Double(double) => Self::Whole(whole(*double)?),
            _ => return None,
        })
    }

    fn is(&self, seen: &Seen<'_>) -> bool {
        match (self, seen) {
            (Self::Text(text), Seen::Text(seen)) => **text == **seen,
            (Self::Whole(whole), Seen::Whole(seen)) => whole == seen,
            (Self::Bool(bool), Seen::Bool(seen)) => bool == seen,
            _ => false,
        }
    }
}

/// The integer that a float is equal to, where there is one of interest.
fn whole(double: f64) -> Option<i128> {
    // Exact within this range, and beyond it no integer of a request is.
    (double.abs() < 1e30 && double.fract() == 0.0).then_some(double as i128)
}

impl Subject {
    fn of(expression: &Expression) -> Option<Self> {
        let is_plain = |attribute: &Declared| attribute.kind != Type::Money;
        match expression {
            Expression::Action(field @ (ActionField::Id | ActionField::Kind | ActionField::Actor)) => {
                Some(Self::Action(*field))
            }
            Expression::Fact(fact) if is_plain(fact) => Some(Self::Fact(fact.clone())),
            Expression::Param(param) if is_plain(param) => Some(Self::Param(param.clone())),
            _ => None,
        }
    }

    /// Its whole name.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Action(ActionField::Id) => "action.id",
            Self::Action(ActionField::Kind) => "action.kind",
            Self::Action(_) => "action.actor",
            Self::Fact(attribute) | Self::Param(attribute) => &attribute.path,
        }
    }

    /// What it is in a request.
    pub(crate) fn seen<'r>(&self, request: &Request<'r>) -> Seen<'r> {
        let action = request.action;
        let (json, kind) = match self {
            Self::Action(ActionField::Id) => return Seen::Text(action.id().as_str()),
            Self::Action(ActionField::Kind) => return Seen::Text(action.kind().as_str()),
            Self::Action(_) => return Seen::Text(action.actor().as_str()),
            Self::Fact(fact) => (request.context.fact(fact.name()), &fact.kind),
            Self::Param(param) => (action.params().get(param.name()), &param.kind),
        };
        let Some(json) = json else { return Seen::Missing };
        match (json, kind) {
            // By far the most frequent.
            (serde_json::Value::String(text), Type::String | Type::Any) => Seen::Text(text),
            (serde_json::Value::Bool(bool), Type::Bool | Type::Any) => Seen::Bool(*bool),
            _ => match conform(Value::of(json), kind) {
                Ok(Value::Text(_)) => json.as_str().map_or(Seen::Other, Seen::Text),
                Ok(Value::Bool(bool)) => Seen::Bool(bool),
                Ok(Value::Int(int)) => Seen::Whole(int.into()),
                Ok(Value::UInt(uint)) => Seen::Whole(uint.into()),
                Ok(Value::Double(double)) => whole(double).map_or(Seen::Other, Seen::Whole),
                Ok(_) => Seen::Other,
                Err(_) => Seen::Misfit,
            },
        }
    }
}

impl Guard {
    /// Whether it is false, whatever the rest of the condition is, and so the condition too.
    pub(crate) fn is_false(&self, request: &Request<'_>) -> bool {
        let seen = self.subject.seen(request);
        match (&self.wanted, &seen) {
            (Wanted::Present, Seen::Missing) => true,
            (Wanted::Present, _) | (_, Seen::Missing | Seen::Misfit) => false,
            (Wanted::OneOf(all), seen) => !all.iter().any(|literal| literal.is(seen)),
        }
    }
}
