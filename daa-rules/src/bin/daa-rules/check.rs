//! `daa-rules check`.

use std::path::{Path, PathBuf};

use daa_rules::{Diagnostic, Ruleset};
use serde_json::json;

use crate::output::{Done, Findings, Output, shown};

/// Checks each file, and tells all that is to be told.
pub(crate) fn check(files: &[PathBuf], out: &mut Output) -> Done {
    let mut findings = Findings::None;
    for file in files {
        let (problems, rules) = match Ruleset::from_file(file) {
            Ok(ruleset) => (ruleset.check(), Some(ruleset)),
            Err(error) if error.problems().is_empty() => return Err(error.into()),
            Err(error) => (error.problems().to_vec(), None),
        };
        if !problems.is_empty() {
            findings = Findings::Some;
        }
        let data = json!({
            "file": file.display().to_string(),
            "digest": rules.as_ref().map(Ruleset::digest),
            "rules": rules.as_ref().map(|rules| rules.rules().len()),
            "diagnostics": problems,
        });
        out.write(|| told(file, rules.as_ref(), &problems), &data)?;
    }
    Ok(findings)
}

fn told(file: &Path, rules: Option<&Ruleset>, problems: &[Diagnostic]) -> String {
    match rules {
        Some(rules) if problems.is_empty() => {
            let (count, digest) = (rules.rules().len(), rules.digest());
            format!("{}: {count} rules, {digest}\n", file.display())
        }
        _ => shown(file, problems),
    }
}
