//! Bounds that are checked before a parser sees the text, so that its stack and its time are bounded too.

use super::ConditionError;
use crate::limits::Limits;
use crate::problem::Problem;

/// Refuses text that is too long, nested too deeply, or has too many operators.
pub(crate) fn check(text: &str) -> Result<(), ConditionError> {
    let limit = |index, what, limit| Err(ConditionError { index, problem: Problem::Limit { what, limit } });
    if text.len() > Limits::CONDITION {
        return limit(0, "bytes in a condition", Limits::CONDITION);
    }
    // Text in quotes counts too: a condition does not need that many brackets even there.
    let (mut depth, mut run, mut tokens, mut word) = (0usize, 0usize, 0usize, false);
    for (index, char) in text.chars().enumerate() {
        match char {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        run = if matches!(char, '!' | '-' | '?') {
            run + 1
        } else if char.is_whitespace() {
            run
        } else {
            0
        };
        let in_word = char.is_alphanumeric() || matches!(char, '_' | '"' | '\'');
        if !(char.is_whitespace() || in_word && word) {
            tokens += 1;
        }
        word = in_word;
        if depth > Limits::DEPTH || run > Limits::DEPTH {
            return limit(index, "levels of nesting in a condition", Limits::DEPTH);
        }
        if tokens > 2 * Limits::NODES {
            return limit(index, "operators and names in a condition", Limits::NODES);
        }
    }
    Ok(())
}
