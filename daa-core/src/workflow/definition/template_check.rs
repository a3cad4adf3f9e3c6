//! Templates and conditions against what they should yield.

use serde_json::Value;

use super::fit::Fit;
use super::infer::Around;
use super::template::Piece;
use super::{Cause, Condition, Field, Node, Place, Problems, Template, Type};

/// Checks the templates at one place of a definition.
#[derive(Debug)]
pub(super) struct Templates<'a> {
    pub(super) around: &'a Around<'a>,
    pub(super) problems: &'a mut Problems,
}

impl Templates<'_> {
    /// Checks that all references lead somewhere, and that what the template yields is of a type.
    pub(super) fn node(&mut self, node: &Node, expected: &Type, place: &Place) {
        match node {
            Node::Literal(value) => self.problems.value(expected, value, place),
            Node::Malformed(text) => self.problems.add(place, Cause::Reference { text: text.clone() }),
            Node::Reference(path) => match self.around.of(path) {
                Ok(found) => self.fits(&found, expected, place),
                Err(cause) => self.problems.add(place, cause),
            },
            Node::Text(pieces) => {
                for piece in pieces {
                    if let Piece::Reference(path) = piece
                        && let Err(cause) = self.around.of(path)
                    {
                        self.problems.add(place, cause);
                    }
                }
                self.fits(&Type::String, expected, place);
            }
            Node::List(nodes) => {
                let of = match expected.not_null() {
                    Type::List(of) => of,
                    other => {
                        self.is(matches!(other, Type::Any), "a list", expected, place);
                        &Type::Any
                    }
                };
                for (at, node) in nodes.iter().enumerate() {
                    self.node(node, of, &place.then(at));
                }
            }
            Node::Object(nodes) => self.object(nodes, expected, place),
        }
    }

    fn object(&mut self, nodes: &[(String, Node)], expected: &Type, place: &Place) {
        let fields = match expected.not_null() {
            Type::Object(fields) => Some(fields),
            other => {
                self.is(matches!(other, Type::Any), "an object", expected, place);
                None
            }
        };
        for (name, node) in nodes {
            let field = fields.and_then(|fields| fields.get(name));
            self.node(node, field.map_or(&Type::Any, |field| &field.of), &place.then(name));
        }
        for (name, Field { of, optional }) in fields.into_iter().flatten() {
            let there = *optional || nodes.iter().any(|(given, _)| given == name);
            self.is(there, "missing", of, &place.then(name));
        }
    }

    fn fits(&mut self, found: &Type, expected: &Type, place: &Place) {
        self.is(expected.takes(found, Fit::Checked), &found.to_string(), expected, place);
    }

    fn is(&mut self, fine: bool, found: &str, expected: &Type, place: &Place) {
        if !fine {
            let cause = Cause::Mismatch { found: found.to_owned(), expected: expected.clone() };
            self.problems.add(place, cause);
        }
    }

    /// Checks the templates of a condition, and that it compares what can be compared.
    pub(super) fn condition(&mut self, condition: &Condition, place: &Place) {
        let (name, pair) = match condition {
            Condition::All(all) => return self.conditions(all, &place.then("all")),
            Condition::Any(any) => return self.conditions(any, &place.then("any")),
            Condition::Not(not) => return self.condition(not, &place.then("not")),
            Condition::Present(of) => return self.node(of.node(), &Type::Any, &place.then("present")),
            Condition::True(of) => {
                let bool = Type::optional(Type::Bool);
                return self.node(of.node(), &bool, &place.then("true"));
            }
            Condition::Eq(left, right) => ("eq", (left, right)),
            Condition::Ne(left, right) => ("ne", (left, right)),
            Condition::Lt(left, right) => ("lt", (left, right)),
            Condition::Le(left, right) => ("le", (left, right)),
            Condition::Gt(left, right) => ("gt", (left, right)),
            Condition::Ge(left, right) => ("ge", (left, right)),
            Condition::In(left, right) => ("in", (left, right)),
        };
        self.pair(name, pair, &place.then(name));
    }

    fn conditions(&mut self, all: &[Condition], place: &Place) {
        for (at, condition) in all.iter().enumerate() {
            self.condition(condition, &place.then(at));
        }
    }

    fn pair(&mut self, name: &str, (left, right): (&Template, &Template), place: &Place) {
        self.node(left.node(), &Type::Any, &place.then(0));
        self.node(right.node(), &Type::Any, &place.then(1));
        let (left, right) = (self.around.infer(left.node()), self.around.infer(right.node()));
        let comparable = match name {
            "eq" | "ne" => alike(&left, &right),
            "in" => match right.not_null() {
                Type::List(of) => alike(&left, of),
                other => matches!(other, Type::Any),
            },
            _ => alike(&left, &right) && ordered(&left) && ordered(&right),
        };
        if !comparable {
            self.problems.add(place, Cause::NotComparable { left, right });
        }
    }
}

/// Whether values of both types can be equal, apart from both being null.
fn alike(left: &Type, right: &Type) -> bool {
    use Type::{Any, Bool, Integer, List, Number, Object, String};
    matches!(
        (left.not_null(), right.not_null()),
        (Any, _)
            | (_, Any)
            | (Bool, Bool)
            | (Integer | Number, Integer | Number)
            | (String, String)
            | (List(_), List(_))
            | (Object(_), Object(_))
    )
}

/// Whether there is an order between values of a type.
fn ordered(of: &Type) -> bool {
    matches!(of.not_null(), Type::Any | Type::Integer | Type::Number | Type::String)
}

impl Problems {
    /// Checks a value that is known.
    pub(super) fn value(&mut self, expected: &Type, value: &Value, place: &Place) {
        if let Err(mismatch) = expected.check("", value) {
            let inner = mismatch.place.split('.').filter(|part| !part.is_empty());
            let place = inner.fold(place.clone(), |place, part| place.then(part));
            let cause = Cause::Mismatch { found: mismatch.found, expected: mismatch.expected };
            self.add(&place, cause);
        }
    }
}
