//! The page that `--report` writes: curves, who was paid, who was slashed, and what was verified.

use std::fs;
use std::io;
use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::args::Args;
use crate::chart::{Chart, Line};
use crate::outcome::{AgentRow, Outcome, bytes};

const STYLE: &str = r"
:root { --ink:#1b2430; --soft:#5b6878; --line:#e3e8ee; --paper:#ffffff; --ground:#f5f7fa;
  --blue:#2563eb; --red:#dc2626; --green:#15803d; --amber:#b45309; }
* { box-sizing:border-box }
body { margin:0; background:var(--ground); color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif }
main { max-width:1040px; margin:0 auto; padding:40px 24px 64px }
h1 { font-size:30px; line-height:1.2; margin:0 0 6px; letter-spacing:-.02em }
h2 { font-size:19px; margin:40px 0 12px; letter-spacing:-.01em }
p { margin:0 0 12px } .lead { color:var(--soft); font-size:17px; max-width:70ch }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(210px,1fr)); gap:14px; margin:28px 0 8px }
.card { background:var(--paper); border:1px solid var(--line); border-radius:12px; padding:16px 18px }
.card b { display:block; font-size:26px; letter-spacing:-.02em; font-variant-numeric:tabular-nums }
.card span { color:var(--soft); font-size:14px } .card small { display:block; color:var(--soft); margin-top:4px }
.good b { color:var(--green) } .bad b { color:var(--red) }
figure { margin:0; background:var(--paper); border:1px solid var(--line); border-radius:12px; padding:18px }
figcaption { color:var(--soft); font-size:14px; margin-top:8px }
figure svg { width:100%; height:auto; display:block }
.key { display:flex; flex-wrap:wrap; gap:18px; font-size:14px; margin-bottom:8px }
.key i { display:inline-block; width:22px; height:0; border-top:3px solid; vertical-align:middle; margin-right:7px }
table { width:100%; border-collapse:collapse; background:var(--paper); border:1px solid var(--line);
  border-radius:12px; overflow:hidden; font-size:15px }
th { text-align:left; color:var(--soft); font-weight:600; font-size:13px; background:#fafbfc }
th,td { padding:10px 14px; border-bottom:1px solid var(--line); vertical-align:top }
tr:last-child td { border-bottom:0 } td.n,th.n { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap }
.tag { display:inline-block; padding:1px 9px; border-radius:99px; font-size:13px; font-weight:600 }
.tag.active { background:#e7f6ec; color:var(--green) } .tag.slashed { background:#fdeaea; color:var(--red) }
.tag.lost { background:#fdf3e3; color:var(--amber) }
code,pre { font-family:ui-monospace,'SF Mono',Menlo,'DejaVu Sans Mono',monospace; font-size:13px; word-break:break-all }
pre { background:var(--paper); border:1px solid var(--line); border-radius:12px; padding:16px; white-space:pre-wrap }
ul { margin:0; padding-left:20px } li { margin:4px 0 }
footer { color:var(--soft); font-size:13px; margin-top:40px }
";

/// Writes `DIR/index.html`, and the evidence beside it. Every file is complete or absent.
pub(crate) fn write(dir: &Path, outcome: &Outcome, evidence: &[(String, Vec<u8>)]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for (name, content) in evidence {
        replace(&dir.join(name), content)?;
    }
    replace(&dir.join("index.html"), page(outcome).into_string().as_bytes())
}

/// Checks before the work that its result can be written down.
pub(crate) fn writable(args: &Args) -> Result<(), String> {
    if let Some(dir) = &args.report {
        fs::create_dir_all(dir).map_err(|error| format!("--report {}: {error}", dir.display()))?;
        probe(&dir.join("index.html")).map_err(|error| format!("--report {}: {error}", dir.display()))?;
    }
    if let Some(file) = &args.json {
        probe(file).map_err(|error| format!("--json {}: {error}", file.display()))?;
    }
    Ok(())
}

fn probe(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let beside = partial(path);
    fs::write(&beside, [])?;
    fs::remove_file(&beside)
}

fn partial(path: &Path) -> std::path::PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    beside.into()
}

/// Writes a file beside its place and moves it there, so that a reader never sees half of it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = partial(path);
    fs::write(&beside, content)?;
    fs::rename(&beside, path)
}

fn page(outcome: &Outcome) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "DAA swarm: " (outcome.task) ", seed " (outcome.seed) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { (headline(outcome)) }
                p.lead { (lead(outcome)) }
                (cards(outcome))
                h2 { "What the model learned" }
                (curves(outcome))
                @if !outcome.story.moments.is_empty() {
                    h2 { "What happened" }
                    table {
                        tr { th.n { "round" } th { "event" } }
                        @for (round, text) in &outcome.story.moments { tr { td.n { (round) } td { (text) } } }
                    }
                }
                h2 { "Who was paid, and who was not" }
                (agents(outcome))
                h2 { "What can be checked" }
                (checks(outcome))
                @if let Some(sample) = &outcome.story.sample {
                    h2 { "What the model writes" }
                    pre { (sample) }
                }
                footer { "Made by " code { "cargo run --release --example swarm -- --report DIR" }
                    ". Everything on this page comes from the event stores of the run." }
            } }
        }
    }
}

fn headline(outcome: &Outcome) -> String {
    let shown = outcome.show(outcome.measure());
    if outcome.accuracy.is_some() {
        format!("{shown} of unseen digits read correctly")
    } else {
        format!("{shown} on unseen text")
    }
}

fn lead(outcome: &Outcome) -> String {
    let count = outcome.agents.len();
    let hostile = outcome.agents.iter().filter(|agent| agent.status == "slashed").count();
    let lost = outcome.agents.iter().filter(|agent| agent.status == "lost").count();
    format!(
        "{count} agents that do not trust each other trained one model in {} rounds. {hostile} sent poisoned updates \
         and lost its stake, {lost} died on the way; every action passed the rules and a budget.",
        outcome.rounds
    )
}

fn card(kind: &str, value: &str, label: &str, note: &str) -> Markup {
    html! { div class=(format!("card {kind}")) { b { (value) } span { (label) } small { (note) } } }
}

fn cards(outcome: &Outcome) -> Markup {
    let measure = if outcome.accuracy.is_some() { "held-out accuracy" } else { "held-out loss" };
    let baseline = format!("{} trained in one place", outcome.show(outcome.baseline));
    let sent = format!("{} instead of {}", bytes(outcome.bytes_sent), bytes(outcome.bytes_ddp_fp32));
    let sound = outcome.ledger.sum == 0 && outcome.audit.verified;
    let audit = format!("{} audit entries, {} transfers", outcome.audit.entries, outcome.ledger.transfers);
    html! {
        div.cards {
            (card("good", &outcome.show(outcome.measure()), measure, &baseline))
            @if let Some(undefended) = outcome.undefended {
                (card("bad", &outcome.show(undefended), "the same attack, plain average", "no robust aggregation"))
            }
            (card("", &format!("{:.0}×", outcome.saving()), "fewer bytes than fp32 data-parallel", &sent))
            (card(if sound { "good" } else { "bad" }, if sound { "verified" } else { "NOT SOUND" },
                "ledger and audit log", &audit))
        }
    }
}

fn curves(outcome: &Outcome) -> Markup {
    let percent = outcome.accuracy.is_some();
    let story = &outcome.story;
    let scale = if percent { 100.0 } else { 1.0 };
    let scaled =
        |points: &[(u64, f64)]| points.iter().map(|&(x, y)| (x as f64, y * scale)).collect::<Vec<_>>();
    let mut lines = vec![Line::new("the swarm", "#2563eb", scaled(&story.measure))];
    if !story.undefended.is_empty() {
        lines.push(Line::new("same attack, plain average", "#dc2626", scaled(&story.undefended)));
    }
    let ends = [(0.0, outcome.baseline * scale), (outcome.rounds as f64, outcome.baseline * scale)];
    lines.push(Line::new("all data in one place", "#94a3b8", ends.to_vec()));
    let axis = if percent { "held-out accuracy, %" } else { "bits per byte" };
    let chart = Chart { lines, x: "round", y: axis, from_zero: percent };
    let loss = Chart {
        lines: story
            .losses
            .iter()
            .zip(PALETTE.iter().cycle())
            .map(|((id, points), color)| {
                Line::new(id, color, points.iter().map(|&(x, y)| (x as f64, y)).collect())
            })
            .collect(),
        x: "round",
        y: "mean local loss",
        from_zero: true,
    };
    html! {
        figure { (chart.figure()) figcaption { "After each round, on data that no agent has seen." } }
        @if !loss.lines.is_empty() {
            h2 { "What each agent saw" }
            figure { (loss.figure()) figcaption { "Mean loss of an agent's local steps in each round." } }
        }
    }
}

const PALETTE: [&str; 8] =
    ["#2563eb", "#15803d", "#b45309", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f"];

fn agents(outcome: &Outcome) -> Markup {
    html! {
        table {
            tr { th { "agent" } th { "status" } th.n { "rounds" } th.n { "paid" } th.n { "spent" } th.n { "slashed" }
                th { "" } }
            @for agent in &outcome.agents { (row(outcome, agent)) }
        }
    }
}

fn row(outcome: &Outcome, agent: &AgentRow) -> Markup {
    html! {
        tr {
            td { (agent.id) }
            td { span class=(format!("tag {}", agent.status)) { (agent.status) } }
            td.n { (agent.rounds) }
            td.n { (outcome.money(agent.reward)) }
            td.n { (outcome.money(agent.spent)) }
            td.n { @if agent.slashed.is_zero() { "–" } @else { (outcome.money(agent.slashed)) } }
            td { (agent.note) }
        }
    }
}

fn checks(outcome: &Outcome) -> Markup {
    html! {
        ul {
            @if !outcome.processes.is_empty() { li { "Agents: " (outcome.apart()) "." } }
            li { @if outcome.ledger.books > 1 { (outcome.ledger.books) " ledgers: " } @else { "Ledger: " } (outcome.ledger.accounts) " accounts, " (outcome.ledger.transfers)
                " transfers, sum " (outcome.ledger.sum) " at every position of the store." }
            li { "Audit: " (outcome.audit.entries) " entries, "
                @if outcome.audit.verified { "verified." } @else { "NOT verified." } }
            @for finding in &outcome.story.findings { li { (finding) } }
            @for (text, file) in &outcome.story.evidence {
                li { (text) " Evidence: " a href=(file) { (file) } ", recheck it with "
                    code { "cargo run --release --example recheck -- " (file) } }
            }
            li { "Model " code { (outcome.model_blake3) } " (BLAKE3), the same for every run with seed "
                (outcome.seed) " and these options." }
        }
    }
}
