//! What is written on a box.

use std::time::Duration;

use serde_json::Value;

use super::super::definition::{Condition, OnFailure, Step, StepKind, Template, Undo};

/// The longest text on a box, in characters.
const MAX: usize = 36;

/// Text that fits: control characters are spaces, and what is too long ends with an ellipsis.
pub(super) fn short(text: &str) -> String {
    shortened(text, MAX)
}

pub(super) fn shortened(text: &str, max: usize) -> String {
    let plain = |char: char| if char.is_control() || is_direction(char) { ' ' } else { char };
    let mut all: Vec<char> = text.chars().take(max + 1).map(plain).collect();
    if all.len() > max {
        all.truncate(max - 1);
        all.push('…');
    }
    all.into_iter().collect()
}

/// Characters that would change the direction of the text around them.
const fn is_direction(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a step does, in one line.
pub(super) fn kind(step: &Step) -> String {
    let span = |span: Duration| humantime::format_duration(span).to_string();
    short(&match &step.kind {
        StepKind::Action(action) => action.kind.to_string(),
        StepKind::Sleep(time) => format!("sleep {}", span(*time)),
        StepKind::Until(moment) => format!("until {}", template(moment)),
        StepKind::Signal(signal) => format!("signal {}", signal.name),
        StepKind::Approval(approval) => format!("approval within {}", span(approval.within)),
        StepKind::Workflow(child) => format!("workflow {}", child.name),
    })
}

/// What is special about a step: a word each, and more about it.
pub(super) fn notes(step: &Step) -> Vec<(&'static str, String)> {
    let mut notes = Vec::new();
    if let Some(when) = &step.when {
        notes.push(("when", short(&condition(when))));
    }
    if let Some(each) = &step.each {
        let at_once = each.at_once.map(|many| format!(", {many} at once")).unwrap_or_default();
        notes.push(("each", short(&format!("{}{at_once}", template(&each.of)))));
    }
    if let Some(repeat) = &step.repeat {
        notes.push(("repeat", short(&format!("until {}", condition(&repeat.until)))));
    }
    if let Undo::Action { kind, .. } = &step.undo {
        notes.push(("undo", short(kind.as_str())));
    }
    if step.on_failure == OnFailure::Continue {
        notes.push(("may fail", String::new()));
    }
    notes
}

/// A template as a reader would say it: a reference by its path, anything else as JSON.
fn template(template: &Template) -> String {
    match template.source() {
        Value::String(text) => {
            let path = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
            match path.filter(|path| !path.contains(['{', '}'])) {
                Some(path) => path.to_owned(),
                None => format!("\"{text}\""),
            }
        }
        other => other.to_string(),
    }
}

fn condition(of: &Condition) -> String {
    let pair = |left: &Template, sign: &str, right: &Template| {
        format!("{} {sign} {}", template(left), template(right))
    };
    match of {
        Condition::All(all) => joined(all, " and ", "always"),
        Condition::Any(any) => joined(any, " or ", "never"),
        Condition::Not(not) => format!("not ({})", condition(not)),
        Condition::Eq(left, right) => pair(left, "=", right),
        Condition::Ne(left, right) => pair(left, "≠", right),
        Condition::Lt(left, right) => pair(left, "<", right),
        Condition::Le(left, right) => pair(left, "≤", right),
        Condition::Gt(left, right) => pair(left, ">", right),
        Condition::Ge(left, right) => pair(left, "≥", right),
        Condition::In(left, right) => pair(left, "in", right),
        Condition::Present(of) => format!("{} is there", template(of)),
        Condition::True(of) => template(of),
    }
}

fn joined(all: &[Condition], word: &str, none: &str) -> String {
    match all {
        [] => none.to_owned(),
        [one] => condition(one),
        all => {
            let each = |of: &Condition| match of {
                Condition::All(_) | Condition::Any(_) => format!("({})", condition(of)),
                other => condition(other),
            };
            all.iter().map(each).collect::<Vec<_>>().join(word)
        }
    }
}
