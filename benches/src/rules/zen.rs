//! Decision tables beside zen-engine, on the decisions of its own benchmark: the input `{"input": 15}` to a table of two rows,
//! and to one of 8,000 identical rows that do not match, and a last one that does.
//!
//! Both sides are compiled once and hold their input in memory. zen-engine runs the graph that its benchmark has: input, table,
//! output. Ours makes the whole decision of a gate's policy: of an action with its parameters, to a verdict that names the rows
//! that matched. There the first row that matches wins; here all that match count, so the rows escalate and the last one
//! permits, which comes to the same.

use std::time::Instant;

use daa_core::action::{Action, Context, Decision, Policy as _, Request};
use daa_core::clock::Timestamp;
use daa_rules::{RulesEngine, Ruleset};
use serde_json::json;

use crate::line::{Better, Line};
use crate::peer::Peer;

const TURNS: usize = 9;
/// Seconds of a turn, more or less.
const TURN: f64 = 0.1;
/// What the peer says of its tables: 10 for more than 10; and from the last row, 10 dollars, compiled or not.
const DECIDED: &str =
    r#"{"output":10} {"shipping":{"currency":"USD","price":10}} {"shipping":{"currency":"USD","price":10}}"#;

pub(super) fn lines() -> Vec<Line> {
    let mut zen = Peer::start("zen", &[]).map(|(peer, says)| {
        assert!(says.starts_with("zen-engine 2.1.") && says.ends_with(DECIDED), "{says}");
        peer
    });
    let cases = [
        ("table", two_rows(), "first", "table of 2 rows"),
        ("8k", many_rows(), "last", "table of 8,001 rows"),
        ("8k-uncompiled", many_rows(), "last", "table of 8,001 rows, zen's not compiled"),
    ];
    cases
        .into_iter()
        .map(|(order, source, row, told)| side_by_side(&mut zen, order, &source, row, told))
        .collect()
}

fn side_by_side(zen: &mut Option<Peer>, order: &str, source: &str, row: &str, told: &str) -> Line {
    let engine = RulesEngine::new(Ruleset::from_toml(source).expect("a ruleset"));
    let id = "a".parse().expect("an id");
    let action = Action::new(id, "ask".parse().expect("a kind"), "alice".parse().expect("a name"));
    let action = action.and_then(|action| action.with_params(json!({ "input": 15 }))).expect("an action");
    let context = Context::new();
    let decide = || engine.decide(&Request::new(&action, &context, Timestamp::EPOCH));
    let verdict = decide();
    assert!(verdict.rules.iter().any(|rule| rule.as_str() == format!("t/{row}")), "{verdict:?}");
    assert_eq!(verdict.decision == Decision::Permit, row == "last", "{verdict:?}");
    let mut ours = |count: usize| {
        let began = Instant::now();
        (0..count).for_each(|_| _ = std::hint::black_box(decide()));
        began.elapsed().as_secs_f64()
    };
    let mut theirs = |count: usize| zen.as_mut().map(|zen| zen.ask(&format!("{order} {count}")));
    let our_count = enough(&mut ours);
    let their_count = theirs(1).map_or(0, |_| enough(&mut |count| theirs(count).unwrap_or(f64::MAX)));
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        us.push(our_count as f64 / ours(our_count));
        them.extend(theirs(their_count).map(|seconds| their_count as f64 / seconds));
    }
    let line = Line::alone("rules", format!("{told}: decisions, beside zen"), "1/s", median(us));
    if them.is_empty() { line } else { line.beside("zen-engine", median(them), Better::Higher) }
}

/// How many decisions take a turn.
fn enough(run: &mut dyn FnMut(usize) -> f64) -> usize {
    let mut count = 1;
    loop {
        let seconds = run(count);
        if seconds > TURN / 8.0 {
            return ((count as f64 * TURN / seconds) as usize).max(1);
        }
        count *= 4;
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn two_rows() -> String {
    "[[table]]\nid = 't'\non = 'ask'\neffect = 'permit'\ninputs = ['action.params.input']\n\
     [[table.row]]\nid = 'first'\neffect = 'escalate'\nwhen = ['> 10']\n\
     [[table.row]]\nid = 'second'\nwhen = ['-']\n"
        .to_owned()
}

/// A row that asks for what the action does not have is passed over, as there.
fn many_rows() -> String {
    let inputs =
        ["country", "total_spend", "email.endsWith(\"@gmail.com\")", "category", "currency", "price"];
    let inputs = inputs.map(|input| format!("'action.params.{input}'")).join(", ");
    let row = "[[table.row]]\neffect = 'escalate'\non_indeterminate = 'skip'\n\
               when = ['\"GB\"', '< 100', true, '-', '\"GBP\"', '< 100']\n";
    let last = "[[table.row]]\nid = 'last'\nwhen = ['-', '-', '-', '-', '-', '-']\n";
    format!(
        "[[table]]\nid = 't'\non = 'ask'\neffect = 'permit'\ninputs = [{inputs}]\n{}{last}",
        row.repeat(8_000)
    )
}
