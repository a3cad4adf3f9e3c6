//! From CEL text to a checked expression: parsing, name resolution, and refusal of what cannot be evaluated.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use cel::parser::{ParseErrors, Parser};
use daa_core::suggest::nearest;

use super::ConditionError;
use super::decimal::Decimal;
use super::expression::{ActionField, Declared, Expression, Fold, Function, Operator};
use crate::error::Problem;
use crate::limits::Limits;
use crate::schema::{AttributeType, Schema};

type Compiled = Result<Expression, ConditionError>;

pub(super) fn compile(text: &str, schema: &Schema) -> Compiled {
    let parser = Parser::new().max_recursion_depth(Limits::DEPTH as u16).error_recovery_limit(4);
    // The parser is somebody else's: should it panic, the ruleset is refused and the process goes on.
    let parsed = catch_unwind(AssertUnwindSafe(|| parser.parse_with_source_info(text)));
    let (ast, info) = match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(errors)) => return Err(syntax(text, &errors)),
        Err(_) => return Err(fail(0, Problem::Expression { message: "the parser gave up".to_owned() })),
    };
    let mut compiler = Compiler { text, info: &info, schema, scope: Vec::new(), nodes: 0 };
    let root = compiler.expression(&ast, 0)?;
    match never_bool(&root) {
        Some(found) => Err(fail(0, Problem::NotBool { found })),
        None => Ok(root),
    }
}

const fn fail(index: usize, problem: Problem) -> ConditionError {
    ConditionError { index, problem }
}

fn syntax(text: &str, errors: &ParseErrors) -> ConditionError {
    let Some(first) = errors.errors.first() else {
        return fail(0, Problem::Expression { message: "it does not parse".to_owned() });
    };
    let (line, column) = first.pos;
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let before: usize = text.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    let column = usize::try_from(column).unwrap_or_default().saturating_sub(1);
    let index = (before + column).min(text.chars().count());
    if first.msg.contains("Recursion limit") {
        return fail(0, Problem::Limit { what: "levels of nesting in a condition", limit: Limits::DEPTH });
    }
    let message = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    let mut message = message.replace("<EOF>", "the end").replace('\n', " ");
    // The parser lists everything that an operand can begin with.
    if let Some((found, _)) = message.split_once(" expecting {'[', '{', '('") {
        message = format!("{found}, expected a value");
    }
    fail(index, Problem::Expression { message })
}

/// The type of an expression that can be nothing but that, and is not bool.
const fn never_bool(root: &Expression) -> Option<&'static str> {
    match root {
        Expression::Null => Some("null"),
        Expression::Int(_) | Expression::UInt(_) | Expression::Double(_) | Expression::Negate(_) => {
            Some("a number")
        }
        Expression::Text(_)
        | Expression::Action(ActionField::Id | ActionField::Kind | ActionField::Actor) => Some("a string"),
        Expression::Money(_) | Expression::Action(ActionField::Cost) => Some("money"),
        Expression::List(_) => Some("a list"),
        Expression::Binary(operator, ..) => match operator {
            Operator::Add => Some("a sum"),
            Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
                Some("a number")
            }
            _ => None,
        },
        Expression::Call(function, _) => match function {
            Function::StartsWith | Function::EndsWith | Function::Contains => None,
            Function::Money => Some("money"),
            Function::Text => Some("a string"),
            _ => Some("a number"),
        },
        _ => None,
    }
}

struct Compiler<'t> {
    text: &'t str,
    info: &'t SourceInfo,
    schema: &'t Schema,
    /// The variables of the macros around the current expression, at the places they have when it is evaluated.
    scope: Vec<String>,
    nodes: usize,
}

impl Compiler<'_> {
    /// Where an expression stands; where it is about `name`, where that name stands.
    fn place(&self, expression: &IdedExpr, name: &str) -> usize {
        let start = self.info.offset_for(expression.id).map_or(0, |(start, _)| start as usize);
        let from = self.text.char_indices().nth(start).map_or(self.text.len(), |(at, _)| at);
        let rest = self.text.get(from..).unwrap_or_default();
        let skipped = rest.find(name).and_then(|at| rest.get(..at)).map_or(0, |part| part.chars().count());
        start + skipped
    }

    fn expression(&mut self, expression: &IdedExpr, depth: usize) -> Compiled {
        self.nodes += 1;
        let limit = |what, limit| Err(fail(self.place(expression, ""), Problem::Limit { what, limit }));
        if self.nodes > Limits::NODES {
            return limit("operators and names in a condition", Limits::NODES);
        }
        if depth > Limits::DEPTH {
            return limit("levels of nesting in a condition", Limits::DEPTH);
        }
        match &expression.expr {
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Ident(name) => self.name(expression, name),
            Expr::Select(select) => self.select(expression, select, depth),
            Expr::Call(call) => self.call(expression, call, depth),
            Expr::List(list) => self.list(expression, list, depth),
            Expr::Comprehension(fold) => self.fold(expression, fold, depth),
            Expr::Map(_) => Err(self.unsupported(expression, "a map", "compare the members one by one")),
            Expr::Struct(of) => {
                let what = format!("the message {}", of.type_name);
                Err(self.unsupported(expression, &what, "compare the members one by one"))
            }
            Expr::Unspecified => {
                Err(fail(0, Problem::Expression { message: "a part of it is empty".to_owned() }))
            }
        }
    }

    fn unsupported(&self, expression: &IdedExpr, what: &str, instead: &str) -> ConditionError {
        let problem = Problem::Unsupported { what: what.to_owned(), instead: instead.to_owned() };
        fail(self.place(expression, ""), problem)
    }

    fn literal(&self, expression: &IdedExpr, literal: &LiteralValue) -> Compiled {
        Ok(match literal {
            LiteralValue::Boolean(bool) => Expression::Bool(**bool),
            LiteralValue::Int(int) => Expression::Int(**int),
            LiteralValue::UInt(uint) => Expression::UInt(**uint),
            LiteralValue::Double(double) => Expression::Double(**double),
            LiteralValue::String(text) => Expression::Text(text.inner().to_owned()),
            LiteralValue::Null => Expression::Null,
            LiteralValue::Bytes(_) => {
                return Err(self.unsupported(expression, "a byte string", "use a string"));
            }
        })
    }

    fn is_root(&self, expression: &IdedExpr, root: &str) -> bool {
        matches!(&expression.expr, Expr::Ident(name) if name == root)
    }

    fn name(&self, expression: &IdedExpr, name: &str) -> Compiled {
        if let Some(place) = self.scope.iter().rposition(|local| local == name) {
            return Ok(Expression::Local(place));
        }
        if matches!(name, "action" | "context") {
            let instead = format!("name one of its attributes, such as {name}.NAME");
            return Err(self.unsupported(expression, &format!("{name} as a whole"), &instead));
        }
        let known = ["action", "context"].into_iter().chain(self.scope.iter().map(String::as_str));
        let expected = "a condition is about action and context".to_owned();
        Err(self.unknown(expression, name, name.to_owned(), expected, nearest(name, known)))
    }

    fn unknown(
        &self,
        expression: &IdedExpr,
        name: &str,
        path: String,
        expected: String,
        suggestion: Option<String>,
    ) -> ConditionError {
        let problem = Problem::UnknownAttribute { path, expected, suggestion };
        fail(self.place(expression, name), problem)
    }

    fn select(&mut self, expression: &IdedExpr, select: &SelectExpr, depth: usize) -> Compiled {
        let member = self.member(expression, &select.operand, &select.field, depth)?;
        if self.schema.params.is_some() && matches!(member, Expression::Action(ActionField::Params)) {
            let instead = "name one that [params] declares, such as action.params.NAME";
            return Err(self.unsupported(expression, "action.params as a whole", instead));
        }
        Ok(if select.test { Expression::Has(Box::new(member)) } else { member })
    }

    /// `of.name`, and `of["name"]` where `of` has declared members.
    fn member(&mut self, expression: &IdedExpr, of: &IdedExpr, name: &str, depth: usize) -> Compiled {
        if self.is_root(of, "action") {
            let field = ActionField::parse(name).ok_or_else(|| {
                let expected = format!("action has {}", ActionField::NAMES.join(", "));
                let suggestion = nearest(name, ActionField::NAMES);
                self.unknown(expression, name, format!("action.{name}"), expected, suggestion)
            })?;
            return Ok(Expression::Action(field));
        }
        if self.is_root(of, "context") {
            return self.fact(expression, name);
        }
        match self.operand(of, depth + 1)? {
            Expression::Action(ActionField::Params) => self.param(expression, name),
            Expression::Action(ActionField::Cost) if !matches!(name, "units" | "currency" | "decimals") => {
                let known = ["units", "currency", "decimals"];
                let expected = format!("action.cost has {}", known.join(", "));
                let path = format!("action.cost.{name}");
                Err(self.unknown(expression, name, path, expected, nearest(name, known)))
            }
            of => Ok(Expression::Field(Box::new(of), name.to_owned())),
        }
    }

    /// An expression of which a member is taken: here alone declared parameters may stand as a whole.
    fn operand(&mut self, of: &IdedExpr, depth: usize) -> Compiled {
        match &of.expr {
            Expr::Select(select) if !select.test && self.is_root(&select.operand, "action") => {
                self.nodes += 1;
                self.member(of, &select.operand, &select.field, depth)
            }
            _ => self.expression(of, depth),
        }
    }

    fn fact(&self, expression: &IdedExpr, name: &str) -> Compiled {
        let declared = &self.schema.context;
        match declared.get(name) {
            Some(kind) => Ok(Expression::Fact(Declared { name: name.to_owned(), kind: *kind })),
            None => {
                let expected = listed("[context] declares", declared.keys());
                let suggestion = nearest(name, declared.keys().map(String::as_str));
                Err(self.unknown(expression, name, format!("context.{name}"), expected, suggestion))
            }
        }
    }

    fn param(&self, expression: &IdedExpr, name: &str) -> Compiled {
        let Some(declared) = &self.schema.params else {
            return Ok(Expression::Param(Declared { name: name.to_owned(), kind: AttributeType::Any }));
        };
        match declared.get(name) {
            Some(kind) => Ok(Expression::Param(Declared { name: name.to_owned(), kind: *kind })),
            None => {
                let expected = listed("[params] declares", declared.keys());
                let suggestion = nearest(name, declared.keys().map(String::as_str));
                Err(self.unknown(expression, name, format!("action.params.{name}"), expected, suggestion))
            }
        }
    }

    fn list(&mut self, expression: &IdedExpr, list: &ListExpr, depth: usize) -> Compiled {
        if !list.optional_indices.is_empty() {
            return Err(self.unsupported(expression, "an optional element", "test it with has()"));
        }
        let items = list.elements.iter().map(|item| self.expression(item, depth + 1));
        Ok(Expression::List(items.collect::<Result<_, _>>()?))
    }

    fn call(&mut self, expression: &IdedExpr, call: &CallExpr, depth: usize) -> Compiled {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), arguments.as_slice()) {
            (operators::INDEX, [of, index]) => self.index(expression, of, index, depth),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let parts = [condition, yes, no].map(|part| self.expression(part, depth + 1));
                let [condition, yes, no] = parts;
                Ok(Expression::If(Box::new([condition?, yes?, no?])))
            }
            (operators::LOGICAL_AND, [left, right]) => self.pair(left, right, depth, Expression::And),
            (operators::LOGICAL_OR, [left, right]) => self.pair(left, right, depth, Expression::Or),
            (operators::LOGICAL_NOT, [of]) => Ok(Expression::Not(Box::new(self.expression(of, depth + 1)?))),
            (operators::NEGATE, [of]) => Ok(Expression::Negate(Box::new(self.expression(of, depth + 1)?))),
            (operators::NOT_STRICTLY_FALSE, [of]) => {
                Ok(Expression::NotFalse(Box::new(self.expression(of, depth + 1)?)))
            }
            (name, [left, right]) if operator(name).is_some() => {
                let operator = operator(name).unwrap_or(Operator::Equal);
                self.pair(left, right, depth, |left, right| Expression::Binary(operator, left, right))
            }
            (name, arguments) => self.function(expression, name, arguments, depth),
        }
    }

    fn pair(
        &mut self,
        left: &IdedExpr,
        right: &IdedExpr,
        depth: usize,
        make: impl FnOnce(Box<Expression>, Box<Expression>) -> Expression,
    ) -> Compiled {
        let left = self.expression(left, depth + 1)?;
        let right = self.expression(right, depth + 1)?;
        Ok(make(Box::new(left), Box::new(right)))
    }

    fn index(&mut self, expression: &IdedExpr, of: &IdedExpr, index: &IdedExpr, depth: usize) -> Compiled {
        let literal = match &index.expr {
            Expr::Literal(LiteralValue::String(name)) => Some(name.inner()),
            _ => None,
        };
        let is_params = matches!(&of.expr, Expr::Select(select)
            if select.field == "params" && !select.test && self.is_root(&select.operand, "action"));
        match literal {
            Some(name) if is_params || self.is_root(of, "context") || self.is_root(of, "action") => {
                self.member(expression, of, name, depth)
            }
            _ => self.pair(of, index, depth, Expression::Index),
        }
    }

    fn function(
        &mut self,
        expression: &IdedExpr,
        name: &str,
        arguments: &[&IdedExpr],
        depth: usize,
    ) -> Compiled {
        let Some(function) = Function::find(name, arguments.len()) else {
            let known = Function::NAMES.contains(&name);
            let instead = match nearest(name, Function::NAMES) {
                Some(near) if !known => format!("did you mean {near:?}?"),
                _ if known => "it has another number of arguments".to_owned(),
                _ => format!("the functions are {}", Function::NAMES.join(", ")),
            };
            let what = format!("{name}() with {} arguments", arguments.len());
            let problem = Problem::Unsupported { what, instead };
            return Err(fail(self.place(expression, ""), problem));
        };
        if let (Function::Money, [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }]) =
            (function, arguments)
        {
            let text = text.inner();
            let bad = || fail(self.place(expression, text), Problem::Money { text: text.to_owned() });
            return Decimal::parse(text).map(Expression::Money).ok_or_else(bad);
        }
        let arguments = arguments.iter().map(|argument| self.expression(argument, depth + 1));
        Ok(Expression::Call(function, arguments.collect::<Result<_, _>>()?))
    }

    fn fold(&mut self, expression: &IdedExpr, fold: &ComprehensionExpr, depth: usize) -> Compiled {
        if fold.iter_var2.is_some() || matches!(fold.iter_var.as_str(), "action" | "context") {
            let what = format!("{} as the variable of a macro", fold.iter_var);
            return Err(self.unsupported(expression, &what, "use one variable with a name of its own"));
        }
        let range = self.expression(&fold.iter_range, depth + 1)?;
        let initial = self.expression(&fold.accu_init, depth + 1)?;
        self.scope.push(fold.iter_var.clone());
        self.scope.push(fold.accu_var.clone());
        let parts = [&fold.loop_cond, &fold.loop_step, &fold.result];
        let [condition, step, result] = parts.map(|part| self.expression(part, depth + 1));
        self.scope.truncate(self.scope.len() - 2);
        let fold = Fold { range, initial, condition: condition?, step: step?, result: result? };
        Ok(Expression::Fold(Box::new(fold)))
    }
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        operators::EQUALS => Operator::Equal,
        operators::NOT_EQUALS => Operator::NotEqual,
        operators::LESS => Operator::Less,
        operators::LESS_EQUALS => Operator::LessEqual,
        operators::GREATER => Operator::Greater,
        operators::GREATER_EQUALS => Operator::GreaterEqual,
        operators::IN => Operator::In,
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Remainder,
        _ => return None,
    })
}

fn listed<'a>(what: &str, names: impl ExactSizeIterator<Item = &'a String>) -> String {
    if names.len() == 0 {
        return format!("{what} nothing");
    }
    let more = if names.len() > 20 { ", …" } else { "" };
    let names: Vec<&str> = names.take(20).map(String::as_str).collect();
    format!("{what} {}{more}", names.join(", "))
}
