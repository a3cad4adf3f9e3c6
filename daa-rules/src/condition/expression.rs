//! A checked condition, ready to be evaluated.

use std::sync::Arc;

use super::decimal::Decimal;
use crate::attribute::Type;
use crate::owners::Owners;

#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(Arc<str>),
    /// `money("12.50 USDC")`.
    Money(Decimal),
    /// `action.id` and its like.
    Action(ActionField),
    /// `action.owner`: whom the actor belongs to.
    Owner(Arc<Owners>),
    /// `context.NAME`.
    Fact(Declared),
    /// `action.params.NAME`, with its type where parameters are declared.
    Param(Declared),
    /// What is gathered for the decision: `window.NAME` and its like, and `context.NAME` where a provider tells it.
    Given(Declared),
    /// `plan.tainted` and its like.
    Plan(PlanField),
    /// A variable of a macro: its place on the stack of variables.
    Local(usize),
    Field(Box<Self>, Arc<str>),
    /// A member or an element that is declared to be of this type: what it is, is seen when it is used.
    Typed(Box<Self>, Type),
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

/// An attribute by its name.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    /// Its whole name, such as `context.trusted`.
    pub(crate) path: Arc<str>,
    /// How many bytes of it come before the name itself.
    root: usize,
    pub(crate) kind: Type,
}

impl Declared {
    pub(crate) fn new(root: &str, name: &str, kind: Type) -> Self {
        Self { path: format!("{root}.{name}").into(), root: root.len() + 1, kind }
    }

    pub(crate) fn name(&self) -> &str {
        self.path.get(self.root..).unwrap_or_default()
    }
}

/// What is known of the data that led to an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanField {
    Tainted,
    Sources,
}

impl PlanField {
    pub(crate) const NAMES: [&'static str; 2] = ["tainted", "sources"];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "tainted" => Self::Tainted,
            "sources" => Self::Sources,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tainted => "tainted",
            Self::Sources => "sources",
        }
    }
}

/// A macro over a list or over the keys of a map. The element and the accumulator are the two topmost
/// variables.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    /// What the author calls the element; it has no meaning.
    pub(crate) variable: Arc<str>,
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

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Kind => "kind",
            Self::Actor => "actor",
            Self::Params => "params",
            Self::Cost => "cost",
        }
    }

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

    pub(crate) const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessEqual
                | Self::Greater
                | Self::GreaterEqual
                | Self::In
        )
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
