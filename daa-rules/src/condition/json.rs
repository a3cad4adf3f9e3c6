//! Values as JSON: what templates are filled with, and what is compared with bounds.

use std::cmp::Ordering;

use serde_json::{Number, Value as Json};

use super::evaluate::{Indeterminate, conform};
use super::value::Value;
use crate::attribute::Type;

/// A value as JSON; money is text such as `12.5 USDC`.
pub(super) fn json(value: &Value<'_>) -> Result<Json, Indeterminate> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(bool) => Json::Bool(*bool),
        Value::Int(int) => Json::from(*int),
        Value::UInt(uint) => Json::from(*uint),
        Value::Double(double) => {
            let number = Number::from_f64(*double);
            Json::Number(number.ok_or(Indeterminate::Operand { operator: "JSON", operand: "infinity" })?)
        }
        Value::Text(text) => Json::String(text.to_string()),
        Value::Cost(_) | Value::Money(_) => {
            let money = value.money().ok_or(Indeterminate::Overflow("money"))?;
            Json::String(money.to_string())
        }
        Value::List(list) => {
            let items = (0..list.len()).filter_map(|at| list.item(at));
            Json::Array(items.map(|item| json(&item)).collect::<Result<_, _>>()?)
        }
        Value::Map(map) => Json::Object((*map).clone()),
    })
}

/// Whether JSON is what a type declares, inside too; on failure what it is instead.
pub(crate) fn fits(value: &Json, kind: &Type) -> Result<(), &'static str> {
    conform(Value::of(value), kind)?;
    match (kind, value) {
        (Type::List(of), Json::Array(items)) => items.iter().try_for_each(|item| fits(item, of)),
        (Type::Map(of), Json::Object(map)) => map.values().try_for_each(|member| fits(member, of)),
        (Type::Record(members), Json::Object(map)) => {
            members.iter().try_for_each(|member| match map.get(&member.name) {
                Some(value) => fits(value, &member.kind),
                None if member.optional => Ok(()),
                None => Err("a record without all of its members"),
            })
        }
        _ => Ok(()),
    }
}

/// The order of two values of one type; `None` where they are not of it, or have none.
pub(crate) fn order(kind: &Type, a: &Json, b: &Json) -> Option<Ordering> {
    conform(Value::of(a), kind).ok()?.order(&conform(Value::of(b), kind).ok()?)
}
