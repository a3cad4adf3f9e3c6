//! How fast a ruleset decides, on one core.
//!
//! A realistic mix: limits on payments, trusted recipients, office hours, a deny list; one request in four has no
//! rule at all. Then the same requests beside more and more rules: about other kinds of action, and about the same kinds
//! for another recipient, which must not cost anything; about the same kind and without an equality test, which must.
//! Then side by side with bare `cel`, and tables side by side with zen-engine.

mod bare_cel;
mod zen;

use std::time::{Duration, Instant};

use daa_core::action::{Action, Context, Policy, Request};
use daa_core::amount::Currency;
use daa_core::clock::Timestamp;
use daa_rules::{RulesEngine, Ruleset};
use serde_json::json;

use crate::line::Line;

const RUN: Duration = Duration::from_millis(800);

pub(crate) fn run() -> Vec<Line> {
    let mix = mix();
    let mut lines = measure("mix", &mix);
    for more in [900, 9_900] {
        let strangers: String = (0..more)
            .map(|n| format!("[[rule]]\non = 'stranger.{n}'\neffect = 'deny'\nwhen = 'context.hour < 8'\n"))
            .collect();
        lines.extend(measure(&format!("mix and {more} on other kinds"), &format!("{mix}{strangers}")));
    }
    for more in [10, 100, 1_000, 9_900] {
        let other: String = (0..more)
            .map(|n| {
                let when = format!("action.params.to == \"other-{n}\" && context.hour > 6");
                format!("[[rule]]\non = '*'\neffect = 'deny'\nwhen = '{when}'\n")
            })
            .collect();
        lines.extend(measure(&format!("mix and {more} on all kinds, of others"), &format!("{mix}{other}")));
    }
    for more in [10, 100] {
        let same = "[[rule]]\non = '*'\neffect = 'deny'\nwhen = 'context.hour > 24'\n".repeat(more);
        lines.extend(measure(&format!("mix and {more} on all kinds"), &format!("{mix}{same}")));
    }
    lines.extend(bare_cel::lines());
    lines.extend(zen::lines());
    lines
}

/// How often a second something runs over all requests, in turns with a peer so that both have the same machine.
fn in_turns<const N: usize>(count: usize, mut runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    const TURNS: u32 = 8;
    let mut rates = [(0usize, Duration::ZERO); N];
    for _ in 0..TURNS {
        for (run, (done, spent)) in runs.iter_mut().zip(&mut rates) {
            let began = Instant::now();
            while began.elapsed() < RUN / TURNS {
                run();
                *done += count;
            }
            *spent += began.elapsed();
        }
    }
    rates.map(|(done, spent)| done as f64 / spent.as_secs_f64())
}

fn measure(name: &str, source: &str) -> Vec<Line> {
    let requests = requests();
    let began = Instant::now();
    let rules = Ruleset::from_toml(source).expect("a ruleset");
    let load = began.elapsed();
    let engine = RulesEngine::new(rules);
    let decide = |(action, context): &(Action, Context)| {
        std::hint::black_box(engine.decide(&Request::new(action, context, Timestamp::EPOCH)));
    };
    let mut count = 0usize;
    let began = Instant::now();
    while began.elapsed() < RUN {
        requests.iter().for_each(decide);
        count += requests.len();
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let mut micros: Vec<f64> = Vec::new();
    for request in requests.iter().cycle().take(20_000) {
        let began = Instant::now();
        decide(request);
        micros.push(began.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    let line = |what: &str, unit, figure| Line::alone("rules", format!("{name}: {what}"), unit, figure);
    vec![
        line("decisions", "1/s", rate),
        line("decision, p99", "us", micros[micros.len() * 99 / 100]),
        line("load", "ms", load.as_secs_f64() * 1e3),
    ]
}

/// Ten rules about each of ten domains.
fn mix() -> String {
    let hours =
        "action.params.to in [\"bob\", \"carol\", \"dave\"] && context.hour >= 8 && context.hour < 18";
    let rules = [
        ("send", "permit", "context.trusted && action.cost <= money(\"12.50 USDC\")"),
        ("send", "permit", hours),
        ("send", "escalate", "action.cost > money(\"500 USDC\")"),
        ("send", "deny", "context.spent_today + action.params.amount > 1000"),
        ("*", "deny", "action.params.tags.exists(tag, tag == \"blocked\")"),
        ("*", "deny", "action.actor.startsWith(\"guest-\")"),
        ("refund", "permit", "action.params.amount < 100"),
        ("close", "escalate", "true"),
        ("report", "permit", "context.trusted || context.hour < 18"),
        ("report", "deny", "size(action.params.to) > 64"),
    ];
    let mut source = "[context]\ntrusted = 'bool'\nhour = 'int'\nspent_today = 'int'\n".to_owned();
    for domain in 0..10 {
        for (kind, effect, when) in rules {
            source += &format!("[[rule]]\non = 'd{domain}.{kind}'\neffect = '{effect}'\nwhen = '{when}'\n");
        }
    }
    source
}

fn requests() -> Vec<(Action, Context)> {
    let usdc = Currency::new("USDC", 6).expect("a currency");
    let request = |n: u64| {
        let verb = ["send", "report", "refund", "other"][n as usize % 4];
        let kind = if verb == "other" { format!("nobody.{n}") } else { format!("d{}.{verb}", n % 10) };
        let params = json!({ "to": if n.is_multiple_of(2) { "bob" } else { "eve" }, "amount": n * 5, "tags": ["new", "eu"] });
        let id = format!("a-{n}").try_into().expect("an id");
        let actor = "alice".try_into().expect("a name");
        let action = Action::new(id, kind.try_into().expect("a kind"), actor)
            .and_then(|action| action.with_params(params))
            .expect("an action")
            .with_max_cost(usdc.units(u128::from(n) * 1_000_000));
        let context = Context::new()
            .with("trusted", !n.is_multiple_of(3))
            .with("hour", n % 24)
            .with("spent_today", n * 7);
        (action, context)
    };
    (0..64).map(request).collect()
}
