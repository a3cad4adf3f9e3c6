//! Functions.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::evaluate::{Budget, Indeterminate};
use super::expression::Function;
use super::value::Value;

type Evaluated<'a> = Result<Value<'a>, Indeterminate>;

pub(super) fn call<'a>(
    function: Function,
    first: Option<Value<'a>>,
    second: Option<Value<'a>>,
    budget: &mut Budget,
) -> Evaluated<'a> {
    let first = first.unwrap_or(Value::Null);
    match (function, &first, &second) {
        (Function::Size, Value::Text(text), _) => {
            budget.text(text.len())?;
            Ok(Value::Int(text.chars().count() as i64))
        }
        (Function::Size, Value::List(list), _) => Ok(Value::Int(list.len() as i64)),
        (Function::Size, Value::Map(map), _) => Ok(Value::Int(map.len() as i64)),
        (Function::StartsWith, Value::Text(text), Some(Value::Text(part))) => {
            budget.text(part.len())?;
            Ok(Value::Bool(text.starts_with(&**part)))
        }
        (Function::EndsWith, Value::Text(text), Some(Value::Text(part))) => {
            budget.text(part.len())?;
            Ok(Value::Bool(text.ends_with(&**part)))
        }
        (Function::Contains, Value::Text(text), Some(Value::Text(part))) => {
            budget.text(text.len() + part.len())?;
            Ok(Value::Bool(text.contains(&**part)))
        }
        (Function::Money, Value::Text(text), _) => {
            Decimal::parse(text).map(Value::Money).ok_or(unreadable(function))
        }
        (Function::Money, Value::Cost(_) | Value::Money(_), _) => Ok(first),
        (Function::Int, ..) => int(&first),
        (Function::UInt, ..) => uint(&first),
        (Function::Double, ..) => double(&first),
        (Function::Text, ..) => text(first),
        (_, _, Some(second)) => Err(first.mismatch(function.name(), second)),
        _ => Err(Indeterminate::Operand { operator: function.name(), operand: first.type_name() }),
    }
}

const fn unreadable(function: Function) -> Indeterminate {
    Indeterminate::Conversion(function.name())
}

fn int<'a>(value: &Value<'a>) -> Evaluated<'a> {
    // The largest float below 2^63, and -2^63 itself.
    let fits = |double: f64| (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&double);
    match value {
        Value::Int(int) => Ok(Value::Int(*int)),
        Value::UInt(uint) => i64::try_from(*uint).map(Value::Int).map_err(|_| Indeterminate::Overflow("int")),
        Value::Double(double) if fits(*double) => Ok(Value::Int(*double as i64)),
        Value::Double(_) => Err(Indeterminate::Overflow("int")),
        Value::Text(text) => text.parse().map(Value::Int).map_err(|_| unreadable(Function::Int)),
        other => Err(Indeterminate::Operand { operator: "int", operand: other.type_name() }),
    }
}

fn uint<'a>(value: &Value<'a>) -> Evaluated<'a> {
    let fits = |double: f64| (0.0..18_446_744_073_709_551_616.0).contains(&double);
    match value {
        Value::UInt(uint) => Ok(Value::UInt(*uint)),
        Value::Int(int) => u64::try_from(*int).map(Value::UInt).map_err(|_| Indeterminate::Overflow("uint")),
        Value::Double(double) if fits(*double) => Ok(Value::UInt(*double as u64)),
        Value::Double(_) => Err(Indeterminate::Overflow("uint")),
        Value::Text(text) => text.parse().map(Value::UInt).map_err(|_| unreadable(Function::UInt)),
        other => Err(Indeterminate::Operand { operator: "uint", operand: other.type_name() }),
    }
}

fn double<'a>(value: &Value<'a>) -> Evaluated<'a> {
    match value {
        Value::Double(double) => Ok(Value::Double(*double)),
        Value::Int(int) => Ok(Value::Double(*int as f64)),
        Value::UInt(uint) => Ok(Value::Double(*uint as f64)),
        Value::Text(text) => text.parse().map(Value::Double).map_err(|_| unreadable(Function::Double)),
        other => Err(Indeterminate::Operand { operator: "double", operand: other.type_name() }),
    }
}

fn text(value: Value<'_>) -> Evaluated<'_> {
    let owned = |text: String| Ok(Value::Text(Cow::Owned(text)));
    match value {
        Value::Text(text) => Ok(Value::Text(text)),
        Value::Int(int) => owned(int.to_string()),
        Value::UInt(uint) => owned(uint.to_string()),
        Value::Double(double) => owned(double.to_string()),
        Value::Bool(bool) => owned(bool.to_string()),
        other => Err(Indeterminate::Operand { operator: "string", operand: other.type_name() }),
    }
}
