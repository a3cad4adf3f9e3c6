//! From CEL text to a checked expression: parsing, name resolution, types, and refusal of what cannot be evaluated.

mod call;
mod member;
mod occurred;

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, ListExpr, LiteralValue, SourceInfo};
use daa_core::suggest::nearest;

use super::ConditionError;
use super::about::About;
use super::check::{self, Typed};
use super::expression::Expression;
use super::parse;
use crate::attribute::Type;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::schema::{Params, Schema};

/// What is counted or set, and gathered for a decision.
const GATHERED: [&str; 4] = ["window", "seen", "sequence", "parameter"];

/// What an expression has to yield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Condition,
    Anything,
}

/// A checked expression.
pub(super) struct Compiled {
    pub(super) root: Expression,
    pub(super) kind: Type,
    /// What has to be gathered before it can be evaluated, such as `window.daily`.
    pub(super) given: Vec<String>,
}

/// Compiles an expression about this, or says everything that is wrong with it.
pub(super) fn compile(
    text: &str,
    schema: &Schema,
    about: &About<'_>,
    wants: Wants,
) -> Result<Compiled, Vec<ConditionError>> {
    let (ast, info) = parse::parse(text).map_err(|error| vec![error])?;
    let mut compiler = Compiler {
        text,
        info: &info,
        schema,
        about,
        params: about.params(),
        scope: Vec::new(),
        nodes: 0,
        problems: Vec::new(),
        is_over: false,
        given: BTreeSet::new(),
    };
    let root = compiler.expression(&ast, 0);
    if wants == Wants::Condition && !matches!(root.kind, Type::Any | Type::Bool) {
        compiler.problems.push(fail(0, Problem::NotBool { found: check::told(&root.kind) }));
    }
    let given = compiler.given.into_iter().collect();
    let kind = root.kind;
    if compiler.problems.is_empty() {
        Ok(Compiled { root: root.expression, kind, given })
    } else {
        Err(compiler.problems)
    }
}

const fn fail(index: usize, problem: Problem) -> ConditionError {
    ConditionError { index, problem }
}

/// A variable of a macro.
struct Local {
    name: Arc<str>,
    kind: Type,
    /// Whether it stands for a part of a request, which may turn out not to be of its type.
    is_given: bool,
}

struct Compiler<'t> {
    text: &'t str,
    info: &'t SourceInfo,
    schema: &'t Schema,
    about: &'t About<'t>,
    /// The parameters of the action, or what the event holds.
    params: &'t Params<'t>,
    /// The variables of the macros around the current expression, at the places they have when it is evaluated.
    scope: Vec<Local>,
    nodes: usize,
    problems: Vec<ConditionError>,
    /// A limit was passed: nothing more is looked at.
    is_over: bool,
    /// What has to be gathered.
    given: BTreeSet<String>,
}

impl Compiler<'_> {
    /// Where the token of an expression stands; where it is about `name`, where that name stands.
    fn place(&self, expression: &IdedExpr, name: &str) -> usize {
        let start = self.info.offset_for(expression.id).map_or(0, |(start, _)| start as usize);
        let from = self.text.char_indices().nth(start).map_or(self.text.len(), |(at, _)| at);
        let rest = self.text.get(from..).unwrap_or_default();
        let skipped = rest.find(name).and_then(|at| rest.get(..at)).map_or(0, |part| part.chars().count());
        start + skipped
    }

    /// Where an expression begins.
    fn begin(&self, expression: &IdedExpr) -> usize {
        let mut expression = expression;
        // Bounded by the depth of the tree.
        loop {
            expression = match &expression.expr {
                Expr::Select(select) if !select.test => &select.operand,
                Expr::Comprehension(fold) => &fold.iter_range,
                Expr::Call(call) => match (call.target.as_deref(), call.args.first()) {
                    (Some(target), _) => target,
                    (None, Some(first)) if call.args.len() > 1 && !is_name(&call.func_name) => first,
                    _ => break,
                },
                _ => break,
            };
        }
        let start = self.place(expression, "");
        match &expression.expr {
            // The token is the bracket behind the name.
            Expr::Call(call) if is_name(&call.func_name) => {
                start.saturating_sub(call.func_name.chars().count())
            }
            _ => start,
        }
    }

    fn refuse(&mut self, error: ConditionError) -> Typed {
        if !self.is_over && self.problems.len() < Limits::PROBLEMS {
            self.problems.push(error);
        }
        Typed::refused()
    }

    /// The result of a check, or the refusal of what begins where `expression` does.
    fn checked(
        &mut self,
        at: &IdedExpr,
        kind: Result<Type, Problem>,
        expression: impl FnOnce() -> Expression,
    ) -> Typed {
        match kind {
            Ok(kind) => Typed::new(expression(), kind),
            Err(problem) => {
                let index = self.begin(at);
                self.refuse(fail(index, problem))
            }
        }
    }

    fn variables(&self) -> Vec<Arc<str>> {
        self.scope.iter().map(|local| Arc::clone(&local.name)).collect()
    }

    fn expression(&mut self, expression: &IdedExpr, depth: usize) -> Typed {
        if self.is_over {
            return Typed::refused();
        }
        self.nodes += 1;
        let limit = if self.nodes > Limits::NODES {
            Some(("operators and names in a condition", Limits::NODES))
        } else if depth > Limits::DEPTH {
            Some(("levels of nesting in a condition", Limits::DEPTH))
        } else {
            None
        };
        if let Some((what, limit)) = limit {
            let index = self.place(expression, "");
            let refused = self.refuse(fail(index, Problem::Limit { what, limit }));
            self.is_over = true;
            return refused;
        }
        match &expression.expr {
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Ident(name) => self.name(expression, name),
            Expr::Select(select) => self.select(expression, select, depth),
            Expr::Call(call) => self.call(expression, call, depth),
            Expr::List(list) => self.list(expression, list, depth),
            Expr::Comprehension(fold) => self.fold(expression, fold, depth),
            Expr::Map(_) => self.unsupported(expression, "a map", "compare the members one by one"),
            Expr::Struct(of) => {
                let what = format!("the message {}", of.type_name);
                self.unsupported(expression, &what, "compare the members one by one")
            }
            Expr::Unspecified => {
                self.refuse(fail(0, Problem::Expression { message: "a part of it is empty".to_owned() }))
            }
        }
    }

    fn unsupported(&mut self, expression: &IdedExpr, what: &str, instead: &str) -> Typed {
        let problem = Problem::Unsupported { what: what.to_owned(), instead: instead.to_owned() };
        let index = self.place(expression, "");
        self.refuse(fail(index, problem))
    }

    fn literal(&mut self, expression: &IdedExpr, literal: &LiteralValue) -> Typed {
        let (literal, kind) = match literal {
            LiteralValue::Boolean(bool) => (Expression::Bool(**bool), Type::Bool),
            LiteralValue::Int(int) => (Expression::Int(**int), Type::Int),
            LiteralValue::UInt(uint) => (Expression::UInt(**uint), Type::UInt),
            LiteralValue::Double(double) => (Expression::Double(**double), Type::Double),
            LiteralValue::String(text) => (Expression::Text(text.inner().into()), Type::String),
            LiteralValue::Null => (Expression::Null, Type::Null),
            LiteralValue::Bytes(_) => {
                return self.unsupported(expression, "a byte string", "use a string");
            }
        };
        Typed::new(literal, kind)
    }

    fn is_root(&self, expression: &IdedExpr, root: &str) -> bool {
        matches!(&expression.expr, Expr::Ident(name) if name == root) && self.about.roots().contains(&root)
    }

    fn name(&mut self, expression: &IdedExpr, name: &str) -> Typed {
        if let Some((place, local)) = self.scope.iter().enumerate().rfind(|(_, local)| &*local.name == name) {
            let kind = local.kind.clone();
            let variable = Expression::Local(place);
            return if local.is_given { given(variable, kind) } else { Typed::new(variable, kind) };
        }
        if self.about.roots().contains(&name) {
            let instead = format!("name one of its attributes, such as {name}.NAME");
            return self.unsupported(expression, &format!("{name} as a whole"), &instead);
        }
        let variables = self.variables();
        let known = self.about.roots().iter().copied().chain(variables.iter().map(|name| &**name));
        let (last, others) = self.about.roots().split_last().unwrap_or((&"", &[]));
        let expected = format!("{} is about {} and {last}", self.about.what(), others.join(", "));
        let suggestion = nearest(name, known);
        self.unknown(expression, name, name.to_owned(), expected, suggestion)
    }

    fn unknown(
        &mut self,
        expression: &IdedExpr,
        name: &str,
        path: String,
        expected: String,
        suggestion: Option<String>,
    ) -> Typed {
        let index = self.place(expression, name);
        self.refuse(fail(index, Problem::UnknownAttribute { path, expected, suggestion }))
    }

    fn list(&mut self, expression: &IdedExpr, list: &ListExpr, depth: usize) -> Typed {
        if !list.optional_indices.is_empty() {
            return self.unsupported(expression, "an optional element", "test it with has()");
        }
        let items: Vec<Typed> = list.elements.iter().map(|item| self.expression(item, depth + 1)).collect();
        let kind = check::list(&items);
        Typed::new(Expression::List(items.into_iter().map(|item| item.expression).collect()), kind)
    }
}

/// A part of a request: it is what it is declared to be only if that is looked at.
fn given(expression: Expression, kind: Type) -> Typed {
    if kind.is_any() {
        return Typed::new(expression, kind);
    }
    Typed::new(Expression::Typed(Box::new(expression), kind.clone()), kind)
}

fn is_name(function: &str) -> bool {
    function.starts_with(|char: char| char.is_ascii_alphabetic())
}

fn listed(what: &str, names: &[&str]) -> String {
    if names.is_empty() {
        return format!("{what} nothing");
    }
    let more = if names.len() > 20 { ", …" } else { "" };
    let names: Vec<&str> = names.iter().take(20).copied().collect();
    format!("{what} {}{more}", names.join(", "))
}
