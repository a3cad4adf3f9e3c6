//! What a term can be.

use std::cmp::Ordering;

use super::super::expression::{ActionField, Expression, Function, PlanField};
use super::scalar::{Class, Scalar};
use crate::attribute::Type;

/// The values that a term can have, and whether it has one. What is said of it only narrows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Domain {
    /// Whether it is known to have a value, or to have none.
    present: Option<bool>,
    /// The class of its values, where that is known from its declaration.
    class: Option<Class>,
    is_whole: bool,
    is_money: bool,
    /// The only values, where there are but some.
    allowed: Option<Vec<Scalar>>,
    excluded: Vec<Scalar>,
    low: Option<Bound>,
    high: Option<Bound>,
    is_contradictory: bool,
}

#[derive(Clone, Debug)]
struct Bound {
    at: Scalar,
    /// Whether the bound itself is within.
    inclusive: bool,
}

impl Domain {
    /// What a term can be by its declaration.
    pub(super) fn of(term: &Expression) -> Self {
        let mut domain = Self::default();
        match kind(term) {
            Some(Type::Bool) => {
                domain.allowed = Some(vec![Scalar::Bool(false), Scalar::Bool(true)]);
                domain.class = Some(Class::Bool);
            }
            Some(Type::Enum(all)) => {
                domain.allowed = Some(all.iter().map(|text| Scalar::Text(text.as_str().into())).collect());
                domain.class = Some(Class::Text);
            }
            Some(Type::String) => domain.class = Some(Class::Text),
            Some(Type::Double) => domain.class = Some(Class::Number),
            Some(Type::Money) => domain.is_money = true,
            Some(Type::Int) => domain.whole(i64::MIN.into()),
            Some(Type::UInt) => domain.whole(0),
            _ => {}
        }
        domain
    }

    fn whole(&mut self, low: i128) {
        self.class = Some(Class::Number);
        self.is_whole = true;
        self.low = Some(Bound { at: Scalar::Whole(low), inclusive: true });
        self.high = Some(Bound { at: Scalar::Whole(u64::MAX.into()), inclusive: true });
    }

    pub(super) fn present(&mut self, present: bool) {
        self.is_contradictory |= self.present.is_some_and(|known| known != present);
        self.present = Some(present);
    }

    pub(super) const fn presence(&self) -> Option<bool> {
        self.present
    }

    /// It is one of these, or none of them.
    pub(super) fn one_of(&mut self, all: &[Scalar], wanted: bool) {
        self.present(true);
        if !wanted {
            self.excluded.extend_from_slice(all);
            return;
        }
        let among = |value: &Scalar, all: &[Scalar]| all.iter().any(|one| one.is(value));
        let before = self.allowed.take();
        let both = all.iter().filter(|value| before.as_ref().is_none_or(|before| among(value, before)));
        self.allowed = Some(both.cloned().collect());
    }

    pub(super) fn below(&mut self, at: &Scalar, inclusive: bool) {
        self.bounded(at);
        // Nothing costs less than nothing.
        self.is_contradictory |= at.is_no_money() && !inclusive;
        let tighter = |bound: &Bound| match at.order(&bound.at) {
            Some(Ordering::Less) => true,
            Some(Ordering::Equal) => bound.inclusive && !inclusive,
            _ => false,
        };
        if self.high.as_ref().is_none_or(tighter) {
            self.high = Some(Bound { at: at.clone(), inclusive });
        }
    }

    pub(super) fn above(&mut self, at: &Scalar, inclusive: bool) {
        self.bounded(at);
        let tighter = |bound: &Bound| match at.order(&bound.at) {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => bound.inclusive && !inclusive,
            _ => false,
        };
        if self.low.as_ref().is_none_or(tighter) {
            self.low = Some(Bound { at: at.clone(), inclusive });
        }
    }

    /// It has an order with this value, and so is of its class.
    fn bounded(&mut self, at: &Scalar) {
        self.present(true);
        let class = at.class();
        self.is_contradictory |= self.class.as_ref().is_some_and(|known| *known != class);
        self.is_contradictory |= self.is_money && !matches!(class, Class::Money(_));
        self.class = Some(class);
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.is_contradictory || self.present == Some(true) && self.has_no_value()
    }

    fn has_no_value(&self) -> bool {
        match &self.allowed {
            Some(allowed) => !allowed.iter().any(|value| self.admits(value)),
            None => self.is_gap(),
        }
    }

    fn admits(&self, value: &Scalar) -> bool {
        let within = |bound: &Option<Bound>, side: Ordering| {
            bound.as_ref().is_none_or(|bound| match value.order(&bound.at) {
                Some(Ordering::Equal) => bound.inclusive,
                order => order == Some(side),
            })
        };
        let fits = match &self.class {
            Some(class) => value.class() == *class,
            None => !self.is_money || matches!(value, Scalar::Money(_) | Scalar::Null),
        };
        fits && within(&self.low, Ordering::Greater)
            && within(&self.high, Ordering::Less)
            && !self.excluded.iter().any(|one| one.is(value))
    }

    /// Whether there is nothing between the bounds.
    fn is_gap(&self) -> bool {
        let (Some(low), Some(high)) = (&self.low, &self.high) else { return false };
        if self.is_whole {
            return match (first(low), last(high)) {
                (Some(first), Some(last)) => {
                    let left_out =
                        |value: i128| self.excluded.iter().any(|one| one.is(&Scalar::Whole(value)));
                    // A few values may all be left out one by one.
                    first > last || last - first < 64 && (first..=last).all(left_out)
                }
                _ => false,
            };
        }
        match low.at.order(&high.at) {
            Some(Ordering::Less) => false,
            Some(Ordering::Equal) => {
                !low.inclusive || !high.inclusive || self.excluded.iter().any(|one| one.is(&low.at))
            }
            // Bounds of different classes: nothing has an order with both.
            Some(Ordering::Greater) | None => true,
        }
    }

    /// Whether comparing it with this value has a result wherever it has a value.
    pub(super) fn compares_with(&self, value: &Scalar) -> bool {
        let class = value.class();
        let known = match (&self.class, &self.allowed) {
            (Some(known), _) => Some(known.clone()),
            (None, Some(allowed)) => {
                let mut classes = allowed.iter().map(Scalar::class);
                classes.next().filter(|first| classes.all(|class| class == *first))
            }
            (None, None) => None,
        };
        match (known, &class) {
            (Some(known), class) if known == *class => true,
            // Values of different classes are just not equal; money alone cannot be compared with others.
            (Some(Class::Money(_)), _) | (_, Class::Money(_)) | (None, _) => false,
            (Some(_), _) => !value.is_ordered(),
        }
    }

    /// Whether its values are known to be of a class that is not money.
    pub(super) fn is_plain(&self) -> bool {
        matches!(&self.class, Some(class) if !matches!(class, Class::Money(_)))
    }
}

/// The first whole number within a bound; `None` where it is not worth telling.
fn first(low: &Bound) -> Option<i128> {
    match low.at {
        Scalar::Whole(at) => Some(if low.inclusive { at } else { at + 1 }),
        Scalar::Float(at) if at.abs() < 1e30 => {
            let up = at.ceil();
            Some(if up == at && !low.inclusive { up as i128 + 1 } else { up as i128 })
        }
        _ => None,
    }
}

/// The last whole number within a bound.
fn last(high: &Bound) -> Option<i128> {
    match high.at {
        Scalar::Whole(at) => Some(if high.inclusive { at } else { at - 1 }),
        Scalar::Float(at) if at.abs() < 1e30 => {
            let down = at.floor();
            Some(if down == at && !high.inclusive { down as i128 - 1 } else { down as i128 })
        }
        _ => None,
    }
}

/// The type of a term, where every value of it is known to be of that type.
fn kind(term: &Expression) -> Option<Type> {
    Some(match term {
        Expression::Fact(attribute) | Expression::Param(attribute) | Expression::Given(attribute) => {
            attribute.kind.clone()
        }
        Expression::Plan(PlanField::Tainted) => Type::Bool,
        Expression::Typed(_, kind) => kind.clone(),
        Expression::Action(ActionField::Id | ActionField::Kind | ActionField::Actor) => Type::String,
        Expression::Owner(_) => Type::String,
        Expression::Action(ActionField::Cost) => Type::Money,
        Expression::Call(Function::Size, _) => Type::UInt,
        Expression::Call(Function::Int, _) => Type::Int,
        Expression::Call(Function::StartsWith | Function::EndsWith | Function::Contains, _) => Type::Bool,
        Expression::Field(of, name) if matches!(**of, Expression::Action(ActionField::Cost)) => {
            if &**name == "currency" { Type::String } else { Type::UInt }
        }
        _ => return None,
    })
}
