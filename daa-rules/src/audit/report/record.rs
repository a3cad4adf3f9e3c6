//! The records of one stream, such as the life of an action, from top to bottom.

use daa_core::id::StreamId;
use maud::{Markup, html};
use serde_json::Value;

use super::{code, row, time};
use crate::audit::bundle::VerifiedRecord;
use crate::audit::commitment::{Disclosure, Part};
use crate::audit::record::{Content, Decided, Record};

pub(super) fn life(stream: &StreamId, records: &[&VerifiedRecord]) -> Markup {
    let action = stream.as_str().strip_prefix("action/");
    let actor = records.iter().find_map(|it| it.record.actor.as_ref());
    let end = records.last().and_then(|it| ended(&it.record));
    html! {
        section class="life" {
            h2 {
                @if let Some(action) = action { span class="what" { "Action" } (action) } @else { (stream) }
                @if let Some((tone, text)) = end { " " span class=(format!("badge {tone}")) { (text) } }
            }
            @if let Some(actor) = actor { p class="who" { "Asked for by " strong { (actor) } } }
            ol class="line" { @for it in records { (one(it)) } }
        }
    }
}

fn one(verified: &VerifiedRecord) -> Markup {
    let record = &verified.record;
    let tone = tone(record);
    html! {
        li class=(tone) {
            h3 { (says(record)) }
            p class="when" { (time(record.at.as_millis())) " · record " (verified.index) }
            @if let Some(warning) = warning(record.content) { p class="warning" { (warning) } }
            dl {
                @if let Some(rules) = record.rules.as_ref().filter(|rules| !rules.is_empty()) {
                    (row("Rules that matched", html! { @for (at, rule) in rules.iter().enumerate() { @if at > 0 { ", " } (rule) } }))
                }
                @if let Some(approval) = &record.approval {
                    (row("Approved by", html! { (approval.by) ", " (time(approval.at.as_millis())) }))
                }
                @if let Some(attempt) = record.attempt.filter(|attempt| *attempt > 1) { (row("Attempt", html! { (attempt) })) }
            }
            @for shown in &verified.disclosures { (disclosure(shown)) }
            (details(verified))
        }
    }
}

/// What only those want who look closely.
fn details(verified: &VerifiedRecord) -> Markup {
    let record = &verified.record;
    html! {
        details {
            summary { "Details" }
            dl {
                (row("Event", html! { (record.kind) ", version " (record.version) " of " (record.stream) ", position " (record.position) " of its store" }))
                @if let Some(ruleset) = &record.ruleset { (row("Ruleset", code(ruleset))) }
                @if let Some(trace) = &record.trace {
                    (row("Trace", html! { (code(trace)) @if let Some(span) = &record.span { ", span " (code(span)) } }))
                }
                (row("Leaf", code(&verified.leaf)))
                (row("Content", html! { (bound(record.content)) }))
            }
        }
    }
}

fn disclosure(shown: &Disclosure) -> Markup {
    let value = serde_json::from_str(&shown.content).unwrap_or_else(|_| Value::from(shown.content.as_str()));
    html! {
        div class="shown" {
            h4 { (title(shown.part)) }
            // An event says its salt too, which is nothing for a page.
            @if shown.part == Part::Event { p { "shown in the bundle" } } @else { (plain(&value)) }
        }
    }
}

/// A value as people read it. How deep it is, is bounded by what reads JSON.
fn plain(value: &Value) -> Markup {
    match value {
        Value::Object(map) if map.is_empty() => html! { p class="none" { "nothing" } },
        Value::Object(map) => {
            html! { dl { @for (name, value) in map { dt { (name) } dd { (plain(value)) } } } }
        }
        Value::Array(items) => html! { ul { @for item in items { li { (plain(item)) } } } },
        Value::String(text) => html! { (text) },
        Value::Null => html! { span class="none" { "nothing" } },
        other => html! { code { (other.to_string()) } },
    }
}

const fn title(part: Part) -> &'static str {
    match part {
        Part::Action => "What was asked for",
        Part::Context => "What the rules were told beside it",
        Part::Digest => "Digest of the action",
        Part::Error => "Why it failed",
        Part::Event => "The whole event",
        Part::Outcome => "What it brought about",
        Part::Reason => "Why the rules said so",
        Part::Refusal => "Why the money was not reserved",
    }
}

/// How far the life of an action is, by the last of its records that are here.
fn ended(last: &Record) -> Option<(&'static str, &'static str)> {
    let text = match last.kind.as_str() {
        "action.permitted.v1" => "permitted",
        "action.withheld.v1" if last.decision == Some(Decided::Escalate) => "escalated",
        "action.withheld.v1" => "denied",
        "action.refused.v1" => "refused",
        "action.attempted.v1" => "attempted",
        "action.succeeded.v1" => "took effect",
        "action.failed.v1" => "no effect",
        "action.uncertain.v1" => "uncertain",
        "action.expired.v1" => "expired",
        _ => return None,
    };
    Some(if warning(last.content).is_some() { ("odd", "irregular") } else { (tone(last), text) })
}

fn tone(record: &Record) -> &'static str {
    if warning(record.content).is_some() {
        return "odd";
    }
    match record.kind.as_str() {
        "action.permitted.v1" | "action.succeeded.v1" => "good",
        "action.withheld.v1" if record.decision == Some(Decided::Escalate) => "open",
        "action.withheld.v1" | "action.refused.v1" | "action.failed.v1" => "bad",
        "action.uncertain.v1" => "open",
        _ => "plain",
    }
}

fn says(record: &Record) -> &str {
    if record.content == Content::Undecoded {
        return "An event that could not be understood";
    }
    match record.kind.as_str() {
        "action.permitted.v1" if record.approval.is_some() => "Permitted, after an approval",
        "action.permitted.v1" => "Permitted",
        "action.withheld.v1" if record.decision == Some(Decided::Escalate) => {
            "Left for somebody else to decide"
        }
        "action.withheld.v1" => "Denied by the rules",
        "action.refused.v1" => "Not covered by funds or budget",
        "action.attempted.v1" => "Attempted",
        "action.succeeded.v1" => "Took effect",
        "action.failed.v1" => "Took no effect",
        "action.uncertain.v1" => "May or may not have taken effect",
        "action.expired.v1" => "Expired unused",
        "rules.source.v1" => "Rules written down",
        "rules.installed.v1" => "Rules installed",
        "audit.rotated.v1" => "The log got a new key",
        "erased.v1" => "Erased",
        other => other,
    }
}

const fn bound(content: Content) -> &'static str {
    match content {
        Content::Blinded => "bound part by part; what is shown fits",
        Content::Public | Content::Unblinded => "bound by its digest",
        Content::Undecoded => "bound by the digest of its bytes",
        Content::Unbound | Content::Erased => "not bound",
    }
}

/// What is to be said of a record that should have been otherwise.
const fn warning(content: Content) -> Option<&'static str> {
    match content {
        Content::Blinded | Content::Public => None,
        Content::Unblinded => {
            Some("Nothing blinds this event: its gate wrote no salt. Whoever guesses what it said can tell.")
        }
        Content::Undecoded => {
            Some("This event could not be understood. The log holds the digest of its bytes.")
        }
        Content::Unbound => {
            Some("The log does not bind what this event said: it had no salt, and was left alone.")
        }
        Content::Erased => Some("This event was erased before it was recorded. What it said is not known."),
    }
}
