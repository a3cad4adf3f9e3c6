//! Names of that which triggered a rule.

use cel::common::ast::{Expr, IdedExpr};
use daa_core::suggest::nearest;

use super::{Compiler, listed};
use crate::condition::check::Typed;
use crate::condition::expression::Declared;

impl Compiler<'_> {
    /// `event.kind` and its like: what is told of that which triggered the rule.
    pub(super) fn occurred(&mut self, expression: &IdedExpr, root: &str, name: &str) -> Typed {
        let told = self.about.told(root);
        if let Some((_, kind)) = told.iter().find(|(known, _)| *known == name) {
            return self.gathered(Declared::new(root, name, kind.clone()));
        }
        let mut names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
        if root == "event" {
            names.push("data");
        }
        if root == "event" && name == "data" {
            let instead = "name what [event] declares, such as event.data.NAME";
            return self.unsupported(expression, "event.data as a whole", instead);
        }
        let suggestion = nearest(name, names.iter().copied());
        self.unknown(
            expression,
            name,
            format!("{root}.{name}"),
            listed(&format!("{root} has"), &names),
            suggestion,
        )
    }

    /// Whether it is `event.data`.
    pub(super) fn is_data(&self, of: &IdedExpr) -> bool {
        matches!(&of.expr, Expr::Select(select)
            if select.field == "data" && !select.test && self.is_root(&select.operand, "event"))
    }

    /// `event.data.NAME`.
    pub(super) fn datum(&mut self, expression: &IdedExpr, name: &str) -> Typed {
        let declared = self.params.declared();
        let kinds = declared.iter().filter_map(|members| members.attribute(name)).map(|found| &found.kind);
        match kinds.cloned().reduce(|a, b| a.join(&b)) {
            Some(kind) => self.gathered(Declared::new("event.data", name, kind)),
            None => self.undeclared(expression, name, "event.data", "[event] declares", &declared),
        }
    }
}
