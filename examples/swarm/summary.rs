//! What a run came to, read from its event store: nothing here is remembered, everything is looked up.

use std::collections::BTreeMap;

use daa::compute::protocol::{Event, Finding, Standing};
use daa::core::action::ActionEvent;
use daa::core::amount::Amount;
use daa::core::artifact::Artifacts;
use daa::core::event::{EventStore, PageSize, Position, RecordedEvent};
use daa::core::id::{AgentId, StreamId};
use daa::economy::LedgerEvent;
use daa::swarm::{EVENT_KIND, EvidenceFile, REVEAL, RunView, TRAIN};

use crate::Failure;
use crate::args::{Args, Task};
use crate::books::Books;
use crate::conductor::Swarm;
use crate::measures::Measures;
use crate::outcome::{AgentRow, AuditRow, LedgerRow, Outcome, ProcessRow, Story};
use crate::problem::Problem;
use crate::processes::Lives;

/// What one pass over the store collects.
#[derive(Default)]
struct Collected {
    /// Actions under way, by stream: what kind they are, and how many bytes they send.
    asked: BTreeMap<StreamId, (String, u64)>,
    bytes_sent: u64,
    losses: BTreeMap<String, Vec<(u64, f64)>>,
    rewards: BTreeMap<String, u128>,
    slashed: BTreeMap<String, u128>,
    spent: BTreeMap<String, u128>,
    moments: Vec<(u64, String)>,
    rounds_opened: u64,
}

/// The result, and the evidence files: name and content.
pub(crate) async fn summarise(
    args: &Args,
    problem: &Problem,
    swarm: &Swarm,
    books: &Books,
    measures: &Measures,
    (wall_seconds, resumed_from_round): (f64, Option<u64>),
    sample: Option<String>,
) -> Result<(Outcome, Vec<(String, Vec<u8>)>), Failure> {
    let view = swarm.coordinator.view();
    let mut collected = Collected::default();
    for store in books.stores() {
        collected.read(store).await?;
    }
    let proofs = books.prove().await?;
    let ledgers = || proofs.iter().map(|proof| proof.ledger.as_ref());
    let evidence = evidence(&*swarm.artifacts, &view).await?;
    let files: BTreeMap<String, String> =
        evidence.iter().map(|(agent, name, _)| (agent.to_string(), name.clone())).collect();
    let parameters = problem.config.initial()?.values().len() as u64;
    let rounds_worked: u64 = view.members.values().map(|member| member.accepted.len() as u64).sum();
    let steps = u64::from(problem.config.inner.steps);
    let score =
        measures.rounds.get(&u64::from(view.closed)).copied().ok_or("the last model was not measured")?;
    let digits = args.task == Task::Digits;
    let violations = proofs.iter().flat_map(|proof| &proof.journal.findings);
    let mut findings: Vec<String> =
        violations.map(|found| format!("event {}: {}", found.position, found.violation)).collect();
    findings.extend(ledgers().filter_map(Result::err).map(|error| crate::in_full(error)));
    let story = Story {
        measure: measures.rounds.iter().map(|(round, score)| (*round, *score)).collect(),
        undefended: measures.undefended.clone().unwrap_or_default(),
        losses: collected.losses.clone(),
        moments: collected.moments.clone(),
        evidence: files
            .iter()
            .map(|(agent, file)| {
                (format!("{agent} committed to an update that its data do not give."), file.clone())
            })
            .collect(),
        currency: Some(swarm.coordinator.economics().currency),
        sample,
        findings,
    };
    let outcome = Outcome {
        task: args.task.to_string(),
        seed: args.seed,
        aggregate: args.aggregate.to_string(),
        accuracy: digits.then_some(score),
        bits_per_byte: (!digits).then_some(score),
        baseline: measures.baseline.ok_or("the baseline was not measured")?,
        undefended: story.undefended.last().map(|(_, score)| *score),
        rounds: u64::from(view.closed),
        wall_seconds,
        bytes_sent: collected.bytes_sent,
        // Every member sends its whole gradient after every step. On both sides only what members send counts, not what
        // they receive.
        bytes_ddp_fp32: rounds_worked * steps * parameters * 4,
        agents: view.members.keys().map(|id| row(id, &view, &collected, books)).collect(),
        ledger: LedgerRow {
            accounts: ledgers().flatten().map(|summary| summary.accounts).sum(),
            transfers: ledgers().flatten().map(|summary| summary.transfers).sum(),
            // Each ledger has to be zero by itself: what is missing in one is not made good by another.
            sum: ledgers()
                .map(|ledger| {
                    ledger.map_or(i64::MAX, |summary| i64::try_from(summary.sum).unwrap_or(i64::MAX))
                })
                .find(|sum| *sum != 0)
                .unwrap_or_default(),
            books: proofs.len(),
        },
        audit: AuditRow {
            entries: proofs.iter().map(|proof| proof.journal.entries).sum(),
            unpermitted: proofs.iter().map(|proof| proof.journal.violations).sum(),
            verified: proofs.iter().all(|proof| proof.is_sound() && proof.is_settled()),
        },
        transport: args.transport.to_string(),
        processes: books.lives.iter().map(|(id, lives)| process(id, lives)).collect(),
        model_blake3: view.latest.map(|(model, _)| model).ok_or("there is no model")?,
        resumed_from_round,
        story,
    };
    Ok((outcome, evidence.into_iter().map(|(_, name, content)| (name, content)).collect()))
}

/// What there is to say of an agent that was a process.
fn of_process(note: &str, lives: &Lives) -> String {
    let note =
        if lives.is_killed { note.replacen("killed", "killed by SIGKILL", 1) } else { note.to_owned() };
    let pids: Vec<String> = lives.pids.iter().map(u32::to_string).collect();
    let pids = format!("pid {}", pids.join(", "));
    if note.is_empty() { pids } else { format!("{note}; {pids}") }
}

fn process(id: &AgentId, lives: &Lives) -> ProcessRow {
    ProcessRow { agent: id.to_string(), pids: lives.pids.clone(), killed: lives.is_killed }
}

fn row(id: &AgentId, view: &RunView, collected: &Collected, books: &Books) -> AgentRow {
    let member = view.members.get(id);
    let forged = member.is_some_and(|member| !member.forged.is_empty());
    let (status, note) = match member.map(|member| member.standing) {
        _ if forged => ("slashed", "sent poisoned updates"),
        Some(Standing::Live) => ("active", ""),
        Some(Standing::Dead) => ("lost", "killed; not slashed, not paid for what it did not do"),
        Some(Standing::Left) => ("left", ""),
        _ => ("ejected", "withheld what an audit needed"),
    };
    let note = match books.lives.get(id) {
        Some(lives) => of_process(note, lives),
        None => note.to_owned(),
    };
    let amount =
        |of: &BTreeMap<String, u128>| Amount::from_units(of.get(id.as_str()).copied().unwrap_or_default());
    AgentRow {
        id: id.to_string(),
        status: status.to_owned(),
        rounds: member.map_or(0, |member| member.accepted.len() as u64),
        reward: amount(&collected.rewards),
        slashed: amount(&collected.slashed),
        spent: amount(&collected.spent),
        note,
    }
}

/// The first forgery of each convicted agent, with all that shows it.
async fn evidence(
    artifacts: &dyn Artifacts,
    view: &RunView,
) -> Result<Vec<(AgentId, String, Vec<u8>)>, Failure> {
    let mut files = Vec::new();
    for (agent, member) in &view.members {
        let Some((round, digest)) = member.forged.first() else { continue };
        let file = EvidenceFile::collect(artifacts, *digest).await?;
        let name = format!("evidence-{agent}-round-{}.json", round.0 + 1);
        files.push((agent.clone(), name, file.encode()?));
    }
    Ok(files)
}

impl Collected {
    /// Goes over all events of a store.
    async fn read(&mut self, store: &dyn EventStore) -> Result<(), Failure> {
        let mut after = Position::START;
        loop {
            let page = store.read_all(after, PageSize::default()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.position;
            for event in &page {
                self.take(event)?;
            }
        }
    }

    fn take(&mut self, recorded: &RecordedEvent) -> Result<(), Failure> {
        if let Some(event) = ActionEvent::read(recorded)? {
            self.action(&recorded.stream, event);
        } else if recorded.kind.as_str() == EVENT_KIND {
            self.run(recorded.json()?);
        } else if let Some(event) = LedgerEvent::read(recorded)? {
            self.money(&event);
        }
        Ok(())
    }

    fn action(&mut self, stream: &StreamId, event: ActionEvent) {
        match event {
            ActionEvent::Permitted { action, .. } => {
                let bytes = action.params()["bytes"].as_u64().unwrap_or_default();
                self.asked.insert(stream.clone(), (action.kind().to_string(), bytes));
            }
            ActionEvent::Succeeded { outcome, .. } => match self.asked.remove(stream) {
                Some((kind, bytes)) if kind == REVEAL => self.bytes_sent += bytes,
                Some((kind, _)) if kind == TRAIN => {
                    let commitment = &outcome.output["commitment"];
                    // The commitment is sent as well, ahead of the update.
                    self.bytes_sent += commitment.to_string().len() as u64;
                    let (agent, round) = (commitment["agent"].as_str(), commitment["round"].as_u64());
                    if let (Some(agent), Some(round), Some(loss)) =
                        (agent, round, outcome.output["loss"].as_f64())
                    {
                        self.losses.entry(agent.to_owned()).or_default().push((round + 1, loss));
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn run(&mut self, event: Event) {
        let now = self.rounds_opened;
        match event {
            Event::RoundOpened { round, .. } => self.rounds_opened = u64::from(round.0) + 1,
            Event::Joined { agent, .. } if now > 0 => {
                self.moments.push((now, format!("{agent} joins, takes the model from the last checkpoint")));
            }
            Event::Died { agent } => {
                self.moments.push((now, format!("{agent} is killed during its local steps")))
            }
            Event::Verdict { agent, round, finding: Finding::Forged { .. } } => {
                let text = format!(
                    "an audit finds {agent}'s update of round {} forged; its stake is slashed",
                    round.0 + 1
                );
                self.moments.push((now, text));
            }
            Event::Ejected { agent } => self.moments.push((now, format!("{agent} is ejected"))),
            _ => {}
        }
    }

    fn money(&mut self, event: &LedgerEvent) {
        // Ids of rewards and slashes end in the agent's name: KIND/RUN/ROUND/AGENT.
        let of = |id: &str, kind: &str| {
            let mut parts = id.splitn(4, '/');
            (parts.next() == Some(kind)).then(|| parts.nth(2).map(str::to_owned)).flatten()
        };
        match event {
            LedgerEvent::Posted(posted) => {
                if let Some(agent) = of(posted.hold.as_str(), "reward") {
                    *self.rewards.entry(agent).or_default() += posted.amount.units();
                }
                if let Some(agent) = payer(posted.hold.as_str()) {
                    *self.spent.entry(agent).or_default() += posted.amount.units();
                }
            }
            LedgerEvent::Transferred(transfers) => {
                for transfer in transfers.as_slice() {
                    if let Some(agent) = of(transfer.id.as_str(), "slash") {
                        *self.slashed.entry(agent).or_default() += transfer.money.amount().units();
                    }
                }
            }
            _ => {}
        }
    }
}

/// Who paid for an action. Its hold is named after it: action/RUN/KIND/AGENT/SUBJECT, and action.2 and so on for those that follow.
fn payer(hold: &str) -> Option<String> {
    let mut parts = hold.split('/');
    let is_action = parts.next().is_some_and(|kind| kind == "action" || kind.starts_with("action."));
    is_action.then(|| parts.nth(2).map(str::to_owned)).flatten()
}
