//! The types of expressions. What is refused here could never have a value, or never another one than false.

use std::sync::Arc;

use super::expression::{Expression, Function, Operator};
use super::print::shown;
use crate::attribute::Type;
use crate::problem::Problem;

/// An expression and its type.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) expression: Expression,
    pub(super) kind: Type,
}

impl Typed {
    pub(super) const fn new(expression: Expression, kind: Type) -> Self {
        Self { expression, kind }
    }

    /// Stands for something that was refused already, and is fine with everything around it.
    pub(super) const fn refused() -> Self {
        Self { expression: Expression::Null, kind: Type::Any }
    }
}

/// The variables around an expression, for messages.
pub(super) type Variables<'v> = &'v [Arc<str>];

/// The type of an operation.
pub(super) fn binary(
    operator: Operator,
    left: &Typed,
    right: &Typed,
    variables: Variables<'_>,
) -> Result<Type, Problem> {
    let (a, b) = (&left.kind, &right.kind);
    let kind = match operator {
        Operator::Equal | Operator::NotEqual => {
            not_listed(left, right, variables)?;
            not_listed(right, left, variables)?;
            a.meets(b).then_some(Type::Bool)
        }
        Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
            a.is_ordered_with(b).then_some(Type::Bool)
        }
        Operator::In => {
            if let Expression::List(items) = &right.expression {
                for item in items {
                    let item = Typed::new(item.clone(), kind_of(item));
                    not_listed(left, &item, variables)?;
                }
            }
            match b {
                Type::Any => Some(Type::Bool),
                Type::List(of) => a.meets(of).then_some(Type::Bool),
                Type::Map(_) | Type::Record(_) => (a.is_text() || a.is_any()).then_some(Type::Bool),
                _ => None,
            }
        }
        Operator::Add => sum(a, b),
        Operator::Remainder => arithmetic(a, b).filter(|kind| *kind != Type::Double),
        Operator::Subtract | Operator::Multiply | Operator::Divide => arithmetic(a, b),
    };
    kind.ok_or_else(|| Problem::Operands {
        expression: shown_pair(operator, left, right, variables).into(),
        operator: operator.symbol(),
        left: told(a).into(),
        right: told(b).into(),
        suggestion: suggestion(operator, left, right, variables)
            .or_else(|| suggestion(operator, right, left, variables)),
    })
}

/// A type for people; one with many texts or members is cut off.
pub(super) fn told(kind: &Type) -> String {
    const LONGEST: usize = 200;
    let text = kind.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

fn shown_pair(operator: Operator, left: &Typed, right: &Typed, variables: Variables<'_>) -> String {
    let (left, right) = (Box::new(left.expression.clone()), Box::new(right.expression.clone()));
    shown(&Expression::Binary(operator, left, right), variables)
}

fn sum(a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        (Type::Money, Type::Money | Type::Any) | (Type::Any, Type::Money) => Some(Type::Money),
        (Type::List(_), Type::List(_)) => Some(a.join(b)),
        (a, b) if a.is_text() && b.is_text() => Some(Type::String),
        (Type::Any, Type::String | Type::Enum(_) | Type::List(_) | Type::Any)
        | (Type::String | Type::Enum(_) | Type::List(_), Type::Any) => Some(Type::Any),
        _ => arithmetic(a, b),
    }
}

fn arithmetic(a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        (Type::Any, Type::Any) => Some(Type::Any),
        // An integer that is too large for int is read as uint.
        (Type::Any, number) | (number, Type::Any) if number.is_number() => Some(Type::Any),
        (a, b) if a == b && a.is_number() => Some(a.clone()),
        _ => None,
    }
}

/// Refuses to compare an attribute that has few values with a text that is none of them.
fn not_listed(attribute: &Typed, text: &Typed, variables: Variables<'_>) -> Result<(), Problem> {
    let (Type::Enum(all), Expression::Text(found)) = (&attribute.kind, &text.expression) else {
        return Ok(());
    };
    if all.iter().any(|one| **one == **found) {
        return Ok(());
    }
    let suggestion = daa_core::suggest::nearest(found, all.iter().map(String::as_str));
    Err(Problem::NotListed {
        attribute: shown(&attribute.expression, variables),
        found: found.chars().take(64).collect(),
        expected: told(&attribute.kind),
        suggestion,
    })
}

/// What to write instead of a literal of the wrong type.
fn suggestion(
    operator: Operator,
    other: &Typed,
    literal: &Typed,
    variables: Variables<'_>,
) -> Option<String> {
    let expected = match (&other.kind, operator) {
        (Type::List(of), Operator::In) => of,
        (kind, _) => kind,
    };
    match (expected, &literal.expression) {
        (Type::Money, Expression::Int(_) | Expression::UInt(_) | Expression::Double(_)) => {
            Some(format!("money(\"{} USD\")", shown(&literal.expression, variables).trim_end_matches('u')))
        }
        (Type::Money, Expression::Text(text)) => Some(format!("money({text:?})")),
        (kind, Expression::Text(text)) if kind.is_number() => {
            text.parse::<f64>().is_ok().then(|| text.to_string())
        }
        (Type::Bool, Expression::Text(text)) => matches!(&**text, "true" | "false").then(|| text.to_string()),
        (kind, Expression::Int(_) | Expression::Double(_)) if kind.is_text() => {
            Some(format!("\"{}\"", shown(&literal.expression, variables)))
        }
        (Type::Double, Expression::Int(int)) => Some(format!("{int}.0")),
        (Type::UInt, Expression::Int(int @ 0..)) => Some(format!("{int}u")),
        (Type::Int, Expression::UInt(uint)) => Some(uint.to_string()),
        (_, Expression::Null) => Some(format!("!has({})", shown(&other.expression, variables)))
            .filter(|_| matches!(other.expression, Expression::Fact(_) | Expression::Param(_))),
        _ => None,
    }
}

/// The type of a list's elements.
pub(super) fn list(items: &[Typed]) -> Type {
    let mut kinds = items.iter().map(|item| item.kind.clone());
    let first = kinds.next().unwrap_or_else(Type::nothing);
    Type::List(Arc::new(kinds.fold(first, |all, kind| all.join(&kind))))
}

/// The type of a literal.
fn kind_of(literal: &Expression) -> Type {
    match literal {
        Expression::Text(_) => Type::String,
        _ => Type::Any,
    }
}

/// The type of what a function returns.
pub(super) fn call(
    function: Function,
    arguments: &[Typed],
    variables: Variables<'_>,
) -> Result<Type, Problem> {
    type Fits = fn(&Type) -> bool;
    const TEXT: Fits = |kind| kind.is_text();
    const NUMBER: Fits = |kind| kind.is_number() || kind.is_text();
    let (fits, expected, result): (Fits, _, _) = match function {
        Function::Size => (
            |kind| kind.is_text() || matches!(kind, Type::List(_) | Type::Map(_) | Type::Record(_)),
            "a string, a list or a map",
            Type::Int,
        ),
        Function::StartsWith | Function::EndsWith | Function::Contains => (TEXT, "a string", Type::Bool),
        Function::Int => (NUMBER, "a number or a string", Type::Int),
        Function::UInt => (NUMBER, "a number or a string", Type::UInt),
        Function::Double => (NUMBER, "a number or a string", Type::Double),
        Function::Text => (
            |kind| kind.is_text() || kind.is_number() || *kind == Type::Bool,
            "a string, a number or a bool",
            Type::String,
        ),
        Function::Money => (|kind| kind.is_text() || *kind == Type::Money, "a string or money", Type::Money),
    };
    match arguments.iter().find(|argument| !argument.kind.is_any() && !fits(&argument.kind)) {
        None => Ok(result),
        Some(wrong) => Err(operand(wrong, format!("{}()", function.name()), expected, variables)),
    }
}

/// Refuses an operand that is of another type than `expected`.
pub(super) fn operand(
    found: &Typed,
    operator: String,
    expected: &'static str,
    variables: Variables<'_>,
) -> Problem {
    let suggestion = matches!(
        (&found.expression, expected),
        (Expression::Action(_) | Expression::Fact(_) | Expression::Param(_), "a bool")
    )
    .then(|| format!("has({})", shown(&found.expression, variables)));
    Problem::Operand {
        expression: shown(&found.expression, variables).into(),
        operator: operator.into(),
        expected,
        found: told(&found.kind).into(),
        suggestion,
    }
}
