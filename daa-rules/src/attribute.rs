//! Attributes that conditions may refer to, and their types.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The type of an attribute, or of an expression.
///
/// Shown as it is written: `int`, `list(string)`, `{age?: int, name: string}`, `"eu" | "us"`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// Anything, null included: checked when the condition is evaluated, not when it is read.
    Any,
    /// Nothing but null.
    Null,
    /// True or false.
    Bool,
    /// A whole number of at most 64 bits.
    Int,
    /// A whole number from 0 to 2^64 - 1.
    UInt,
    /// Any number.
    Double,
    /// Text.
    String,
    /// One of these texts, in this order.
    Enum(Arc<[String]>),
    /// An exact amount of a currency; in JSON text such as `12.50 USDC`.
    Money,
    /// A list of one type.
    List(Arc<Self>),
    /// An object with any members, all of one type.
    Map(Arc<Self>),
    /// An object with these members, and possibly others, which conditions may not use.
    Record(Arc<Members>),
}

/// A declared attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// Whether it may be missing without anything being wrong.
    pub optional: bool,
}

/// Declared attributes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(BTreeMap<String, Attribute>);

impl Members {
    /// The attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    /// All attributes, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Attribute> {
        self.0.values()
    }

    pub(crate) fn insert(&mut self, attribute: Attribute) {
        self.0.insert(attribute.name.clone(), attribute);
    }

    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Type {
    pub(crate) const NAMES: &'static str =
        "bool, int, uint, double, string, money, list, map, any, list(TYPE), map(TYPE)";

    /// Reads a type that is written as text.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        // Recursion: ten levels are more than anybody can read.
        Self::parse_within(name.trim(), 10)
    }

    fn parse_within(name: &str, depth: usize) -> Option<Self> {
        let inner = |outer: &str| {
            let inner = name.strip_prefix(outer)?.strip_prefix('(')?.strip_suffix(')')?;
            // Text that stands for an amount is not an amount: such a list could be compared with nothing.
            let inner = Self::parse_within(inner.trim(), depth.checked_sub(1)?)?;
            (inner != Self::Money).then(|| Arc::new(inner))
        };
        Some(match name {
            "bool" => Self::Bool,
            "int" => Self::Int,
            "uint" => Self::UInt,
            "double" => Self::Double,
            "string" => Self::String,
            "money" => Self::Money,
            "list" => Self::List(Arc::new(Self::Any)),
            "map" => Self::Map(Arc::new(Self::Any)),
            "any" => Self::Any,
            _ => inner("list").map(Self::List).or_else(|| inner("map").map(Self::Map))?,
        })
    }

    /// The type that has no value: that of the elements of `[]`.
    pub(crate) fn nothing() -> Self {
        Self::Enum(Arc::new([]))
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Enum(all) if all.is_empty())
    }

    pub(crate) const fn is_text(&self) -> bool {
        matches!(self, Self::String | Self::Enum(_))
    }

    pub(crate) const fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::UInt | Self::Double)
    }

    /// Whether every value of this type is seen to be one without a look inside.
    pub(crate) fn is_any(&self) -> bool {
        *self == Self::Any
    }

    /// The narrowest type that has all values of both.
    pub(crate) fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (a, b) if a == b || b.is_nothing() => a.clone(),
            (a, b) if a.is_nothing() => b.clone(),
            (Self::String | Self::Enum(_), Self::String | Self::Enum(_)) => Self::String,
            (Self::List(a), Self::List(b)) => Self::List(Arc::new(a.join(b))),
            _ => Self::Any,
        }
    }

    /// Whether values of the two types can be equal.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (a, b) if a.is_nothing() || b.is_nothing() => true,
            // `action.cost == null` is false, and no error.
            (Self::Money, Self::Null) | (Self::Null, Self::Money) => true,
            (Self::Enum(a), Self::Enum(b)) => a.iter().any(|one| b.contains(one)),
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.meets(b),
            (Self::Map(_) | Self::Record(_), Self::Map(_) | Self::Record(_)) => true,
            (a, b) => a == b || a.is_text() && b.is_text() || a.is_number() && b.is_number(),
        }
    }

    /// Whether `<` is defined between values of the two types.
    pub(crate) fn is_ordered_with(&self, other: &Self) -> bool {
        let ordered = |kind: &Self| {
            kind.is_any() || kind.is_text() || kind.is_number() || matches!(kind, Self::Bool | Self::Money)
        };
        ordered(self) && ordered(other) && (self.meets(other) || self.is_text() && other.is_text())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::UInt => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Money => "money",
            Self::List(of) if of.is_any() => "list",
            Self::Map(of) if of.is_any() => "map",
            Self::List(of) => return write!(f, "list({of})"),
            Self::Map(of) => return write!(f, "map({of})"),
            Self::Enum(all) if all.is_empty() => "nothing",
            Self::Enum(all) => {
                for (at, one) in all.iter().enumerate() {
                    write!(f, "{}{one:?}", if at == 0 { "" } else { " | " })?;
                }
                return Ok(());
            }
            Self::Record(members) => return write!(f, "{{{members}}}"),
        })
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Attribute { name, kind, optional }) in self.iter().enumerate() {
            let (comma, mark) = (if at == 0 { "" } else { ", " }, if *optional { "?" } else { "" });
            write!(f, "{comma}{name}{mark}: {kind}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Type {
        Type::parse(text).unwrap()
    }

    #[test]
    fn reads_what_it_shows() {
        for text in ["bool", "int", "uint", "double", "string", "money", "list", "map", "any", "list(string)"]
        {
            assert_eq!(kind(text).to_string(), text);
        }
        assert_eq!(kind(" map( list(int) ) ").to_string(), "map(list(int))");
        assert_eq!(kind("list(any)"), kind("list"));
        let deep = format!("{}int{}", "list(".repeat(11), ")".repeat(11));
        for bad in ["", "integer", "list()", "list(int", "list(money)", "listint", "null", &deep] {
            assert_eq!(Type::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn joins_upwards() {
        assert_eq!(kind("int").join(&kind("int")), kind("int"));
        assert_eq!(kind("int").join(&kind("string")), Type::Any);
        assert_eq!(kind("list(int)").join(&kind("list(string)")), kind("list"));
        assert_eq!(Type::nothing().join(&kind("int")), kind("int"));
    }
}
