//! Operators, functions and macros.

use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};
use daa_core::suggest::nearest;

use super::{Compiler, Local, fail, given};
use crate::attribute::Type;
use crate::condition::about::ROOTS;
use crate::condition::check::{self, Typed};
use crate::condition::decimal::Decimal;
use crate::condition::expression::{Expression, Fold, Function, Operator};
use crate::condition::print::shown;
use crate::problem::Problem;

impl Compiler<'_> {
    pub(super) fn call(&mut self, expression: &IdedExpr, call: &CallExpr, depth: usize) -> Typed {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), arguments.as_slice()) {
            (operators::INDEX, [of, index]) => self.index(expression, of, index, depth),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let condition = self.bool(condition, "?:", depth);
                let [yes, no] = [yes, no].map(|part| self.expression(part, depth + 1));
                let kind = yes.kind.join(&no.kind);
                Typed::new(Expression::If(Box::new([condition, yes.expression, no.expression])), kind)
            }
            (operators::LOGICAL_AND, [left, right]) => {
                let [left, right] = [left, right].map(|part| Box::new(self.bool(part, "&&", depth)));
                Typed::new(Expression::And(left, right), Type::Bool)
            }
            (operators::LOGICAL_OR, [left, right]) => {
                let [left, right] = [left, right].map(|part| Box::new(self.bool(part, "||", depth)));
                Typed::new(Expression::Or(left, right), Type::Bool)
            }
            (operators::LOGICAL_NOT, [of]) => {
                Typed::new(Expression::Not(Box::new(self.bool(of, "!", depth))), Type::Bool)
            }
            (operators::NEGATE, [of]) => {
                let operand = self.expression(of, depth + 1);
                let kind = match &operand.kind {
                    kind @ (Type::Any | Type::Int | Type::Double) => Ok(kind.clone()),
                    _ => {
                        Err(check::operand(&operand, "-".to_owned(), "an int or a double", &self.variables()))
                    }
                };
                self.checked(of, kind, || Expression::Negate(Box::new(operand.expression)))
            }
            (operators::NOT_STRICTLY_FALSE, [of]) => {
                let of = self.expression(of, depth + 1);
                Typed::new(Expression::NotFalse(Box::new(of.expression)), Type::Bool)
            }
            (name, [left, right]) if operator(name).is_some() => {
                let operator = operator(name).unwrap_or(Operator::Equal);
                let [left, right] = [left, right].map(|part| self.expression(part, depth + 1));
                let kind = check::binary(operator, &left, &right, &self.variables());
                self.checked(expression, kind, || {
                    Expression::Binary(operator, Box::new(left.expression), Box::new(right.expression))
                })
            }
            (name, arguments) => self.function(expression, name, arguments, depth),
        }
    }

    /// An operand that must be true or false.
    pub(super) fn bool(&mut self, of: &IdedExpr, operator: &str, depth: usize) -> Expression {
        let operand = self.expression(of, depth + 1);
        if matches!(operand.kind, Type::Any | Type::Bool) {
            return operand.expression;
        }
        let problem = check::operand(&operand, operator.to_owned(), "a bool", &self.variables());
        let index = self.begin(of);
        self.refuse(fail(index, problem)).expression
    }

    pub(super) fn index(
        &mut self,
        expression: &IdedExpr,
        of: &IdedExpr,
        index: &IdedExpr,
        depth: usize,
    ) -> Typed {
        let literal = match &index.expr {
            Expr::Literal(LiteralValue::String(name)) => Some(name.inner()),
            _ => None,
        };
        let is_params = matches!(&of.expr, Expr::Select(select)
            if select.field == "params" && !select.test && self.is_root(&select.operand, "action"));
        if let Some(name) = literal
            && (is_params || self.is_data(of) || self.about.roots().iter().any(|root| self.is_root(of, root)))
        {
            return self.member(expression, of, name, depth);
        }
        let base = self.expression(of, depth + 1);
        if let (Some(name), Type::Record(_)) = (literal, &base.kind) {
            self.nodes += 1;
            return self.field(expression, of, base, name);
        }
        let at = self.expression(index, depth + 1);
        let whole = matches!(at.kind, Type::Any | Type::Int | Type::UInt);
        let text = at.kind.is_any() || at.kind.is_text();
        let kind = match &base.kind {
            Type::Any if whole || text => Some(Type::Any),
            Type::List(item) if whole => Some(Type::clone(item)),
            Type::Map(member) if text => Some(Type::clone(member)),
            Type::Record(_) if text => Some(Type::Any),
            _ => None,
        };
        match kind {
            Some(kind) => {
                let is_given = is_given(&base.expression, &self.scope);
                let element = Expression::Index(Box::new(base.expression), Box::new(at.expression));
                if is_given { given(element, kind) } else { Typed::new(element, kind) }
            }
            None => {
                let element = Expression::Index(Box::new(base.expression), Box::new(at.expression));
                let problem = Problem::Operands {
                    expression: shown(&element, &self.variables()).into(),
                    operator: "[]",
                    left: check::told(&base.kind).into(),
                    right: check::told(&at.kind).into(),
                    suggestion: None,
                };
                let index = self.begin(of);
                self.refuse(fail(index, problem))
            }
        }
    }

    pub(super) fn function(
        &mut self,
        expression: &IdedExpr,
        name: &str,
        arguments: &[&IdedExpr],
        depth: usize,
    ) -> Typed {
        let Some(function) = Function::find(name, arguments.len()) else {
            let known = Function::NAMES.contains(&name);
            let instead = match nearest(name, Function::NAMES) {
                Some(near) if !known => format!("did you mean {near:?}?"),
                _ if known => "it has another number of arguments".to_owned(),
                _ => format!("the functions are {}", Function::NAMES.join(", ")),
            };
            let what = format!("{name}() with {} arguments", arguments.len());
            return self.unsupported(expression, &what, &instead);
        };
        if let (Function::Money, [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }]) =
            (function, arguments)
        {
            let text = text.inner();
            let bad = || fail(self.place(expression, text), Problem::Money { text: text.to_owned() });
            return match Decimal::parse(text).ok_or_else(bad) {
                Ok(money) => Typed::new(Expression::Money(money), Type::Money),
                Err(error) => self.refuse(error),
            };
        }
        let typed: Vec<Typed> =
            arguments.iter().map(|argument| self.expression(argument, depth + 1)).collect();
        let kind = check::call(function, &typed, &self.variables());
        self.checked(expression, kind, || {
            Expression::Call(function, typed.into_iter().map(|argument| argument.expression).collect())
        })
    }

    pub(super) fn fold(&mut self, expression: &IdedExpr, fold: &ComprehensionExpr, depth: usize) -> Typed {
        if fold.iter_var2.is_some() || ROOTS.contains(&fold.iter_var.as_str()) {
            let what = format!("{} as the variable of a macro", fold.iter_var);
            return self.unsupported(expression, &what, "use one variable with a name of its own");
        }
        let range = self.expression(&fold.iter_range, depth + 1);
        let element = match &range.kind {
            Type::Any => Type::Any,
            Type::List(of) => Type::clone(of),
            Type::Map(_) | Type::Record(_) => Type::String,
            _ => {
                let variables = self.variables();
                let problem = check::operand(&range, "a macro".to_owned(), "a list or a map", &variables);
                let index = self.begin(&fold.iter_range);
                self.refuse(fail(index, problem));
                Type::Any
            }
        };
        let initial = self.expression(&fold.accu_init, depth + 1);
        let is_given = is_given(&range.expression, &self.scope);
        let variable: Arc<str> = fold.iter_var.as_str().into();
        self.scope.push(Local { name: Arc::clone(&variable), kind: element, is_given });
        self.scope.push(Local {
            name: fold.accu_var.as_str().into(),
            kind: initial.kind.clone(),
            is_given: false,
        });
        let condition = self.expression(&fold.loop_cond, depth + 1);
        let step = self.expression(&fold.loop_step, depth + 1);
        let result = self.expression(&fold.result, depth + 1);
        self.scope.truncate(self.scope.len() - 2);
        // A list that is built has what is added to it.
        let kind = if matches!(initial.kind, Type::List(_)) { step.kind } else { result.kind };
        let fold = Fold {
            variable,
            range: range.expression,
            initial: initial.expression,
            condition: condition.expression,
            step: step.expression,
            result: result.expression,
        };
        Typed::new(Expression::Fold(Box::new(fold)), kind)
    }
}

/// Whether the elements of a list come from the request, and not from the condition itself.
fn is_given(list: &Expression, scope: &[Local]) -> bool {
    match list {
        Expression::List(_) | Expression::Fold(_) | Expression::Call(..) => false,
        Expression::Local(place) => scope.get(*place).is_none_or(|local| local.is_given),
        _ => true,
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
