//! The canonical form of a condition, for its digest. A change here is a new version of the ruleset digest.

use daa_core::digest::DigestBuilder;

use super::expression::{Declared, Expression};

/// Adds a tag for each kind of node, its own content, the number of its parts, and its parts in order.
pub(super) fn encode(expression: &Expression, out: &mut DigestBuilder) {
    match expression {
        Expression::Null => out.add(b"null"),
        Expression::Bool(bool) => leaf(out, b"bool", &[u8::from(*bool)]),
        Expression::Int(int) => leaf(out, b"int", &int.to_le_bytes()),
        Expression::UInt(uint) => leaf(out, b"uint", &uint.to_le_bytes()),
        Expression::Double(double) => leaf(out, b"double", &double.to_bits().to_le_bytes()),
        Expression::Text(text) => leaf(out, b"text", text.as_bytes()),
        Expression::Money(money) => {
            let (whole, fraction) = money.parts();
            leaf(out, b"money", &whole.to_le_bytes());
            leaf(out, &fraction.to_le_bytes(), money.code().as_bytes());
        }
        Expression::Action(field) => leaf(out, b"action", &[*field as u8]),
        Expression::Owner(owners) => owners.describe(out),
        Expression::Fact(fact) => declared(out, b"fact", fact),
        Expression::Param(param) => declared(out, b"param", param),
        Expression::Given(given) => {
            leaf(out, b"given", given.path.as_bytes());
            out.add(given.kind.to_string().as_bytes());
        }
        Expression::Plan(field) => leaf(out, b"plan", &[*field as u8]),
        Expression::Local(place) => leaf(out, b"local", &(*place as u64).to_le_bytes()),
        Expression::Field(of, name) => {
            leaf(out, b"field", name.as_bytes());
            encode(of, out);
        }
        Expression::Typed(of, kind) => {
            leaf(out, b"typed", kind.to_string().as_bytes());
            encode(of, out);
        }
        Expression::Has(of) => parts(out, b"has", [&**of]),
        Expression::Index(of, index) => parts(out, b"index", [&**of, &**index]),
        Expression::List(items) => parts(out, b"list", items),
        Expression::Not(of) => parts(out, b"not", [&**of]),
        Expression::Negate(of) => parts(out, b"negate", [&**of]),
        Expression::And(left, right) => parts(out, b"and", [&**left, &**right]),
        Expression::Or(left, right) => parts(out, b"or", [&**left, &**right]),
        Expression::If(of) => parts(out, b"if", &**of),
        Expression::Binary(operator, left, right) => {
            leaf(out, b"binary", operator.symbol().as_bytes());
            parts(out, b"of", [&**left, &**right]);
        }
        Expression::Call(function, arguments) => {
            leaf(out, b"call", function.name().as_bytes());
            parts(out, b"of", arguments);
        }
        Expression::Fold(fold) => {
            parts(out, b"fold", [&fold.range, &fold.initial, &fold.condition, &fold.step, &fold.result]);
        }
        Expression::NotFalse(of) => parts(out, b"not-false", [&**of]),
    }
}

fn leaf(out: &mut DigestBuilder, tag: &[u8], content: &[u8]) {
    out.add(tag);
    out.add(content);
}

fn declared(out: &mut DigestBuilder, tag: &[u8], attribute: &Declared) {
    leaf(out, tag, attribute.name().as_bytes());
    out.add(attribute.kind.to_string().as_bytes());
}

fn parts<'e, I>(out: &mut DigestBuilder, tag: &[u8], expressions: I)
where
    I: IntoIterator<Item = &'e Expression, IntoIter: ExactSizeIterator>,
{
    let expressions = expressions.into_iter();
    leaf(out, tag, &(expressions.len() as u64).to_le_bytes());
    expressions.for_each(|expression| encode(expression, out));
}
