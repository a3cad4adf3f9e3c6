//! Whatever the bytes: an answer, and no panic. The fuzz targets in `fuzz/` begin at the same places.

use std::sync::Arc;

use daa_rules::audit::{
    Bundle, Checkpoint, CosignRequest, LogReader, MemoryTiles, Note, PublicKey, Record, SecretKey, TileStore,
};
use proptest::prelude::*;

use super::world::World;

/// Text that looks like what is parsed, more or less.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("example.org/log".to_owned()),
        Just("\u{2014} ".to_owned()),
        Just("\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("old ".to_owned()),
        Just("+".to_owned()),
        Just("PRIVATE+KEY+".to_owned()),
        Just("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned()),
        Just("{\"format\":\"daa-audit-bundle/v1\",\"records\":[],\"checkpoint\":\"".to_owned()),
        Just("\"}".to_owned()),
        "[0-9]{1,21}",
        "[a-zA-Z0-9+/=]{1,90}",
        "\\PC{0,20}",
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(word, 0..24).prop_map(|words| words.concat().into_bytes()),
    ]
}

fn parse_everything(bytes: &[u8], world: &World) {
    let trust = world.trust();
    if let Ok(note) = Note::parse(bytes) {
        // What is read is written as it was.
        assert_eq!(note.to_string().as_bytes(), bytes);
        let _ = (trust.verify(&note), Checkpoint::parse(note.text()), trust.clone().after(&note));
    }
    if let Ok(record) = Record::decode(bytes) {
        assert_eq!(record.encode().unwrap(), bytes);
    }
    if let Ok(bundle) = Bundle::parse(bytes) {
        let _ = bundle.verify(&trust);
    }
    let _ = CosignRequest::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (text.parse::<PublicKey>(), text.parse::<SecretKey>().is_ok(), Checkpoint::parse(text));
    }
}

/// Base64 with padding in its middle has other forms.
#[test]
fn a_signature_has_one_form() {
    let world = World::new();
    let line = |encoded: &str| format!("a\n\n\u{2014} name {encoded}\n");
    assert!(Note::parse(line("YWJjZGVmZ2g=").as_bytes()).is_ok());
    for encoded in ["YQ==YmNkZWZnaA==", "YWI=Y2RlZmdo", "YWJjZGVmZ2g"] {
        assert!(Note::parse(line(encoded).as_bytes()).is_err(), "{encoded}");
    }
    let key = world.key.public_key().to_string();
    // The encoded key is the third field: base64 has pluses of its own.
    let encoded = key.splitn(3, '+').last().unwrap();
    let head = key.strip_suffix(encoded).unwrap();
    let bytes = data_encoding::BASE64.decode(encoded.as_bytes()).unwrap();
    let pieces = bytes.chunks(16).map(|piece| data_encoding::BASE64.encode(piece)).collect::<String>();
    assert_ne!(pieces, encoded);
    assert!(format!("{head}{pieces}").parse::<PublicKey>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in noise()) {
        parse_everything(&bytes, &World::new());
    }

    #[test]
    fn arbitrary_tiles_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        size in prop_oneof![1_u64..600, any::<u64>()],
        index in any::<u64>(),
    ) {
        let tiles = MemoryTiles::new();
        let full = [("tile/0/000", 8192), ("tile/entries/000", 512)].map(|(path, len)| {
            (path.to_owned(), bytes.iter().copied().cycle().take(if bytes.is_empty() { 0 } else { len }).collect::<Vec<_>>())
        });
        tiles.restore(full.into_iter().map(|(path, bytes)| (path, bytes.into())).collect());
        let reader = LogReader::new(Arc::new(tiles) as Arc<dyn TileStore>);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let _ = reader.record(index, size).await;
            let _ = reader.inclusion(index, size).await;
            let _ = reader.consistency(index, size).await;
            let _ = reader.root(size).await;
        });
    }
}
