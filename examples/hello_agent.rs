//! An agent of one's own: it watches a temperature, and pays for cooling while rules and budget allow it.

use std::sync::Arc;

use daa::prelude::*;

const RULES: &str = r#"
[[rule]]
on = "fan.start"
effect = "permit""#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Arc::new(MemoryEventStore::new());
    let clock = Arc::new(SystemClock::new());
    let (usd, me): (_, AgentId) = (Currency::new("USD", 2)?, "thermostat".try_into()?);

    // Money: an account with 10.00, of which 0.25 may be spent in an hour.
    let ledger = Ledger::open(store.clone(), clock.clone()).await?;
    ledger.open_account(Account::new("bank".try_into()?, usd, AccountKind::Issuance)).await?;
    ledger.open_account(Account::of_agent(&me, usd)?).await?;
    let (from, to) = ("bank".try_into()?, "agent/thermostat".try_into()?);
    ledger.transfer(Transfer::new("fund".try_into()?, from, to, usd.parse("10")?)).await?;
    let (name, hourly) = ("hourly".try_into()?, Period::Fixed(Window::HOUR));
    ledger.set_budget(Budget::new(name, me.clone(), usd.parse("0.25")?, hourly)).await?;

    // The gate: nothing happens that the rules do not permit and the budget does not cover.
    let rules = RulesEngine::new(Ruleset::from_toml(RULES)?);
    let gate = Gate::builder(store.clone(), clock.clone())
        .with_policy(Arc::new(rules))
        .with_treasury(Arc::new(AgentTreasury::new(ledger.clone(), "power".try_into()?)))
        .build();

    // The agent: what it watches, what it would do, and how that is done.
    let fan: ActionKind = "fan.start".try_into()?;
    let (kind, cost) = (fan.clone(), usd.parse("0.10")?);
    let cool = executor_fn(move |_| Box::pin(async move { Ok(Outcome::new("spinning").with_cost(cost)) }));
    let mut agent = Agent::builder(me, gate, store, clock)
        .with_collector(collector_fn("temperature", || async { 31.5 })?)
        .with_strategy(strategy_fn("cool", move |now| match now.metric("temperature") {
            Some(degrees) if degrees > 25.0 => vec![PlannedAction::new(kind.clone()).with_max_cost(cost)],
            _ => vec![],
        })?)
        .with_executor(fan, cool)
        .build()
        .await?;

    for _ in 0..3 {
        println!("{:?}", agent.cycle().await?.steps[0].result);
    }
    let balance = ledger.balance(&"agent/thermostat".try_into()?, usd).await?;
    println!("left: {}", usd.units(balance.map_or(0, |balance| balance.available().units())));
    Ok(())
}
