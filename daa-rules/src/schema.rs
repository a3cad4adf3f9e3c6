//! What conditions may refer to: declared attributes and their types.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// The type of a fact or of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttributeType {
    /// True or false.
    Bool,
    /// A whole number of at most 64 bits.
    Int,
    /// Any number.
    Double,
    /// Text.
    String,
    /// A list of anything.
    List,
    /// An object with any members.
    Map,
    /// Anything, null included.
    Any,
}

impl AttributeType {
    pub(crate) const NAMES: &'static str = "bool, int, double, string, list, map, any";

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "bool" => Self::Bool,
            "int" => Self::Int,
            "double" => Self::Double,
            "string" => Self::String,
            "list" => Self::List,
            "map" => Self::Map,
            "any" => Self::Any,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
            Self::List => "list",
            Self::Map => "map",
            Self::Any => "any",
        }
    }

    pub(crate) fn admits(self, value: &Value) -> bool {
        match self {
            Self::Bool => value.is_boolean(),
            Self::Int => value.is_i64() || value.is_u64(),
            Self::Double => value.is_number(),
            Self::String => value.is_string(),
            Self::List => value.is_array(),
            Self::Map => value.is_object(),
            Self::Any => true,
        }
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A declared attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: AttributeType,
}

/// What conditions may refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// The declared facts; there are no others.
    pub(crate) context: BTreeMap<String, AttributeType>,
    /// The declared parameters; `None` admits any.
    pub(crate) params: Option<BTreeMap<String, AttributeType>>,
}
