//! What each part of a condition saw.

use daa_core::action::Request;

use super::evaluate::{self, Budget};
use super::expression::Expression;
use super::print::shown;
use super::value::{List, Value};

/// A part of a condition, and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traced {
    /// The part as text.
    pub(crate) text: String,
    /// Its value as text, or why it has none.
    pub(crate) value: Result<String, String>,
    /// Its parts that are not plain literals.
    pub(crate) parts: Vec<Self>,
}

/// Evaluates an expression and each of its parts by itself. What stands in a macro depends on its element, and is not
/// shown.
pub(super) fn trace(expression: &Expression, request: &Request<'_>) -> Traced {
    let value = evaluate::value(expression, request, &mut Budget::new());
    Traced {
        text: shown(expression, &[]),
        value: value.map(|value| written(&value)).map_err(|why| why.to_string()),
        parts: parts(expression).into_iter().map(|part| trace(part, request)).collect(),
    }
}

/// The parts that are worth a line of their own.
fn parts(expression: &Expression) -> Vec<&Expression> {
    let mut parts = Vec::new();
    let all: Vec<&Expression> = match expression {
        Expression::And(..) | Expression::Or(..) => {
            operands(expression, matches!(expression, Expression::And(..)), &mut parts);
            return parts;
        }
        Expression::Typed(of, _) | Expression::NotFalse(of) => return self::parts(of),
        Expression::Not(of) | Expression::Negate(of) | Expression::Field(of, _) => vec![of],
        Expression::Index(left, right) | Expression::Binary(_, left, right) => vec![left, right],
        Expression::If(all) => all.iter().collect(),
        Expression::List(items) | Expression::Call(_, items) => items.iter().collect(),
        Expression::Fold(fold) => vec![&fold.range],
        // Whether it is there says all that is to say.
        _ => Vec::new(),
    };
    parts.extend(all.into_iter().filter(|part| !is_plain(part)));
    parts
}

/// All operands of a chain of `&&`, or of `||`, side by side.
fn operands<'e>(expression: &'e Expression, is_and: bool, parts: &mut Vec<&'e Expression>) {
    match (expression, is_and) {
        (Expression::And(left, right), true) | (Expression::Or(left, right), false) => {
            operands(left, is_and, parts);
            operands(right, is_and, parts);
        }
        (other, _) if is_plain(other) => {}
        (other, _) => parts.push(other),
    }
}

fn is_plain(expression: &Expression) -> bool {
    match expression {
        Expression::Null
        | Expression::Bool(_)
        | Expression::Int(_)
        | Expression::UInt(_)
        | Expression::Double(_)
        | Expression::Text(_)
        | Expression::Money(_)
        // The parameters as a whole are told with the request.
        | Expression::Action(super::expression::ActionField::Params) => true,
        Expression::List(items) => items.iter().all(is_plain),
        Expression::Negate(of) => is_plain(of),
        _ => false,
    }
}

/// A value for people, cut off where it gets long.
fn written(value: &Value<'_>) -> String {
    const LONGEST: usize = 160;
    let mut text = String::new();
    write(value, &mut text, LONGEST);
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => {
            text.truncate(at);
            text.push('…');
            text
        }
        None => text,
    }
}

/// Writes on until there is enough.
fn write(value: &Value<'_>, out: &mut String, enough: usize) {
    if out.len() > 4 * enough {
        return;
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(bool) => out.push_str(&bool.to_string()),
        Value::Int(int) => out.push_str(&int.to_string()),
        Value::UInt(uint) => out.push_str(&uint.to_string()),
        Value::Double(double) => out.push_str(&format!("{double:?}")),
        Value::Text(text) => {
            let part: String = text.chars().take(enough + 1).collect();
            out.push_str(&format!("{part:?}"));
        }
        Value::Cost(money) => out.push_str(&money.to_string()),
        Value::Money(money) => out.push_str(&money.to_string()),
        Value::List(list) => write_list(list, out, enough),
        Value::Map(map) => {
            out.push('{');
            for (at, (name, member)) in map.iter().enumerate().take(enough) {
                out.push_str(if at == 0 { "" } else { ", " });
                out.extend(name.chars().take(enough));
                out.push_str(": ");
                write(&Value::of(member), out, enough);
            }
            out.push('}');
        }
    }
}

fn write_list(list: &List<'_>, out: &mut String, enough: usize) {
    out.push('[');
    for at in 0..list.len().min(enough) {
        out.push_str(if at == 0 { "" } else { ", " });
        list.item(at).iter().for_each(|item| write(item, out, enough));
    }
    out.push(']');
}
