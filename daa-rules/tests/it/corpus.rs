//! What fuzzing has found interesting, through the same functions, in every run.

use std::path::{Path, PathBuf};

#[expect(unreachable_pub, reason = "the fuzz targets reach it from another crate")]
#[path = "../../fuzz/src/rules.rs"]
mod rules;

#[cfg(feature = "audit")]
#[expect(unreachable_pub, reason = "the fuzz targets reach it from another crate")]
#[path = "../../fuzz/src/audit.rs"]
mod audit;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn run(target: &str, what: fn(&[u8])) {
    let mut count = 0;
    for file in std::fs::read_dir(corpus(target)).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if let Err(panic) = std::panic::catch_unwind(|| what(&bytes)) {
            eprintln!("{}", path.display());
            std::panic::resume_unwind(panic);
        }
        count += 1;
    }
    assert!(count > 10, "{count} files: the corpus of {target} is not there");
}

#[cfg(feature = "yaml")]
#[test]
fn rulesets() {
    run("ruleset", rules::ruleset);
}

#[cfg(feature = "yaml")]
#[test]
fn conditions() {
    run("condition", rules::condition);
}

#[cfg(feature = "audit")]
#[test]
fn notes() {
    run("note", audit::note);
}

#[cfg(feature = "audit")]
#[test]
fn tiles() {
    run("tile", audit::tile);
}

#[cfg(feature = "audit")]
#[test]
fn bundles() {
    run("bundle", audit::bundle);
}

#[cfg(feature = "audit")]
#[test]
fn records() {
    run("record", audit::record);
}

/// What fuzzing an audit begins with: one of each, as a log makes it.
#[cfg(feature = "audit")]
#[tokio::test]
#[ignore = "writes into the directory that DAA_RULES_FUZZ_SEEDS names"]
async fn writes_what_fuzzing_begins_with() {
    use daa_rules::audit::{Bundle, CosignRequest, Part};

    use crate::audit::world::World;

    let dir = PathBuf::from(std::env::var_os("DAA_RULES_FUZZ_SEEDS").unwrap());
    let write = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(dir.join(target)).unwrap();
        std::fs::write(dir.join(target).join(name), bytes).unwrap();
    };
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("first", 2).await;
    log.catch_up().await.unwrap();
    let reader = world.reader();
    let note = reader.checkpoint().await.unwrap().unwrap();
    let size = daa_rules::audit::Checkpoint::parse(note.text()).unwrap().size;
    write("note", "checkpoint", note.to_string().as_bytes());
    let request = CosignRequest::new(2, reader.consistency(2, size).await.unwrap(), note);
    write("note", "request", request.to_string().as_bytes());
    write("note", "key", world.key.public_key().to_string().as_bytes());
    write("note", "secret", world.key.to_secret_text().as_bytes());
    let width = u8::try_from(size - 1).unwrap();
    for (kind, which) in [("0", 0_u8), ("entries", 1)] {
        let tile = &world.tiles.files()[&format!("tile/{kind}/000.p/{size}")];
        write("tile", kind, &[&[which, width, 1], &**tile].concat());
    }
    for (index, record) in reader.bundle(0, size).await.unwrap().iter().enumerate() {
        write("record", &index.to_string(), record);
    }
    let mut bundle = Bundle::of_records(&reader, &[0, 4]).await.unwrap();
    write("bundle", "plain", bundle.to_string().as_bytes());
    bundle.disclose(&*world.store, 0, &[Part::Action, Part::Digest]).await.unwrap();
    write("bundle", "disclosed", bundle.to_string().as_bytes());
}
