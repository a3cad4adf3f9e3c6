//! Operators. Arithmetic is checked, and never mixes types.

use std::cmp::Ordering;
use std::rc::Rc;

use super::evaluate::{Budget, Indeterminate};
use super::expression::Operator;
use super::value::{List, Value};
use crate::limits::Limits;

type Evaluated<'a> = Result<Value<'a>, Indeterminate>;

pub(super) fn binary<'a>(
    operator: Operator,
    left: Value<'a>,
    right: Value<'a>,
    budget: &mut Budget,
) -> Evaluated<'a> {
    let ordered = |holds: fn(Ordering) -> bool| {
        let order = left.order(&right).ok_or_else(|| left.mismatch(operator.symbol(), &right));
        order.map(|order| Value::Bool(holds(order)))
    };
    match operator {
        Operator::Equal => left.equals(&right, budget).map(Value::Bool),
        Operator::NotEqual => left.equals(&right, budget).map(|equal| Value::Bool(!equal)),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterEqual => ordered(Ordering::is_ge),
        Operator::In => contains(&right, &left, budget).map(Value::Bool),
        Operator::Add => add(left, right, budget),
        _ => arithmetic(operator, &left, &right),
    }
}

fn contains(all: &Value<'_>, wanted: &Value<'_>, budget: &mut Budget) -> Result<bool, Indeterminate> {
    match (all, wanted) {
        (Value::List(list), wanted) => {
            for index in 0..list.len() {
                let Some(item) = list.item(index) else { return Ok(false) };
                if item.equals(wanted, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Map(map), Value::Text(key)) => Ok(map.contains_key(&**key)),
        _ => Err(wanted.mismatch("in", all)),
    }
}

fn add<'a>(left: Value<'a>, right: Value<'a>, budget: &mut Budget) -> Evaluated<'a> {
    let bounded = |len: usize| if len > Limits::BUILT { Err(Indeterminate::Built) } else { Ok(()) };
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => {
            bounded(a.len() + b.len())?;
            budget.text(a.len() + b.len())?;
            Ok(Value::Text(a + b))
        }
        (Value::List(a), Value::List(b)) => {
            let len = a.len() + b.len();
            bounded(len)?;
            budget.steps(u32::try_from(len / 8).unwrap_or(u32::MAX))?;
            let items = |list: &List<'a>| (0..list.len()).filter_map(|at| list.item(at)).collect::<Vec<_>>();
            let all: Rc<[_]> = items(&a).into_iter().chain(items(&b)).collect();
            Ok(Value::List(List::Built(all)))
        }
        (left, right) => match (left.money(), right.money()) {
            (Some(a), Some(b)) if a.code() == b.code() => {
                a.checked_add(&b).map(Value::Money).ok_or(Indeterminate::Overflow("+"))
            }
            _ => arithmetic(Operator::Add, &left, &right),
        },
    }
}

fn arithmetic<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Evaluated<'a> {
    let overflow = Indeterminate::Overflow(operator.symbol());
    let divides = matches!(operator, Operator::Divide | Operator::Remainder);
    match (left, right) {
        (_, Value::Int(0) | Value::UInt(0)) if divides => Err(Indeterminate::DivisionByZero),
        (Value::Int(a), Value::Int(b)) => {
            let result = match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                Operator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Value::Int).ok_or(overflow)
        }
        (Value::UInt(a), Value::UInt(b)) => {
            let result = match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                Operator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Value::UInt).ok_or(overflow)
        }
        (Value::Double(a), Value::Double(b)) if operator != Operator::Remainder => {
            Ok(Value::Double(match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                _ => a / b,
            }))
        }
        _ => Err(left.mismatch(operator.symbol(), right)),
    }
}

pub(super) fn negate<'a>(value: &Value<'a>) -> Evaluated<'a> {
    match value {
        Value::Int(int) => int.checked_neg().map(Value::Int).ok_or(Indeterminate::Overflow("-")),
        Value::Double(double) => Ok(Value::Double(-double)),
        other => Err(Indeterminate::Operand { operator: "-", operand: other.type_name() }),
    }
}

pub(super) fn index<'a>(of: &Value<'a>, index: &Value<'a>) -> Evaluated<'a> {
    match (of, index) {
        (Value::List(list), Value::Int(at)) => {
            let item = usize::try_from(*at).ok().and_then(|at| list.item(at));
            item.ok_or(Indeterminate::Index)
        }
        (Value::List(list), Value::UInt(at)) => {
            let item = usize::try_from(*at).ok().and_then(|at| list.item(at));
            item.ok_or(Indeterminate::Index)
        }
        (Value::Map(map), Value::Text(key)) => map.get(&**key).map(Value::of).ok_or(Indeterminate::NoMember),
        _ => Err(of.mismatch("[]", index)),
    }
}

/// What a macro walks over: the elements of a list, the keys of a map.
pub(super) fn items<'a>(
    range: &Value<'a>,
) -> Result<Box<dyn Iterator<Item = Value<'a>> + 'a>, Indeterminate> {
    match range {
        Value::List(list) => {
            let list = list.clone();
            Ok(Box::new((0..list.len()).map_while(move |at| list.item(at))))
        }
        Value::Map(map) => Ok(Box::new(map.keys().map(|key| Value::Text(key.as_str().into())))),
        other => Err(Indeterminate::Operand { operator: "a macro", operand: other.type_name() }),
    }
}
