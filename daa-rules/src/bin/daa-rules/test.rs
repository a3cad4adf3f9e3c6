//! `daa-rules test`.

use std::path::Path;

use daa_rules::{RuleCoverage, TestReport};

use crate::output::{Done, Findings, Output, ruleset};

/// Runs the tests of a ruleset.
pub(crate) fn test(file: &Path, out: &mut Output) -> Done {
    let Some(ruleset) = ruleset(file, out)? else { return Ok(Findings::Some) };
    let report = ruleset.test();
    out.write(|| told(file, &report), &report)?;
    Ok((!report.passed()).into())
}

fn told(file: &Path, report: &TestReport) -> String {
    let mut text = String::new();
    for outcome in &report.outcomes {
        if outcome.passed {
            text += &format!("ok     {}\n", outcome.name);
            continue;
        }
        let rules = |rules: &[_]| rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        text += &format!("FAILED {} ({}, line {})\n", outcome.name, file.display(), outcome.at.line);
        text += &format!("         expected {}", outcome.expected);
        text +=
            &outcome.expected_rules.as_ref().map_or_else(String::new, |all| format!(" by [{}]", rules(all)));
        let decision = serde_json::to_value(&outcome.verdict).unwrap_or_default();
        let decided = decision.get("decision").and_then(|decision| decision.as_str()).unwrap_or_default();
        text += &format!(", found {decided} by [{}]\n", rules(&outcome.verdict.rules));
        let reason = decision.get("reason").and_then(|reason| reason.as_str());
        text += &reason.map_or_else(String::new, |reason| format!("         {reason}\n"));
    }
    for outcome in &report.triggered {
        if outcome.passed {
            text += &format!("ok     {}\n", outcome.name);
            continue;
        }
        text += &format!("FAILED {} ({}, line {})\n", outcome.name, file.display(), outcome.at.line);
        let fires = outcome.expected.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        text += &format!("         expected firing of [{fires}]\n");
        text += &outcome.missed.iter().map(|missed| format!("         {missed}\n")).collect::<String>();
    }
    let failed = report.outcomes.iter().filter(|outcome| !outcome.passed).count()
        + report.triggered.iter().filter(|outcome| !outcome.passed).count();
    text += &format!("{} tests, {failed} failed\n", report.outcomes.len() + report.triggered.len());
    let listed = |what: &str, rules: Vec<&RuleCoverage>| {
        let rules = rules.iter().map(|rule| format!("  {} (line {})\n", rule.id, rule.at.line));
        let rules: String = rules.collect();
        if rules.is_empty() { rules } else { format!("{what}:\n{rules}") }
    };
    text += &listed("never matched", report.coverage.never_matched().collect());
    text += &listed("matched, and never decisive", report.coverage.never_decisive().collect());
    text
}
