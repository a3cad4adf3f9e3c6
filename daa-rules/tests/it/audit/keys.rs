//! Keys: their text, their use, and how a log gets a new one.

use std::sync::Arc;

use daa_rules::audit::{
    AuditError, Bundle, Checkpoint, KeyError, KeyUse, Note, NoteSigner, NoteVerifier, PublicKey, Record,
    RotationError, SecretKey, SignatureState, Trust, TrustError, VerifyError,
};

use super::world::{World, key};

/// The example of C2SP signed-note: text, key name and signature, but no public key.
const QUASIMODO: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned \u{e8} subito sera.\n\n\
    \u{2014} quasimodo.example/salvatore \
    NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

/// The key of the Go checksum database, as every Go installation has it.
const SUMDB_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

#[test]
fn the_note_of_the_specification_is_read_and_written_back() {
    let note = Note::parse(QUASIMODO.as_bytes()).unwrap();
    assert!(note.text().ends_with("sera.\n"));
    assert_eq!(note.to_string(), QUASIMODO);
    let other = key(1);
    assert_eq!(note.state(other.public_key()), SignatureState::Absent);
}

#[test]
fn a_published_key_has_the_id_that_its_name_and_content_say() {
    let key: PublicKey = SUMDB_KEY.parse().unwrap();
    assert_eq!((key.name().as_str(), key.usage()), ("sum.golang.org", KeyUse::Log));
    assert_eq!(key.key_id().to_string(), "033de0ae");
    assert_eq!(key.to_string(), SUMDB_KEY);
    let renamed = SUMDB_KEY.replace("sum.golang.org", "sum.golang.com");
    assert!(matches!(renamed.parse::<PublicKey>(), Err(KeyError::Id { .. })));
}

/// RFC 8032, section 7.1, TEST 2: a seed, its public key, and the signature of the byte 0x72, here as the text of a
/// note could have it if it ended with a new line; so only key and determinism are compared.
#[test]
fn keys_are_those_of_the_standard() {
    let hex = |text: &str| data_encoding_hex(text);
    let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let key = SecretKey::from_seed("a.example".parse().unwrap(), KeyUse::Log, &seed);
    let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    assert_eq!(key.public_key().key_bytes(), public);
}

fn data_encoding_hex(text: &str) -> [u8; 32] {
    let digest: daa_core::digest::Digest = text.parse().unwrap();
    *digest.as_bytes()
}

#[test]
fn text_round_trips_and_says_what_is_wrong_with_it() {
    for usage in [KeyUse::Log, KeyUse::Witness] {
        let key = SecretKey::generate("a.example/x".parse().unwrap(), usage);
        let public = key.public_key().to_string();
        assert_eq!(public.parse::<PublicKey>().unwrap(), *key.public_key());
        let secret = key.to_secret_text();
        assert!(secret.starts_with("PRIVATE+KEY+a.example/x+"));
        assert_eq!(secret.parse::<SecretKey>().unwrap().public_key(), key.public_key());
        // The last of five parts: base64 may have a plus sign too.
        let content = secret.splitn(5, '+').last().unwrap();
        assert!(content.len() >= 44 && !format!("{key:?}").contains(content));
        assert!(public.parse::<SecretKey>().is_err());
        assert!(secret.parse::<PublicKey>().is_err());
    }
    assert!(matches!("x".parse::<PublicKey>(), Err(KeyError::Format)));
    // ML-DSA-44, as tlog-cosignature numbers it.
    assert!(matches!("a+00000000+BgAA".parse::<PublicKey>(), Err(KeyError::Algorithm(6) | KeyError::Format)));
}

#[test]
fn a_key_of_small_order_is_no_key() {
    // The neutral element: it verifies anything that is signed with nothing.
    let mut bytes = [0_u8; 32];
    bytes[0] = 1;
    let name = "weak.example".parse().unwrap();
    let id = daa_rules::audit::KeyId::of(&name, 1, &bytes);
    let mut content = vec![1_u8];
    content.extend_from_slice(&bytes);
    let text = format!("weak.example+{id}+{}", base64(&content));
    assert!(matches!(text.parse::<PublicKey>(), Err(KeyError::Content)));
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let block =
            chunk.iter().fold(0_u32, |block, byte| block << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = ALPHABET[(block >> (18 - 6 * at) & 63) as usize] as char;
            text.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[test]
fn only_the_right_key_under_the_right_text_is_verified() {
    let (one, two) = (key(1), key(2));
    let mut note = Note::new("some\ntext\n".to_owned()).unwrap();
    note.sign(&one).unwrap();
    assert_eq!(note.state(one.public_key()), SignatureState::Verified);
    // Another key of the same name is another key.
    assert_eq!(note.state(two.public_key()), SignatureState::Absent);
    let changed = note.to_string().replace("some", "same");
    assert_eq!(Note::parse(changed.as_bytes()).unwrap().state(one.public_key()), SignatureState::Wrong);
    // A witness's key signs no text, though it may be the same 32 bytes.
    let witness = SecretKey::from_seed("example.org/treasury".parse().unwrap(), KeyUse::Witness, &[1; 32]);
    assert!(Note::new("text\n".to_owned()).unwrap().sign(&witness).is_err());
    assert_eq!(note.state(witness.public_key()), SignatureState::Absent);
}

#[test]
fn a_log_cannot_be_called_like_what_else_is_signed() {
    for name in ["cosignature/v1", "daa-audit-rotation/v1"] {
        assert!(Checkpoint::new(name.parse().unwrap(), 1, daa_rules::audit::TreeHash::leaf(b"")).is_err());
    }
    for text in ["", " ", "a b", "a+b", "a\u{2003}b", "a\nb", &"a".repeat(201)] {
        assert!(text.parse::<daa_rules::audit::KeyName>().is_err(), "{text:?}");
    }
}

#[tokio::test]
async fn a_log_that_got_a_new_key_is_still_believed_by_who_trusts_the_first() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("first", 2).await;
    log.catch_up().await.unwrap();
    let old = world.reader().checkpoint().await.unwrap().unwrap();
    let statement = log.rotate(Arc::new(key(2))).await.unwrap();
    world.pay_often("second", 2).await;
    let last = log.catch_up().await.unwrap();
    // Six records, the rotation, six records.
    assert_eq!(last.size, 13);
    let record = Record::decode(&world.reader().record(6, 13).await.unwrap()).unwrap();
    assert_eq!(record.kind.as_str(), "audit.rotated.v1");
    log.rotate(Arc::new(key(3))).await.unwrap();
    log.catch_up().await.unwrap();

    let reader = world.reader();
    let bundle =
        Bundle::of_records(&reader, &[0, 6, 12]).await.unwrap().with_earlier(&reader, &old).await.unwrap();
    let verified = bundle.verify(&world.trust()).unwrap();
    assert_eq!((verified.rotations, verified.key), (2, key(3).public_key().clone()));
    assert_eq!(verified.earlier.unwrap().size, 6);
    // Who knows the new key needs no chain, and does not believe the old one any more.
    let trust = |seed| Trust::in_log(key(seed).public_key().clone()).unwrap();
    trust(3).verify(&reader.checkpoint().await.unwrap().unwrap()).unwrap();
    assert!(matches!(trust(3).verify(&old), Err(TrustError::Unsigned { .. })));
    // Who never trusted the first one is told nothing by it.
    assert!(matches!(bundle.verify(&trust(4)), Err(VerifyError::Trust(TrustError::Rotation(_)))));

    // A statement that only one of both keys signed hands over nothing.
    let lines: Vec<&str> = statement.to_string().leak().split_inclusive('\n').collect();
    for left_out in [7, 8] {
        let text: String =
            lines.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, line)| *line).collect();
        let note = Note::parse(text.as_bytes()).unwrap();
        let error = world.trust().after(&note).unwrap_err();
        assert!(matches!(error, TrustError::Rotation(RotationError::Unsigned { .. })), "{error}");
    }
    world.trust().after(&statement).unwrap();
}

#[tokio::test]
async fn the_new_key_signs_nothing_from_before_its_time() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("first", 2).await;
    log.catch_up().await.unwrap();
    let statement = log.rotate(Arc::new(key(2))).await.unwrap();
    let trust = world.trust().after(&statement).unwrap();
    let mut early = Note::new(
        Checkpoint::new("example.org/treasury".parse().unwrap(), 3, log.reader().root(3).await.unwrap())
            .unwrap()
            .to_string(),
    )
    .unwrap();
    early.sign(&key(2)).unwrap();
    assert!(matches!(trust.verify(&early), Err(TrustError::BeforeRotation { last: 6, actual: 3 })));
}

#[tokio::test]
async fn a_log_is_opened_with_the_key_that_it_has() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("first", 2).await;
    log.rotate(Arc::new(key(2))).await.unwrap();
    drop(log);
    let error = world.open().await.unwrap_err();
    assert!(matches!(error, AuditError::OtherKey { .. }), "{error}");
    let world = World { key: Arc::new(key(2)), ..world };
    let mut log = world.open().await.unwrap();
    assert_eq!(log.catch_up().await.unwrap().size, 7);
    assert_eq!(world.reader().rotations().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_statement_of_a_new_key_is_written_though_the_process_died_before() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("first", 2).await;
    log.rotate(Arc::new(key(2))).await.unwrap();
    let mut files = world.tiles.files();
    let statement = files.remove("rotation/001").unwrap();
    world.tiles.restore(files);
    let world = World { key: Arc::new(key(2)), ..world };
    world.open().await.unwrap();
    assert_eq!(world.tiles.files()["rotation/001"], statement);
}

/// A second algorithm: what it signs is only told from the first by its id.
#[derive(Debug)]
struct Second(daa_rules::audit::KeyName);

impl Second {
    fn id(&self) -> daa_rules::audit::KeyId {
        daa_rules::audit::KeyId::of(&self.0, 0xff, b"second")
    }

    fn tag(text: &str) -> Vec<u8> {
        daa_core::digest::Digest::builder("daa test second signature v1")
            .field(text.as_bytes())
            .finish()
            .as_bytes()
            .to_vec()
    }
}

impl NoteSigner for Second {
    fn name(&self) -> &daa_rules::audit::KeyName {
        &self.0
    }

    fn key_id(&self) -> daa_rules::audit::KeyId {
        self.id()
    }

    fn public(&self) -> String {
        "second".to_owned()
    }

    fn sign(&self, text: &str) -> Result<Vec<u8>, daa_rules::audit::SignError> {
        Ok(Self::tag(text))
    }
}

impl NoteVerifier for Second {
    fn name(&self) -> &daa_rules::audit::KeyName {
        &self.0
    }

    fn key_id(&self) -> daa_rules::audit::KeyId {
        self.id()
    }

    fn key_bytes(&self) -> &[u8] {
        b"second"
    }

    fn verify(&self, text: &str, signature: &[u8]) -> bool {
        Self::tag(text) == signature
    }
}

#[tokio::test]
async fn a_second_algorithm_is_ignored_unless_it_is_required() {
    let world = World::new();
    let second = || Arc::new(Second("example.org/treasury".parse().unwrap()));
    world.pay_often("first", 1).await;
    let plain = |world: &World| {
        let world = world.clone();
        async move { world.reader().checkpoint().await.unwrap().unwrap() }
    };
    let mut log = world.open().await.unwrap();
    log.catch_up().await.unwrap();
    let required = world.trust().with_required(second());
    assert!(matches!(required.verify(&plain(&world).await), Err(TrustError::Unsigned { .. })));
    let options = daa_rules::audit::AuditOptions::new().with_second_key(second());
    let mut log = daa_rules::audit::AuditLog::open(super::world::NAME, world.parts(), options).await.unwrap();
    world.pay_often("second", 1).await;
    log.catch_up().await.unwrap();
    let note = plain(&world).await;
    required.verify(&note).unwrap();
    world.trust().verify(&note).unwrap();
}
