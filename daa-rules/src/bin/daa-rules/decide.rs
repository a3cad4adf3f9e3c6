//! `daa-rules simulate`.

use std::io::Read as _;
use std::path::Path;

use daa_rules::{Case, TriggerCase};

use crate::output::{Done, Findings, Output, reader, ruleset};

/// Bytes of a request; action and context together have less.
const REQUEST: u64 = 1 << 20;

/// Decides one request, or looks what something that happened triggers, and tells why.
pub(crate) fn simulate(file: &Path, request: &Path, out: &mut Output) -> Done {
    let Some(ruleset) = ruleset(file, out)? else { return Ok(Findings::Some) };
    let mut text = String::new();
    reader(request)?.take(REQUEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > REQUEST {
        return Err(format!("the request has more than {REQUEST} bytes").into());
    }
    // What has no action is something else that happened.
    let written: serde_json::Value = serde_json::from_str(&text)?;
    if written.get("action").is_none() && written.is_object() {
        let explanation = ruleset.explain_trigger(&TriggerCase::from_json(&text)?);
        out.write(|| explanation.to_string(), &explanation)?;
        return Ok(Findings::None);
    }
    let case = Case::from_json(&text)?.under(&ruleset);
    let explanation = ruleset.explain(&case.request());
    out.write(|| explanation.to_string(), &explanation)?;
    Ok(Findings::None)
}
