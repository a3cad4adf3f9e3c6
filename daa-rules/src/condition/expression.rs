//! A checked condition, ready to be evaluated.

use super::decimal::Decimal;
use crate::schema::AttributeType;

#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(String),
    /// `money("12.50 USDC")`.
    Money(Decimal),
    /// `action.id` and its like.
    Action(ActionField),
    /// `context.NAME`.
    Fact(Declared),
    /// `action.params.NAME`, with its type where parameters are declared.
    Param(Declared),
    /// A variable of a macro: its place on the stack of variables.
    Local(usize),
    Field(Box<Self>, String),
    /// `has(...)` of one of the above.
    Has(Box<Self>),
    Index(Box<Self>, Box<Self>),
    List(Vec<Self>),
    Not(Box<Self>),
    Negate(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    If(Box<[Self; 3]>),
    Binary(Operator, Box<Self>, Box<Self>),
    Call(Function, Vec<Self>),
    Fold(Box<Fold>),
    /// True unless its operand is false: how macros go on after an indeterminate element.
    NotFalse(Box<Self>),
}

#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) kind: AttributeType,
}

/// A macro over a list or over the keys of a map. The element and the accumulator are the two topmost
/// variables.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    pub(crate) range: Expression,
    pub(crate) initial: Expression,
    pub(crate) condition: Expression,
    pub(crate) step: Expression,
    pub(crate) result: Expression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActionField {
    Id,
    Kind,
    Actor,
    Params,
    Cost,
}

impl ActionField {
    pub(crate) const NAMES: [&'static str; 5] = ["id", "kind", "actor", "params", "cost"];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "kind" => Self::Kind,
            "actor" => Self::Actor,
            "params" => Self::Params,
            "cost" => Self::Cost,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    StartsWith,
    EndsWith,
    Contains,
    Int,
    UInt,
    Double,
    Text,
    Money,
}

impl Function {
    pub(crate) const NAMES: [&'static str; 9] =
        ["size", "startsWith", "endsWith", "contains", "int", "uint", "double", "string", "money"];

    /// The function of this name, when it takes so many arguments, the receiver included.
    pub(crate) fn find(name: &str, arguments: usize) -> Option<Self> {
        Some(match (name, arguments) {
            ("size", 1) => Self::Size,
            ("startsWith", 2) => Self::StartsWith,
            ("endsWith", 2) => Self::EndsWith,
            ("contains", 2) => Self::Contains,
            ("int", 1) => Self::Int,
            ("uint", 1) => Self::UInt,
            ("double", 1) => Self::Double,
            ("string", 1) => Self::Text,
            ("money", 1) => Self::Money,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Contains => "contains",
            Self::Int => "int",
            Self::UInt => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Money => "money",
        }
    }
}
