//! What a bundle proves, for people: a page without scripts, that opens from disk and prints well.

mod record;

use std::fmt::Display;
use std::time::{Duration, UNIX_EPOCH};

use daa_core::id::StreamId;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::bundle::{Verified, VerifiedRecord};

const STYLE: &str = include_str!("report/style.css");

/// The page of a bundle that was verified.
///
/// Everything in it is text: markup in what is shown is not interpreted.
#[must_use]
pub fn report(verified: &Verified) -> String {
    let origin = &verified.checkpoint.origin;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Audit of " (origin) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p class="seal" { "Verified" }
                    h1 { (origin) }
                    p class="lead" { (summary(verified)) }
                }
                main {
                    (proof(verified))
                    @for (stream, records) in lives(&verified.records) { (record::life(stream, &records)) }
                    (meaning(verified))
                }
                footer { "Made by daa-audit when it verified the bundle. The page itself proves nothing: verify the bundle again." }
            }
        }
    };
    page.into_string()
}

fn summary(verified: &Verified) -> String {
    let (shown, size) = (verified.records.len() as u64, verified.checkpoint.size);
    let witnesses = match verified.witnesses.len() as u64 {
        0 => String::new(),
        number => format!(", and {} signed too", count(number, "witness", "witnesses")),
    };
    let are = if shown == 1 { "is" } else { "are" };
    format!(
        "{} {are} in this log of {}. The log’s key signed that{witnesses}.",
        count(shown, "record", "records"),
        count(size, "record", "records")
    )
}

/// The records of each stream, in the order in which the streams begin.
fn lives(records: &[VerifiedRecord]) -> Vec<(&StreamId, Vec<&VerifiedRecord>)> {
    let mut found: Vec<(&StreamId, Vec<&VerifiedRecord>)> = Vec::new();
    for it in records {
        let stream = &it.record.stream;
        match found.iter_mut().find(|(known, _)| *known == stream) {
            Some((_, life)) => life.push(it),
            None => found.push((stream, vec![it])),
        }
    }
    found
}

fn proof(verified: &Verified) -> Markup {
    let checkpoint = &verified.checkpoint;
    html! {
        section class="proof" {
            h2 { "The proof" }
            dl {
                (row("Records in the log", html! { (checkpoint.size) }))
                (row("Root of the log", code(&checkpoint.root)))
                (row("Signed by", code(&verified.key)))
                @if verified.rotations > 0 {
                    (row("Keys", html! { "The log got " (count(verified.rotations as u64, "new key", "new keys")) "; each was handed over by the one before." }))
                }
                @for cosigned in &verified.witnesses {
                    (row("Witness", html! { (cosigned.witness) ", " (time(cosigned.seconds.saturating_mul(1000))) }))
                }
                @if let Some(earlier) = &verified.earlier {
                    (row("Goes on from", html! { (count(earlier.size, "record", "records")) " with root " (code(&earlier.root)) }))
                }
            }
        }
    }
}

/// What follows from the proof, and what does not.
fn meaning(verified: &Verified) -> Markup {
    html! {
        section class="meaning" {
            h2 { "What this means" }
            ul {
                li { "These records stand in the log at the places named here, word for word, and what is shown of them is what was recorded." }
                @if verified.witnesses.is_empty() {
                    li { "No witness was asked for. That nobody was shown another log is the word of whoever holds the log’s key." }
                } @else {
                    li { "The witnesses sign no two logs of one name that contradict each other." }
                }
                @if verified.earlier.is_none() {
                    li { "That the log goes on from what it was earlier is not shown here: compare it with an earlier checkpoint." }
                }
                li { "What the log does not show here may be in it nevertheless: other records, and parts of these that are not disclosed." }
            }
        }
    }
}

fn row(name: &str, value: Markup) -> Markup {
    html! { dt { (name) } dd { (value) } }
}

fn code(value: &impl Display) -> Markup {
    html! { code { (value.to_string()) } }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A time in UTC.
fn time(millis: u64) -> Markup {
    // What lies behind the year 9999 has no such form.
    const LAST: u64 = 253_402_300_799_999;
    let at = UNIX_EPOCH + Duration::from_millis(millis.min(LAST));
    let exact = humantime::format_rfc3339_millis(at).to_string();
    let text = exact.replacen('T', " ", 1).replacen('Z', " UTC", 1);
    html! { time datetime=(exact) { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_has_a_date() {
        let text = |millis| time(millis).into_string();
        assert_eq!(
            text(1_700_000_000_123),
            "<time datetime=\"2023-11-14T22:13:20.123Z\">2023-11-14 22:13:20.123 UTC</time>"
        );
        assert!(text(u64::MAX).contains("9999-12-31 23:59:59.999"));
    }
}
