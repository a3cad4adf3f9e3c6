//! `daa-audit verify`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{
    Bundle, Checkpoint, Content, Cosigned, FolderTiles, Irregularities, LogReader, MAX_BUNDLE, Record, Trust,
    Trusted, Verified, VerifiedRecord, report,
};
use serde_json::json;

use super::ReadKey;
use super::failure::Failure;
use super::files;

/// Checks a bundle, or with `--log` all files of a log.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The bundle; `-` for the standard input
    #[arg(required_unless_present = "log", conflicts_with = "log")]
    bundle: Option<PathBuf>,
    /// The folder of a whole log
    #[arg(long, value_name = "FOLDER")]
    log: Option<PathBuf>,
    #[command(flatten)]
    trusted: files::Trusted,
    /// Write what is proved as a page for people
    #[arg(long, value_name = "FILE.html", conflicts_with = "log")]
    report: Option<PathBuf>,
}

impl Verify {
    pub(super) async fn run(self, json: bool, readers: &[ReadKey]) -> Result<(), Failure> {
        let trust = self.trusted.trust(readers)?;
        if let Some(folder) = self.log {
            let log = LogReader::new(Arc::new(FolderTiles::new(folder)));
            let mut irregular = Irregularities::default();
            let checkpoint = check(&log, &trust, |index, record| irregular.note(index, record)).await?;
            return files::print(&whole(&checkpoint, &irregular, json));
        }
        let bytes = files::read(&self.bundle.unwrap_or_else(|| "-".into()), MAX_BUNDLE)?;
        let bundle = Bundle::parse(&bytes).map_err(Failure::invalid)?;
        let verified = bundle.verify(&trust).map_err(Failure::invalid)?;
        if let Some(path) = &self.report {
            files::write(path, &report(&verified))?;
        }
        files::print(&if json { format!("{}\n", as_json(&verified)) } else { as_text(&verified) })
    }
}

/// What is told of a whole log.
fn whole(checkpoint: &Checkpoint, irregular: &Irregularities, json: bool) -> String {
    let Checkpoint { origin, size, root, .. } = checkpoint;
    let Irregularities { undecoded, unblinded, unbound, erased, first, .. } = *irregular;
    if json {
        let irregular = json!({
            "undecoded": undecoded, "unblinded": unblinded, "unbound": unbound, "erased": erased, "first": first,
        });
        let origin = origin.as_str();
        let answer = json!({
            "result": "valid", "origin": origin, "size": size, "root": root, "irregular": irregular,
        });
        return format!("{answer}\n");
    }
    let mut text = format!("valid: all {size} records of {origin}\nroot   {root}\n");
    if let Some(first) = first {
        text.push_str(&format!(
            "note   {undecoded} undecoded, {unblinded} unblinded, {unbound} unbound, {erased} erased; the first is record {first}\n"
        ));
    }
    text
}

/// Checks a whole log against its own checkpoint, as far as that is trusted.
pub(super) async fn check(
    log: &LogReader,
    trust: &Trust,
    see: impl FnMut(u64, &Record) + Send,
) -> Result<Checkpoint, Failure> {
    let rotations = log.rotations().await.map_err(Failure::unable)?;
    let keys = trust.succession(&rotations).map_err(Failure::invalid)?;
    let note = log.checkpoint().await.map_err(Failure::unable)?;
    let note = note.ok_or_else(|| Failure::unable("the log has no checkpoint"))?;
    let (Trusted { checkpoint, .. }, _) = keys.verify(&note).map_err(Failure::invalid)?;
    log.check(&checkpoint, see).await.map_err(Failure::invalid)?;
    log.check_succession(&keys, &checkpoint).await.map_err(Failure::invalid)?;
    Ok(checkpoint)
}

fn as_json(verified: &Verified) -> serde_json::Value {
    let record = |it: &VerifiedRecord| json!({ "index": it.index, "leaf": it.leaf, "record": it.record, "disclosures": it.disclosures });
    let witness = |it: &Cosigned| json!({ "witness": it.witness.as_str(), "seconds": it.seconds });
    json!({
        "result": "valid",
        "origin": verified.checkpoint.origin.as_str(),
        "size": verified.checkpoint.size,
        "root": verified.checkpoint.root,
        "key": verified.key.to_string(),
        "witnesses": verified.witnesses.iter().map(witness).collect::<Vec<_>>(),
        "earlier": verified.earlier.as_ref().map(|it| json!({ "size": it.size, "root": it.root })),
        "records": verified.records.iter().map(record).collect::<Vec<_>>(),
    })
}

fn as_text(verified: &Verified) -> String {
    let checkpoint = &verified.checkpoint;
    let mut lines = vec![
        format!(
            "valid: {} of the {} records of {}",
            verified.records.len(),
            checkpoint.size,
            checkpoint.origin
        ),
        format!("root   {}", checkpoint.root),
        format!("key    {}", verified.key),
    ];
    for cosigned in &verified.witnesses {
        lines.push(format!("seen   by {} at {} s", cosigned.witness, cosigned.seconds));
    }
    if let Some(earlier) = &verified.earlier {
        lines.push(format!("after  {} records with root {}", earlier.size, earlier.root));
    }
    for it in &verified.records {
        let rules: Vec<_> = it.record.rules.iter().flatten().map(|rule| rule.as_str()).collect();
        let rules = if rules.is_empty() { String::new() } else { format!("  by {}", rules.join(", ")) };
        let bound = irregular(it.record.content);
        lines.push(format!("{:>6} {:<22} {}{rules}{bound}", it.index, it.record.kind, it.record.stream));
        for shown in &it.disclosures {
            lines.push(format!("       {}: {}", shown.part, shown.content));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What is said of a record that should have been otherwise.
const fn irregular(content: Content) -> &'static str {
    match content {
        Content::Undecoded => "  (its event could not be understood)",
        Content::Unblinded => "  (nothing blinds its event)",
        Content::Unbound => "  (not bound to its event)",
        Content::Erased => "  (its event was erased before it was recorded)",
        _ => "",
    }
}
