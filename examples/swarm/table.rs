//! The table at the end.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

use crate::outcome::{Outcome, bytes};

/// Everything that the run came to, as text for a terminal.
pub(crate) fn render(outcome: &Outcome) -> String {
    let mut text = String::new();
    let mut section = |title: &str, table: Table| {
        text.push_str(&format!("\n{title}\n{table}\n"));
    };
    section("Result", figures(outcome));
    section("Agents", agents(outcome));
    section("Proof", proof(outcome));
    if let Some(sample) = &outcome.story.sample {
        text.push_str(&format!("\nThe model writes\n{}\n{sample}\n", "─".repeat(78)));
    }
    text
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table
}

fn figures(outcome: &Outcome) -> Table {
    let mut table = table();
    let what = if outcome.accuracy.is_some() { "held-out accuracy" } else { "held-out loss" };
    table.add_row([what.to_owned(), outcome.show(outcome.measure())]);
    table.add_row(["  one model, all data in one place".to_owned(), outcome.show(outcome.baseline)]);
    if let Some(undefended) = outcome.undefended {
        table.add_row(["  same attack, plain average".to_owned(), outcome.show(undefended)]);
    }
    table.add_row(["bytes sent".to_owned(), bytes(outcome.bytes_sent)]);
    let saving = format!("{}  ({:.0}× more)", bytes(outcome.bytes_ddp_fp32), outcome.saving());
    table.add_row(["  plain fp32 data-parallel".to_owned(), saving]);
    let mut time = format!("{:.1} s for {} rounds", outcome.wall_seconds, outcome.rounds);
    if let Some(round) = outcome.resumed_from_round {
        time.push_str(&format!(", resumed after round {round}"));
    }
    table.add_row(["time".to_owned(), time]);
    table
}

fn agents(outcome: &Outcome) -> Table {
    let mut table = table();
    table.set_header(["agent", "status", "rounds", "paid", "spent", "slashed", ""]);
    for agent in &outcome.agents {
        let slashed = if agent.slashed.is_zero() { "–".to_owned() } else { outcome.money(agent.slashed) };
        let paid = outcome.money(agent.reward);
        let (rounds, spent) = (agent.rounds.to_string(), outcome.money(agent.spent));
        table.add_row([&agent.id, &agent.status, &rounds, &paid, &spent, &slashed, &agent.note]);
    }
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn proof(outcome: &Outcome) -> Table {
    let mut table = table();
    let ledger = &outcome.ledger;
    let sound = if ledger.sum == 0 { "sum zero at every position" } else { "DOES NOT ADD UP" };
    let many = if ledger.books > 1 { format!("{} ledgers, ", ledger.books) } else { String::new() };
    let books = format!("{many}{} accounts, {} transfers, {sound}", ledger.accounts, ledger.transfers);
    table.add_row(["ledger".to_owned(), books]);
    let audit = &outcome.audit;
    let verified = if audit.verified { "no effect without a permit" } else { "NOT VERIFIED" };
    table.add_row(["audit log".to_owned(), format!("{} entries, {verified}", audit.entries)]);
    if !outcome.processes.is_empty() {
        table.add_row(["agents".to_owned(), outcome.apart()]);
    }
    for (text, file) in &outcome.story.evidence {
        table.add_row(["evidence".to_owned(), format!("{text} {file}")]);
    }
    for finding in &outcome.story.findings {
        table.add_row(["".to_owned(), finding.clone()]);
    }
    table.add_row(["model".to_owned(), format!("blake3 {}", outcome.model_blake3)]);
    table
}
