//! Conditions as people read them.

use std::fmt::{self, Write};
use std::sync::Arc;

use super::decimal::Decimal;
use super::expression::{Expression, Fold, Function, Operator};

/// What stands where a text was cut off.
pub(crate) const CUT: char = '…';

/// An expression as text, cut off where it gets long.
pub(crate) fn shown(expression: &Expression, variables: &[Arc<str>]) -> String {
    const LONGEST: usize = 120;
    let mut out = Printer { text: String::new(), room: LONGEST, variables: variables.to_vec() };
    if out.print(expression).is_err() {
        out.text.push(CUT);
    }
    out.text
}

struct Printer {
    text: String,
    room: usize,
    variables: Vec<Arc<str>>,
}

impl Write for Printer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            self.room = self.room.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(char);
        }
        Ok(())
    }
}

impl Printer {
    fn print(&mut self, expression: &Expression) -> fmt::Result {
        match expression {
            Expression::Null => self.write_str("null"),
            Expression::Bool(bool) => write!(self, "{bool}"),
            Expression::Int(int) => write!(self, "{int}"),
            Expression::UInt(uint) => write!(self, "{uint}u"),
            Expression::Double(double) => write!(self, "{double:?}"),
            Expression::Text(text) => write!(self, "{text:?}"),
            Expression::Money(money) => write!(self, "money(\"{money}\")"),
            Expression::Action(field) => write!(self, "action.{}", field.name()),
            Expression::Owner(_) => self.write_str("action.owner"),
            Expression::Fact(attribute) | Expression::Param(attribute) | Expression::Given(attribute) => {
                self.write_str(&attribute.path)
            }
            Expression::Plan(field) => write!(self, "plan.{}", field.name()),
            Expression::Local(place) => {
                let name = self.variables.get(*place).cloned();
                self.write_str(name.as_deref().unwrap_or("element"))
            }
            Expression::Field(of, name) => {
                self.operand(of)?;
                write!(self, ".{name}")
            }
            Expression::Typed(of, _) => self.print(of),
            Expression::Has(of) => {
                self.write_str("has(")?;
                self.print(of)?;
                self.write_str(")")
            }
            Expression::Index(of, index) => {
                self.operand(of)?;
                self.write_str("[")?;
                self.print(index)?;
                self.write_str("]")
            }
            Expression::List(items) => {
                self.write_str("[")?;
                self.list(items)?;
                self.write_str("]")
            }
            Expression::Not(of) => {
                self.write_str("!")?;
                self.operand(of)
            }
            Expression::Negate(of) => {
                self.write_str("-")?;
                self.operand(of)
            }
            Expression::And(left, right) => self.pair(left, "&&", right),
            Expression::Or(left, right) => self.pair(left, "||", right),
            Expression::Binary(operator, left, right) => self.pair(left, operator.symbol(), right),
            Expression::If(parts) => {
                let [condition, yes, no] = &**parts;
                self.operand(condition)?;
                self.write_str(" ? ")?;
                self.operand(yes)?;
                self.write_str(" : ")?;
                self.operand(no)
            }
            Expression::Call(function, arguments) => self.call(*function, arguments),
            Expression::Fold(fold) => self.fold(fold),
            Expression::NotFalse(of) => self.print(of),
        }
    }

    fn pair(&mut self, left: &Expression, symbol: &str, right: &Expression) -> fmt::Result {
        // `&&` and `||` group in whatever way: brackets would only hide that.
        let alike = |of: &Expression| {
            matches!((of, symbol), (Expression::And(..), "&&") | (Expression::Or(..), "||"))
        };
        if alike(left) {
            self.print(left)?
        } else {
            self.operand(left)?
        }
        write!(self, " {symbol} ")?;
        if alike(right) { self.print(right) } else { self.operand(right) }
    }

    /// In brackets where it would otherwise be read differently.
    fn operand(&mut self, of: &Expression) -> fmt::Result {
        let tight = match of {
            Expression::And(..) | Expression::Or(..) | Expression::If(_) => false,
            // A comparison beside `&&` needs none, and elsewhere there are few.
            Expression::Binary(operator, ..) => operator.is_comparison(),
            Expression::Typed(of, _) | Expression::NotFalse(of) => return self.operand(of),
            _ => true,
        };
        if tight {
            return self.print(of);
        }
        self.write_str("(")?;
        self.print(of)?;
        self.write_str(")")
    }

    fn list(&mut self, items: &[Expression]) -> fmt::Result {
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.write_str(", ")?;
            }
            self.print(item)?;
        }
        Ok(())
    }

    fn call(&mut self, function: Function, arguments: &[Expression]) -> fmt::Result {
        let arguments = match (function, arguments) {
            (Function::StartsWith | Function::EndsWith | Function::Contains, [of, rest @ ..]) => {
                self.operand(of)?;
                self.write_str(".")?;
                rest
            }
            (_, all) => all,
        };
        write!(self, "{}(", function.name())?;
        self.list(arguments)?;
        self.write_str(")")
    }

    fn fold(&mut self, fold: &Fold) -> fmt::Result {
        self.operand(&fold.range)?;
        self.variables.push(Arc::clone(&fold.variable));
        self.variables.push("_".into());
        let element = self.variables.len() - 2;
        let (name, parts) = fold.parts(element);
        write!(self, ".{name}({}", fold.variable)?;
        for part in parts {
            self.write_str(", ")?;
            self.print(part)?;
        }
        self.variables.truncate(element);
        self.write_str(")")
    }
}

impl Fold {
    /// The macro that it was, and its arguments. `element` is the place of its element among the variables.
    fn parts(&self, element: usize) -> (&'static str, Vec<&Expression>) {
        match (&self.initial, &self.step) {
            (Expression::Bool(true), Expression::And(_, each)) => ("all", vec![each]),
            (Expression::Bool(false), Expression::Or(_, each)) => ("exists", vec![each]),
            (Expression::Int(_), Expression::If(parts)) => {
                let [condition, ..] = &**parts;
                ("exists_one", vec![condition])
            }
            (_, Expression::If(parts)) => {
                let [condition, yes, _] = &**parts;
                match built(yes) {
                    Some(Expression::Local(place)) if *place == element => ("filter", vec![condition]),
                    Some(item) => ("map", vec![condition, item]),
                    None => ("fold", vec![&self.step]),
                }
            }
            (_, step) => built(step).map_or(("fold", vec![step]), |item| ("map", vec![item])),
        }
    }
}

/// What one step of `map` or `filter` adds to the list.
fn built(step: &Expression) -> Option<&Expression> {
    let Expression::Binary(Operator::Add, _, right) = step else { return None };
    let Expression::List(items) = &**right else { return None };
    match items.as_slice() {
        [Expression::Typed(item, _)] => Some(item),
        [item] => Some(item),
        _ => None,
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = self.parts();
        if fraction == 0 {
            return write!(f, "{whole} {}", self.code());
        }
        let digits = format!("{fraction:0>38}");
        write!(f, "{whole}.{} {}", digits.trim_end_matches('0'), self.code())
    }
}
