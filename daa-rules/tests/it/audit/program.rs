//! `daa-audit`, as an auditor and a witness run it.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use daa_rules::audit::{Bundle, FolderTiles, KeeperFile, KeyUse, Part, SecretKey, TileStore};
use serde_json::Value;

use super::world::World;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daa-audit")).args(arguments).output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

struct Desk {
    world: World,
    dir: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
        let desk = Self { world, dir };
        desk.log(3).await;
        std::fs::write(desk.path("log.pub"), desk.world.key.public_key().to_string()).unwrap();
        desk
    }

    /// Some more payments, in a log in a folder.
    async fn log(&self, payments: usize) {
        let label = format!("p{}", self.world.tiles.files().len() + payments);
        self.world.pay_often(&label, payments).await;
        let tiles: Arc<dyn TileStore> = Arc::new(FolderTiles::new(self.dir.path().join("log")));
        let keeper = Arc::new(KeeperFile::new(self.dir.path().join("kept")));
        let mut log = self.world.open_with(self.world.store.clone(), tiles, keeper).await.unwrap();
        log.catch_up().await.unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

#[tokio::test]
async fn a_bundle_is_made_and_verified_and_a_forged_one_is_not() {
    let desk = Desk::new().await;
    let (log, key, bundle) = (desk.path("log"), desk.path("log.pub"), desk.path("bundle.json"));
    let made = run(&["prove", "--log", &log, "--action", "p3-1", "-o", &bundle]);
    assert_eq!(told(&made), (Some(0), String::new()));
    let page = desk.path("page.html");
    let (code, text) = told(&run(&["verify", &bundle, "--key", &key, "--report", &page]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("valid: 3 of the 9 records of example.org/treasury\n"), "{text}");
    assert!(text.contains("action.permitted.v1") && text.contains("by small"), "{text}");
    assert!(std::fs::read_to_string(&page).unwrap().contains("p3-1"));
    // The key as text, the answer as JSON.
    let key_text = std::fs::read_to_string(&key).unwrap();
    let (code, text) = told(&run(&["verify", &bundle, "--key", &key_text, "--json"]));
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &answer["result"], &answer["size"]), (Some(0), &"valid".into(), &9.into()));
    assert_eq!(answer["records"][0]["record"]["actor"], "alice");

    let forged = std::fs::read_to_string(&bundle).unwrap().replace("alice", "mallory");
    std::fs::write(&bundle, forged).unwrap();
    let (code, text) = told(&run(&["verify", &bundle, "--key", &key]));
    assert_eq!(code, Some(1));
    assert!(text.starts_with("invalid: record 3 is not in the log"), "{text}");
    let (code, text) = told(&run(&["verify", &bundle, "--key", &key, "--json"]));
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &answer["result"]), (Some(1), &"invalid".into()));
}

#[tokio::test]
async fn what_cannot_be_found_out_is_told_from_what_is_wrong() {
    let desk = Desk::new().await;
    let (log, key) = (desk.path("log"), desk.path("log.pub"));
    for arguments in [
        vec!["verify", "nowhere.json", "--key", &key],
        vec!["verify", "nowhere.json", "--key", "no key"],
        vec!["verify", "nowhere.json"],
        vec!["prove", "--log", "nowhere", "--index", "0"],
        vec!["prove", "--log", &log, "--index", "9"],
    ] {
        let (code, text) = told(&run(&arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
    }
    let (code, text) = told(&run(&["prove", "--log", &log, "--action", "unknown"]));
    assert_eq!(code, Some(1), "{text}");
}

#[tokio::test]
async fn a_whole_log_is_verified_and_exported_and_a_damaged_one_is_not() {
    let desk = Desk::new().await;
    let (log, key) = (desk.path("log"), desk.path("log.pub"));
    let (code, text) = told(&run(&["verify", "--log", &log, "--key", &key]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("valid: all 9 records"), "{text}");
    let (code, text) = told(&run(&["export", "--log", &log, "--key", &key, "--from", "7", "--count", "5"]));
    assert_eq!(code, Some(0), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["index"].as_u64().unwrap()).collect::<Vec<_>>(), [7, 8]);
    let entries = Path::new(&log).join("tile/entries/000.p/9");
    let mut bytes = std::fs::read(&entries).unwrap();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    std::fs::write(&entries, bytes).unwrap();
    for command in ["verify", "export"] {
        let output = run(&[command, "--log", &log, "--key", &key]);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty(), "nothing of a damaged log is printed");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_exported_is_what_was_checked_though_the_files_change_meanwhile() {
    let desk = Desk::new().await;
    let (log, key) = (desk.path("log"), desk.path("log.pub"));
    let entries = Path::new(&log).join("tile/entries/000.p/9");
    let good = std::fs::read(&entries).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() = b' ';
    std::fs::remove_file(&entries).unwrap();
    assert!(Command::new("mkfifo").arg(&entries).status().unwrap().success());
    let other = desk.path("other");
    std::fs::write(&other, bad).unwrap();
    let swap = std::thread::spawn(move || {
        // Comes back when somebody reads. He gets what is right, and whoever comes later does not.
        let mut pipe = std::fs::File::options().write(true).open(&entries).unwrap();
        std::fs::rename(&other, &entries).unwrap();
        std::io::Write::write_all(&mut pipe, &good).unwrap();
    });
    let output = run(&["export", "--log", &log, "--key", &key]);
    assert_eq!(told(&output).0, Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 9);
    swap.join().unwrap();
}

#[tokio::test]
async fn irregular_records_are_told_of_when_a_log_is_verified() {
    let desk = Desk::new().await;
    let (log, key, bundle) = (desk.path("log"), desk.path("log.pub"), desk.path("bundle.json"));
    let spoilt = daa_core::event::NewEvent::new(
        "action.permitted.v1".parse().unwrap(),
        daa_core::clock::Timestamp::EPOCH,
        "nothing".into(),
    );
    let any = daa_core::event::ExpectedVersion::Any;
    let batch = daa_core::event::Batch::new().with_event("action/spoilt".parse().unwrap(), any, spoilt);
    daa_core::event::EventStore::append(&*desk.world.store, batch).await.unwrap();
    desk.log(1).await;
    let (code, text) = told(&run(&["verify", "--log", &log, "--key", &key]));
    assert_eq!(code, Some(0), "{text}");
    let note = "note   1 undecoded, 0 unblinded, 0 unbound, 0 erased; the first is record 9\n";
    assert!(text.ends_with(note), "{text}");
    let (_, text) = told(&run(&["--json", "verify", "--log", &log, "--key", &key]));
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&answer["irregular"]["undecoded"], &answer["irregular"]["first"]), (&1.into(), &9.into()));
    run(&["prove", "--log", &log, "--index", "9", "-o", &bundle]);
    let (code, text) = told(&run(&["verify", &bundle, "--key", &key]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("action/spoilt  (its event could not be understood)"), "{text}");
}

#[tokio::test]
async fn keys_are_made_and_a_witness_signs_what_goes_on() {
    let desk = Desk::new().await;
    let (log, key) = (desk.path("log"), desk.path("log.pub"));
    let (secret, state) = (desk.path("w1.key"), desk.path("w1.json"));
    let made = run(&["key", "--new", "witness.example/w1", "--witness", &secret]);
    let public = told(&made).1.trim().to_owned();
    assert_eq!(told(&run(&["key", &secret])), (Some(0), format!("{public}\n")));
    assert_eq!(
        run(&["key", "--new", "witness.example/w1", &secret]).status.code(),
        Some(2),
        "a key was overwritten"
    );
    #[cfg(unix)]
    {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&secret).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "others can read the key");
    }
    let sign = || run(&["witness", "--log", &log, "--secret", &secret, "--state", &state, "--key", &key]);
    let (code, first) = told(&sign());
    assert_eq!(code, Some(0), "{first}");
    desk.log(2).await;
    let (code, line) = told(&sign());
    assert_eq!(code, Some(0), "{line}");

    // The signature in a bundle, and a quorum of it.
    let (lines, bundle) = (desk.path("lines"), desk.path("bundle.json"));
    std::fs::write(&lines, &line).unwrap();
    run(&["prove", "--log", &log, "--index", "0", "--cosignatures", &lines, "-o", &bundle]);
    let (code, text) = told(&run(&["verify", &bundle, "--key", &key, "--witness", &public]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("seen   by witness.example/w1"), "{text}");
    let other = SecretKey::generate("witness.example/w2".parse().unwrap(), KeyUse::Witness);
    let other = other.public_key().to_string();
    let with_two = |quorum| {
        run(&[
            "verify",
            &bundle,
            "--key",
            &key,
            "--witness",
            &public,
            "--witness",
            &other,
            "--quorum",
            quorum,
        ])
    };
    assert_eq!((with_two("1").status.code(), with_two("2").status.code()), (Some(0), Some(1)));
    assert_eq!(with_two("3").status.code(), Some(2));

    // Another log in its place: not signed.
    std::fs::remove_dir_all(&log).unwrap();
    let fork = World { keeper: Arc::default(), ..World::new() };
    fork.pay_often("fork", 9).await;
    let tiles: Arc<dyn TileStore> = Arc::new(FolderTiles::new(&log));
    fork.open_with(fork.store.clone(), tiles, fork.keeper.clone()).await.unwrap().catch_up().await.unwrap();
    let (code, text) = told(&sign());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("does not go on from the last one that was signed"), "{text}");
}

#[tokio::test]
async fn what_is_shown_is_on_the_page_and_markup_in_it_is_text() {
    let desk = Desk::new().await;
    desk.world.pay("markup", "<script>alert(1)</script>", 1).await;
    desk.log(1).await;
    let log = daa_rules::audit::LogReader::new(Arc::new(FolderTiles::new(desk.path("log"))));
    let size = 15;
    let stream = "action/markup".parse().unwrap();
    let records = log.records_of(&*desk.world.store, &stream, size).await.unwrap();
    let mut bundle = Bundle::of_records(&log, &records).await.unwrap();
    bundle.disclose(&*desk.world.store, records[0], &[Part::Action]).await.unwrap();
    let page = daa_rules::audit::report(&bundle.verify(&desk.world.trust()).unwrap());
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(!page.contains("<script"), "{page}");
}

#[cfg(feature = "audit-http")]
#[tokio::test]
async fn a_witness_serves_and_a_log_asks_it() {
    use std::io::BufRead as _;
    let desk = Desk::new().await;
    let (log, key, lines) = (desk.path("log"), desk.path("log.pub"), desk.path("lines"));
    let (secret, state, bundle) = (desk.path("w1.key"), desk.path("w1.json"), desk.path("bundle.json"));
    let public =
        told(&run(&["key", "--new", "witness.example/w1", "--witness", &secret])).1.trim().to_owned();
    let mut serving = Command::new(env!("CARGO_BIN_EXE_daa-audit"))
        .args(["serve", "--listen", "127.0.0.1:0", "--secret", &secret, "--state", &state, "--key", &key])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    std::io::BufReader::new(serving.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let address = first.split(' ').nth(2).unwrap();
    let witness = format!("http://{address}={public}");
    let (code, text) = told(&run(&["cosign", "--log", &log, "--witness", &witness, "-o", &lines]));
    assert_eq!(code, Some(0), "{text}");
    run(&["prove", "--log", &log, "--index", "0", "--cosignatures", &lines, "-o", &bundle]);
    let (code, text) = told(&run(&["verify", &bundle, "--key", &key, "--witness", &public]));
    assert_eq!(code, Some(0), "{text}");
    // The log grows, is signed again, and is put back.
    let before = std::fs::read(Path::new(&log).join("checkpoint")).unwrap();
    desk.log(2).await;
    assert_eq!(run(&["cosign", "--log", &log, "--witness", &witness]).status.code(), Some(0));
    std::fs::write(Path::new(&log).join("checkpoint"), before).unwrap();
    let (code, text) = told(&run(&["cosign", "--log", &log, "--witness", &witness]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("it signed a log of 15 records, and this one has 9"), "{text}");
    serving.kill().unwrap();
    serving.wait().unwrap();
    let (code, text) = told(&run(&["cosign", "--log", &log, "--witness", &witness]));
    assert_eq!(code, Some(2), "{text}");
}
