//! How fast a ruleset decides: `cargo run --release -p daa-rules --example decide_speed`.
//!
//! A realistic mix on one core: limits on payments, trusted recipients, office hours, a deny list; one request in
//! four has no rule at all. Then the same requests beside more and more rules about other kinds of action, which
//! must not cost anything, and beside more and more rules about the same kind, which must.

use std::error::Error;
use std::time::{Duration, Instant};

use daa_core::action::{Action, Context, Decision, Policy, Request};
use daa_core::amount::Currency;
use daa_core::clock::Timestamp;
use daa_rules::{RulesEngine, Ruleset};
use serde_json::json;

const RUN: Duration = Duration::from_millis(800);

/// Ten rules about each of ten domains.
fn mix() -> String {
    let mut rules = "[context]\ntrusted = 'bool'\nhour = 'int'\nspent_today = 'int'\n".to_owned();
    for domain in 0..10 {
        let conditions = [
            ("send", "permit", "context.trusted && action.cost <= money(\"12.50 USDC\")"),
            (
                "send",
                "permit",
                "action.params.to in [\"bob\", \"carol\", \"dave\"] && context.hour >= 8 && context.hour < 18",
            ),
            ("send", "escalate", "action.cost > money(\"500 USDC\")"),
            ("send", "deny", "context.spent_today + action.params.amount > 1000"),
            ("*", "deny", "action.params.tags.exists(tag, tag == \"blocked\")"),
            ("*", "deny", "action.actor.startsWith(\"guest-\")"),
            ("refund", "permit", "action.params.amount < 100"),
            ("close", "escalate", "true"),
            ("report", "permit", "context.trusted || context.hour < 18"),
            ("report", "deny", "size(action.params.to) > 64"),
        ];
        for (kind, effect, when) in conditions {
            rules += &format!("[[rule]]\non = 'd{domain}.{kind}'\neffect = '{effect}'\nwhen = '{when}'\n");
        }
    }
    rules
}

fn requests() -> Result<Vec<(Action, Context)>, Box<dyn Error>> {
    let usdc = Currency::new("USDC", 6)?;
    let mut requests = Vec::new();
    for n in 0..64u64 {
        let verb = ["send", "report", "refund", "other"][n as usize % 4];
        let kind = if verb == "other" { format!("nobody.{n}") } else { format!("d{}.{verb}", n % 10) };
        let params =
            json!({ "to": if n % 2 == 0 { "bob" } else { "eve" }, "amount": n * 5, "tags": ["new", "eu"] });
        let action = Action::new(format!("a-{n}").try_into()?, kind.try_into()?, "alice".try_into()?)?;
        let action = action.with_params(params)?.with_max_cost(usdc.units(u128::from(n) * 1_000_000));
        let context =
            Context::new().with("trusted", n % 3 > 0).with("hour", n % 24).with("spent_today", n * 7);
        requests.push((action, context));
    }
    Ok(requests)
}

/// Decisions a second, and the slowest percent in nanoseconds.
fn measure(engine: &RulesEngine, requests: &[(Action, Context)]) -> (f64, u128, usize) {
    let (mut count, mut permits) = (0usize, 0usize);
    let start = Instant::now();
    while start.elapsed() < RUN {
        for (action, context) in requests {
            let verdict = engine.decide(&Request::new(action, context, Timestamp::EPOCH));
            permits += usize::from(verdict.decision == Decision::Permit);
            count += 1;
        }
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    let mut single: Vec<u128> = Vec::new();
    for (action, context) in requests.iter().cycle().take(20_000) {
        let start = Instant::now();
        std::hint::black_box(engine.decide(&Request::new(action, context, Timestamp::EPOCH)));
        single.push(start.elapsed().as_nanos());
    }
    single.sort_unstable();
    (rate, single[single.len() * 99 / 100], permits * 100 / count)
}

fn main() -> Result<(), Box<dyn Error>> {
    let requests = requests()?;
    let report = |name: &str, source: &str| -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let rules = Ruleset::from_toml(source)?;
        let (load, count) = (start.elapsed(), rules.rules().len());
        let (rate, p99, permits) = measure(&RulesEngine::new(rules), &requests);
        println!(
            "{name:<28} {count:>6} rules  loaded in {load:>9.1?}  {rate:>9.0} decisions/s  p99 {p99:>6} ns  {permits} % permitted"
        );
        Ok(())
    };
    let mix = mix();
    report("mix", &mix)?;
    for more in [900, 9_900] {
        let strangers: String = (0..more)
            .map(|n| format!("[[rule]]\non = 'stranger.{n}'\neffect = 'deny'\nwhen = 'context.hour < 8'\n"))
            .collect();
        report("mix and strangers", &format!("{mix}{strangers}"))?;
    }
    for more in [10, 100] {
        let same = "[[rule]]\non = '*'\neffect = 'deny'\nwhen = 'context.hour > 24'\n".repeat(more);
        report("mix and rules for all kinds", &format!("{mix}{same}"))?;
    }
    Ok(())
}
