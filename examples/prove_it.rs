//! What an agent did, proved to somebody who has nothing but one file and one public key. Then the file is forged.
//!
//!     cargo run --example prove_it --features audit
//!     cargo run --example prove_it --features audit -- --keep DIR    # leaves the files there, and says how to verify them

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use daa::core::event::EventStore;
use daa::prelude::*;
use daa::rules::audit::{
    AuditLog, AuditOptions, AuditParts, Bundle, CosignRequest, FolderTiles, KeeperFile, KeyUse, Part,
    SecretKey, Trust, Verified, VerifyError, Witness, WitnessFile, fresh_salts, report,
};
use serde_json::json;

const RULES: &str = r#"
[[rule]]
id = "small-bills"
on = "bill.pay"
when = 'action.params.amount <= 100'
effect = "permit"

[[rule]]
id = "large-bills"
on = "bill.pay"
when = 'action.params.amount > 100'
effect = "deny"
reason = "bills above 100 are not paid by an agent"
"#;

/// Runs a small agent, proves one of its actions, and forges the proof.
#[derive(Parser)]
struct Arguments {
    /// Keep log, bundle and page in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let dir = arguments.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir)?;
    if std::fs::read_dir(&dir)?.next().is_some() {
        return Err(format!("{} is not empty: a log is not begun over another", dir.display()).into());
    }

    println!("1. An agent pays bills, as far as its rules permit.");
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    act(&store, &clock).await?;

    println!("\n2. Its log: every decision, attempt and outcome is a leaf of a tree, whose root is signed.");
    let key = SecretKey::generate("example.org/agents/secretary".parse()?, KeyUse::Log);
    let public = key.public_key().clone();
    let parts = AuditParts {
        store: store.clone(),
        clock: clock.clone(),
        tiles: Arc::new(FolderTiles::new(dir.join("log"))),
        keeper: Arc::new(KeeperFile::new(dir.join("last-checkpoint"))),
        key: Arc::new(key),
    };
    let mut log = AuditLog::open("secretary", parts, AuditOptions::new()).await?;
    let checkpoint = log.catch_up().await?;
    println!("   {} records, root {}", checkpoint.size, checkpoint.root);

    println!("\n3. A witness, who is not the agent's owner, signs that root, and will sign no other past.");
    let name = "witness.example/w1".parse()?;
    let memory = WitnessFile::new(dir.join("witness.json"));
    let trust = Trust::in_log(public.clone())?;
    let witness = Witness::new(SecretKey::generate(name, KeyUse::Witness), memory)?.with_log(trust.clone());
    let proof = log.reader().consistency(0, checkpoint.size).await?;
    let line = witness.cosign(&CosignRequest::new(0, proof, log.checkpoint()?), clock.now()).await?;
    print!("   {line}");

    println!("\n4. A bundle proves what became of the bill of the landlord, and shows that one action.");
    let stream = "action/bill-1".try_into()?;
    let records = log.reader().records_of(&*store, &stream, checkpoint.size).await?;
    let mut bundle = Bundle::of_records(log.reader(), &records).await?;
    bundle.disclose(&*store, records[0], &[Part::Action]).await?;
    bundle.add_signatures(&line)?;
    let file = dir.join("bill-1.bundle.json");
    std::fs::write(&file, bundle.to_string())?;
    let (key_file, witness_file) = (dir.join("log.pub"), dir.join("witness.pub"));
    std::fs::write(&key_file, public.to_string())?;
    std::fs::write(&witness_file, witness.public_key().to_string())?;
    println!("   {} bytes; the bill of the dentist is not in it", std::fs::metadata(&file)?.len());

    println!("\n5. An auditor has that file and two public keys.");
    let trust = trust.with_witnesses(vec![Arc::new(witness.public_key().clone())], 1)?;
    let verified = verify(&std::fs::read(&file)?, &trust)?;
    for it in &verified.records {
        println!("   record {}: {}", it.index, it.record.kind);
        it.disclosures.iter().for_each(|shown| println!("     {}: {}", shown.part, shown.content));
    }
    std::fs::write(dir.join("bill-1.html"), report(&verified))?;

    println!("\n6. Somebody makes the bill larger, in the file.");
    let text = std::fs::read_to_string(&file)?;
    forge("the amount that is shown", &text.replace("\\\"amount\\\":80", "\\\"amount\\\":800"), &trust)?;
    forge(
        "the decision",
        &text.replace("\\\"decision\\\":\\\"permit\\\"", "\\\"decision\\\":\\\"deny\\\""),
        &trust,
    )?;
    forge(
        "the number of records",
        &text.replacen(&format!("\\n{}\\n", checkpoint.size), "\\n99\\n", 1),
        &trust,
    )?;

    if arguments.keep.is_some() {
        println!("\nThe same with the program, for the file that was not forged:");
        println!(
            "   cargo run -p daa-rules --features audit,cli --bin daa-audit -- verify {} --key {} --witness {}",
            file.display(),
            key_file.display(),
            witness_file.display()
        );
        println!("and for all of the log:");
        println!(
            "   cargo run -p daa-rules --features audit,cli --bin daa-audit -- verify --log {} --key {}",
            dir.join("log").display(),
            key_file.display()
        );
    }
    Ok(())
}

/// The agent at its work: three bills, one of them too large.
async fn act(store: &Arc<dyn EventStore>, clock: &Arc<dyn Clock>) -> Result<()> {
    let rules = Arc::new(RulesEngine::new(Ruleset::from_toml(RULES)?));
    let gate =
        Gate::builder(store.clone(), clock.clone()).with_policy(rules).with_salts(fresh_salts()).build();
    let pay: ActionKind = "bill.pay".try_into()?;
    let executors = Executors::new().with(
        pay.clone(),
        executor_fn(|_| Box::pin(async { Ok(Outcome::new(json!({ "receipt": "R-77" }))) })),
    );
    for (id, to, amount) in
        [("bill-1", "landlord", 80), ("bill-2", "dentist", 60), ("bill-3", "casino", 5_000)]
    {
        let action = Action::new(id.try_into()?, pay.clone(), "secretary".try_into()?)?
            .with_params(json!({ "to": to, "amount": amount }))?;
        match gate.submit(action, Context::new(), &executors).await {
            Ok(done) => println!("   {id}: paid {amount} to {to}, {}", done.outcome.output),
            Err(error) => println!("   {id}: {amount} to {to}: {error}"),
        }
    }
    Ok(())
}

fn verify(file: &[u8], trust: &Trust) -> std::result::Result<Verified, VerifyError> {
    Bundle::parse(file)?.verify(trust)
}

/// Verifies what was forged; that it does not pass is what this example is about.
fn forge(what: &str, text: &str, trust: &Trust) -> Result<()> {
    match verify(text.as_bytes(), trust) {
        Ok(_) => Err(format!("{what} was changed, and nobody noticed").into()),
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            println!("   {what}: {error}{cause}");
            Ok(())
        }
    }
}
