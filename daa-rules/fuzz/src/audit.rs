//! What an auditor or a witness gets from others: notes, tiles, bundles, records.

use std::sync::{Arc, LazyLock};

use daa_rules::audit::{
    Bundle, Checkpoint, CosignRequest, KeyUse, LogReader, MemoryTiles, Note, PublicKey, Record, SecretKey,
    TreeHash, Trust, report,
};

static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let key = SecretKey::from_seed("example.org/treasury".parse().expect("a name"), KeyUse::Log, &[1; 32]);
    Trust::in_log(key.public_key().clone()).expect("a log's key")
});

/// Signed notes, and what is in them: checkpoints, rotations, requests to witnesses, keys.
pub fn note(bytes: &[u8]) {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes, "a note is written as it was read");
        if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
            assert!(note.text().starts_with(&checkpoint.to_string()));
        }
        let _ = TRUST.verify(&note);
        let _ = TRUST.clone().after(&note);
    }
    if let Ok(request) = CosignRequest::parse(bytes) {
        assert_eq!(request.to_string().as_bytes(), bytes, "a request is written as it was read");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(key) = text.parse::<PublicKey>() {
            assert_eq!(key.to_string(), text.trim());
        }
        let _ = text.parse::<SecretKey>();
    }
}

/// Tiles and bundles of entries, as a log's folder could have them. The first bytes say what and how many.
pub fn tile(bytes: &[u8]) {
    let Some((head, file)) = bytes.split_first_chunk::<3>() else { return };
    let [which, size, index] = *head;
    let (size, index) = (u64::from(size) + 1, u64::from(index));
    let width = if size >= 256 { String::new() } else { format!(".p/{size}") };
    let kind = if which & 1 == 0 { "0" } else { "entries" };
    let tiles = MemoryTiles::new();
    tiles.restore([(format!("tile/{kind}/000{width}"), file.to_vec().into())].into());
    let reader = LogReader::new(Arc::new(tiles));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let root = reader.root(size).await;
        if let (Ok(root), Ok(proof)) = (&root, reader.inclusion(index, size).await) {
            // Whatever the tile says its leaf is, the proof fits the root of the same tile.
            let at = usize::try_from(index).expect("a byte") * TreeHash::LEN;
            if let Some(leaf) = file.get(at..at + TreeHash::LEN) {
                let leaf = TreeHash::from_bytes(leaf.try_into().expect("a hash"));
                proof.verify_inclusion(&leaf, index, size, root).expect("a proof of what it was made of");
            }
        }
        if let Ok(records) = reader.bundle(0, size).await {
            assert_eq!(records.len() as u64, size.min(256));
        }
        let _ = reader.consistency(index, size).await;
        let _ = reader.record(index, size).await;
    });
}

/// Proof bundles: what verifies once verifies again after it was written.
pub fn bundle(bytes: &[u8]) {
    let Ok(bundle) = Bundle::parse(bytes) else { return };
    let written = bundle.to_string();
    let again = Bundle::parse(written.as_bytes()).expect("what was written is read");
    assert_eq!(bundle, again);
    if let Ok(verified) = bundle.verify(&TRUST) {
        assert!(!report(&verified).is_empty());
    }
}

/// Records: there is one way to write each.
pub fn record(bytes: &[u8]) {
    if let Ok(record) = Record::decode(bytes) {
        assert_eq!(record.encode().expect("what was read is written"), bytes);
    }
}
