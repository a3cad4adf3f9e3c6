//! From CEL text to its syntax, by somebody else's parser.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::{ParseErrors, Parser};

use super::ConditionError;
use crate::limits::Limits;
use crate::problem::Problem;

/// The syntax of an expression, and where its parts stand.
pub(super) fn parse(text: &str) -> Result<(IdedExpr, SourceInfo), ConditionError> {
    let parser = Parser::new().max_recursion_depth(Limits::DEPTH as u16).error_recovery_limit(4);
    // Should it panic, the ruleset is refused and the process goes on.
    match catch_unwind(AssertUnwindSafe(|| parser.parse_with_source_info(text))) {
        Ok(Ok(parsed)) => Ok(parsed),
        Ok(Err(errors)) => Err(syntax(text, &errors)),
        Err(_) => {
            let message = "the parser gave up".to_owned();
            Err(ConditionError::at(0, Problem::Expression { message }))
        }
    }
}

fn syntax(text: &str, errors: &ParseErrors) -> ConditionError {
    let Some(first) = errors.errors.first() else {
        return ConditionError::at(0, Problem::Expression { message: "it does not parse".to_owned() });
    };
    let (line, column) = first.pos;
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let before: usize = text.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    let column = usize::try_from(column).unwrap_or_default().saturating_sub(1);
    let index = (before + column).min(text.chars().count());
    if first.msg.contains("Recursion limit") {
        return ConditionError::at(
            0,
            Problem::Limit { what: "levels of nesting in a condition", limit: Limits::DEPTH },
        );
    }
    let message = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    let mut message = message.replace("<EOF>", "the end").replace('\n', " ");
    // The parser lists everything that an operand can begin with.
    if let Some((found, _)) = message.split_once(" expecting {'[', '{', '('") {
        message = format!("{found}, expected a value");
    }
    ConditionError::at(index, Problem::Expression { message })
}
