//! Names with a dot: members of what the request, the schema and the rules have.

use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, SelectExpr};
use daa_core::suggest::nearest;

use super::{Compiler, GATHERED, fail, given, listed};
use crate::attribute::{Attribute, Members, Type};
use crate::condition::about::{About, OCCURRED};
use crate::condition::check::{self, Typed};
use crate::condition::expression::{ActionField, Declared, Expression, PlanField};
use crate::condition::print::shown;
use crate::problem::Problem;
use crate::schema::Params;

impl Compiler<'_> {
    pub(super) fn select(&mut self, expression: &IdedExpr, select: &SelectExpr, depth: usize) -> Typed {
        let member = self.member(expression, &select.operand, &select.field, depth);
        if !matches!(self.params, Params::Any)
            && matches!(member.expression, Expression::Action(ActionField::Params))
        {
            let instead = "name one that [params] declares, such as action.params.NAME";
            return self.unsupported(expression, "action.params as a whole", instead);
        }
        if !select.test {
            return member;
        }
        // Whether it is there has nothing to do with what it is.
        let of = match member.expression {
            Expression::Typed(of, _) => of,
            of => Box::new(of),
        };
        Typed::new(Expression::Has(of), Type::Bool)
    }

    /// `of.name`, and `of["name"]` where `of` has declared members.
    pub(super) fn member(&mut self, expression: &IdedExpr, of: &IdedExpr, name: &str, depth: usize) -> Typed {
        if self.is_root(of, "action") {
            return self.action(expression, name);
        }
        if self.is_root(of, "context") {
            let schema = self.schema;
            return match schema.context.attribute(name) {
                Some(Attribute { kind, .. }) if schema.provided.contains(name) => {
                    self.gathered(Declared::new("context", name, kind.clone()))
                }
                Some(Attribute { kind, .. }) => {
                    Typed::new(Expression::Fact(Declared::new("context", name, kind.clone())), kind.clone())
                }
                None => {
                    self.undeclared(expression, name, "context", "[context] declares", &[&schema.context])
                }
            };
        }
        if self.is_root(of, "plan") {
            return self.plan(expression, name);
        }
        for root in GATHERED {
            if self.is_root(of, root) {
                return self.counted(expression, root, name);
            }
        }
        for root in OCCURRED {
            if self.is_root(of, root) {
                return self.occurred(expression, root, name);
            }
        }
        if self.is_data(of) {
            return self.datum(expression, name);
        }
        let base = self.operand(of, depth + 1);
        if matches!(base.expression, Expression::Action(ActionField::Params)) {
            return self.param(expression, name);
        }
        self.field(expression, of, base, name)
    }

    pub(super) fn action(&mut self, expression: &IdedExpr, name: &str) -> Typed {
        if name == "owner" && !self.schema.owners.is_empty() {
            return Typed::new(Expression::Owner(Arc::clone(&self.schema.owners)), Type::String);
        }
        let Some(field) = ActionField::parse(name) else {
            let expected = format!("action has {}", ActionField::NAMES.join(", "));
            let suggestion = nearest(name, ActionField::NAMES);
            return self.unknown(expression, name, format!("action.{name}"), expected, suggestion);
        };
        let kind = match field {
            ActionField::Id | ActionField::Kind | ActionField::Actor => Type::String,
            ActionField::Params => Type::Map(Arc::new(Type::Any)),
            ActionField::Cost => Type::Money,
        };
        Typed::new(Expression::Action(field), kind)
    }

    /// A member of a value that is no root.
    pub(super) fn field(&mut self, expression: &IdedExpr, of: &IdedExpr, base: Typed, name: &str) -> Typed {
        const MONEY: [&str; 3] = ["units", "currency", "decimals"];
        let field = |of: Expression| Expression::Field(Box::new(of), name.into());
        match &base.kind {
            Type::Any => Typed::new(field(base.expression), Type::Any),
            Type::Map(member) => {
                let member = Type::clone(member);
                given(field(base.expression), member)
            }
            Type::Record(members) => {
                let members = Arc::clone(members);
                match members.attribute(name) {
                    Some(attribute) => given(field(base.expression), attribute.kind.clone()),
                    None => {
                        let path = shown(&base.expression, &self.variables());
                        self.undeclared(expression, name, &path, "it has", &[&members])
                    }
                }
            }
            Type::Money if matches!(base.expression, Expression::Action(_)) => match name {
                "currency" => Typed::new(field(base.expression), Type::String),
                "units" | "decimals" => Typed::new(field(base.expression), Type::Int),
                _ => {
                    let expected = format!("action.cost has {}", MONEY.join(", "));
                    let path = format!("action.cost.{name}");
                    self.unknown(expression, name, path, expected, nearest(name, MONEY))
                }
            },
            _ => {
                let variables = self.variables();
                let problem = check::operand(&base, format!(".{name}"), "a map or a record", &variables);
                let index = self.begin(of);
                self.refuse(fail(index, problem))
            }
        }
    }

    /// An expression of which a member is taken: here alone declared parameters may stand as a whole.
    pub(super) fn operand(&mut self, of: &IdedExpr, depth: usize) -> Typed {
        match &of.expr {
            Expr::Select(select) if !select.test && self.is_root(&select.operand, "action") => {
                self.nodes += 1;
                self.member(of, &select.operand, &select.field, depth)
            }
            _ => self.expression(of, depth),
        }
    }

    pub(super) fn plan(&mut self, expression: &IdedExpr, name: &str) -> Typed {
        match PlanField::parse(name) {
            Some(PlanField::Tainted) => Typed::new(Expression::Plan(PlanField::Tainted), Type::Bool),
            Some(PlanField::Sources) => {
                Typed::new(Expression::Plan(PlanField::Sources), Type::List(Arc::new(Type::String)))
            }
            None => {
                let expected = format!("plan has {}", PlanField::NAMES.join(", "));
                let suggestion = nearest(name, PlanField::NAMES);
                self.unknown(expression, name, format!("plan.{name}"), expected, suggestion)
            }
        }
    }

    /// What is gathered for the decision.
    pub(super) fn gathered(&mut self, attribute: Declared) -> Typed {
        self.given.insert(attribute.path.to_string());
        let kind = attribute.kind.clone();
        Typed::new(Expression::Given(attribute), kind)
    }

    /// `window.NAME` and its like.
    pub(super) fn counted(&mut self, expression: &IdedExpr, root: &str, name: &str) -> Typed {
        let (schema, path) = (self.schema, format!("{root}.{name}"));
        if let Some(kind) = schema.given.get(&path) {
            let code_is_known =
                *kind != Type::Money || root == "parameter" || matches!(self.about, About::Value);
            if !self.about.has_action() && (schema.keyed.contains(&path) || !code_is_known) {
                let index = self.place(expression, name);
                return self.refuse(fail(index, Problem::NotToldApart { path }));
            }
            return self.gathered(Declared::new(root, name, kind.clone()));
        }
        let names = schema.given.keys().filter_map(|path| path.strip_prefix(root)?.strip_prefix('.'));
        let names: Vec<&str> = names.collect();
        let suggestion = nearest(name, names.iter().copied());
        let expected = listed(&format!("[{root}] declares"), &names);
        self.unknown(expression, name, path, expected, suggestion)
    }

    pub(super) fn param(&mut self, expression: &IdedExpr, name: &str) -> Typed {
        let known = |kind: Type| {
            Typed::new(Expression::Param(Declared::new("action.params", name, kind.clone())), kind)
        };
        let declared: Vec<&Members> = match self.params {
            Params::Any => return known(Type::Any),
            Params::Of(members) => vec![*members],
            Params::Several(all) if all.iter().any(Option::is_none) => return known(Type::Any),
            Params::Several(all) => all.iter().copied().flatten().collect(),
        };
        let kinds = declared.iter().filter_map(|members| members.attribute(name)).map(|found| &found.kind);
        match kinds.cloned().reduce(|a, b| a.join(&b)) {
            Some(kind) => known(kind),
            None => self.undeclared(expression, name, "action.params", "[params] declares", &declared),
        }
    }

    pub(super) fn undeclared(
        &mut self,
        expression: &IdedExpr,
        name: &str,
        root: &str,
        what: &str,
        declared: &[&Members],
    ) -> Typed {
        let mut names: Vec<&str> = declared.iter().flat_map(|members| members.names()).collect();
        names.sort_unstable();
        names.dedup();
        let suggestion = nearest(name, names.iter().copied());
        self.unknown(expression, name, format!("{root}.{name}"), listed(what, &names), suggestion)
    }
}
