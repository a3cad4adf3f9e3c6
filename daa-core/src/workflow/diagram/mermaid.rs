//! Mermaid flowcharts.

use std::fmt::Write as _;

use super::super::definition::{Graph, Step, StepKind};
use super::{Diagram, StepMark, words};

pub(super) fn render(diagram: &Diagram<'_>) -> String {
    let steps = diagram.steps();
    let mut text = String::from("flowchart TD\n");
    for (at, step) in steps.iter().enumerate() {
        let (open, close) = shape(step);
        line(&mut text, format_args!("s{at}{open}\"{}\"{close}", label(step)));
    }
    for (at, needs) in Graph::new(steps).essential().into_iter().enumerate() {
        for needed in needs {
            line(&mut text, format_args!("s{needed} --> s{at}"));
        }
    }
    let marks: Vec<_> = steps.iter().map(|step| diagram.mark(step)).collect();
    for mark in StepMark::ALL.into_iter().filter(|mark| marks.contains(&Some(*mark))) {
        let (fill, stroke) = mark.colours();
        let dashes = if mark == StepMark::Skipped { ",stroke-dasharray:4 3" } else { "" };
        let word = mark.word();
        line(&mut text, format_args!("classDef {word} fill:{fill},stroke:{stroke},color:#0f172a{dashes}"));
        let marked = marks.iter().enumerate().filter(|(_, found)| **found == Some(mark));
        let ids: Vec<String> = marked.map(|(at, _)| format!("s{at}")).collect();
        line(&mut text, format_args!("class {} {word}", ids.join(",")));
    }
    let left_out = diagram.workflow.steps.len() - steps.len();
    if left_out > 0 {
        line(&mut text, format_args!("more[\"and {left_out} more steps\"]"));
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "    {arguments}");
}

const fn shape(step: &Step) -> (&'static str, &'static str) {
    match step.kind {
        StepKind::Action(_) => ("[", "]"),
        StepKind::Sleep(_) | StepKind::Until(_) => ("([", "])"),
        StepKind::Signal(_) => (">", "]"),
        StepKind::Approval(_) => ("{{", "}}"),
        StepKind::Workflow(_) => ("[[", "]]"),
    }
}

fn label(step: &Step) -> String {
    let mut label =
        format!("<b>{}</b><br/>{}", escaped(&words::short(step.name.as_str())), escaped(&words::kind(step)));
    for (word, more) in words::notes(step) {
        let colon = if more.is_empty() { "" } else { ": " };
        label.push_str(&format!("<br/><i>{word}{colon}{}</i>", escaped(&more)));
    }
    label
}

/// Everything but letters, digits and what means nothing to Mermaid, as an entity in Mermaid's own form.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_alphanumeric() || matches!(char, ' ' | '.' | ',' | '-' | '_') {
            escaped.push(char);
        } else {
            escaped.push_str(&format!("#{};", u32::from(char)));
        }
    }
    escaped
}
