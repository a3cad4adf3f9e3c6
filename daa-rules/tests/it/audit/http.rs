//! Witnesses over HTTP, on both sides of a real connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::{ManualClock, Timestamp};
use daa_core::shutdown::ShutdownTrigger;
use daa_rules::audit::{
    AskError, Bundle, Checkpoint, CosignRequest, Declined, HttpWitness, HttpWitnessError, KeyUse,
    MAX_REQUEST, NoteVerifier, Proof, SecretKey, ServeOptions, Witness, WitnessFile, ask_witnesses,
    serve_witness,
};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};

use super::world::World;

fn secret(number: u8) -> SecretKey {
    let name = format!("witness.example/w{number}");
    SecretKey::from_seed(name.parse().unwrap(), KeyUse::Witness, &[100 + number; 32])
}

/// A witness that listens, with its memory in a folder.
struct Seat {
    address: SocketAddr,
    key: SecretKey,
    trigger: ShutdownTrigger,
    served: JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

impl Seat {
    async fn new(number: u8, world: &World, options: ServeOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let witness = Witness::new(secret(number), WitnessFile::new(dir.path().join("seen"))).unwrap();
        let witness = Arc::new(witness.with_log(world.trust()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_012_345)));
        let (trigger, shutdown) = ShutdownTrigger::new();
        let served = tokio::spawn(serve_witness(witness, clock, listener, options, shutdown));
        Self { address, key: secret(number), trigger, served, _dir: dir }
    }

    fn client(&self) -> HttpWitness {
        HttpWitness::new(self.key.public_key().clone(), &format!("http://{}/", self.address)).unwrap()
    }

    /// What it answers to these bytes: all until it closes, which it may do before it has read them.
    async fn raw(&self, request: &[u8]) -> String {
        let (address, request) = (self.address, request.to_vec());
        let exchange = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = stream.write_all(&request);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8(answer).unwrap()
        };
        spawn_blocking(exchange).await.unwrap()
    }

    async fn post(&self, path: &str, body: &str) -> (u16, String) {
        let len = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n");
        let answer = self.raw(format!("{head}{body}").as_bytes()).await;
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }
}

async fn logged() -> (World, daa_rules::audit::AuditLog) {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("first", 3).await;
    log.catch_up().await.unwrap();
    (world, log)
}

async fn request(world: &World, old: u64) -> CosignRequest {
    let reader = world.reader();
    let note = reader.checkpoint().await.unwrap().unwrap();
    let size = Checkpoint::parse(note.text()).unwrap().size;
    let proof = if old > size { Proof::default() } else { reader.consistency(old, size).await.unwrap() };
    CosignRequest::new(old, proof, note)
}

#[tokio::test]
async fn a_log_gets_the_signatures_of_a_quorum() {
    let (world, mut log) = logged().await;
    let mut seats = Vec::new();
    for number in 1..=3 {
        seats.push(Seat::new(number, &world, ServeOptions::new()).await);
    }
    let clients: Vec<_> = seats.iter().map(Seat::client).collect();
    let keys = || seats.iter().map(|seat| Arc::new(seat.key.public_key().clone()) as Arc<dyn NoteVerifier>);
    for round in 0..3 {
        let note = world.reader().checkpoint().await.unwrap().unwrap();
        let asked = ask_witnesses(&world.reader(), &note, &clients, 3).await.unwrap();
        assert!(asked.declined.is_empty(), "{:?}", asked.declined);
        let trust = world.trust().with_witnesses(keys().collect(), 3).unwrap();
        let trusted = trust.verify(&asked.note).unwrap();
        assert_eq!(trusted.witnesses.len(), 3);
        assert!(trusted.witnesses.iter().all(|it| it.seconds == 1_700_000_012));
        let mut bundle = Bundle::of_records(&world.reader(), &[0]).await.unwrap();
        bundle.add_signatures(&asked.lines).unwrap();
        bundle.verify(&trust).unwrap();
        // The log goes on; the witnesses say from where, and are asked again.
        world.pay_often(&format!("round-{round}"), 2).await;
        log.catch_up().await.unwrap();
    }
    // One that is gone: two are enough, three are not.
    let gone = seats.pop().unwrap();
    gone.trigger.trigger();
    gone.served.await.unwrap().unwrap();
    let note = world.reader().checkpoint().await.unwrap().unwrap();
    let asked = ask_witnesses(&world.reader(), &note, &clients, 2).await.unwrap();
    assert_eq!(asked.lines.lines().count(), 2);
    let error = ask_witnesses(&world.reader(), &note, &clients, 3).await.unwrap_err();
    let AskError::TooFew { signed: 2, quorum: 3, declined } = error else { panic!("{error}") };
    let why = declined.values().next().unwrap();
    assert!(matches!(why, Declined::Witness(HttpWitnessError::Unreachable { .. })), "{why}");
    let error = ask_witnesses(&world.reader(), &note, &clients, 4).await.unwrap_err();
    assert!(matches!(error, AskError::Quorum { quorum: 4, witnesses: 3 }), "{error}");
}

#[tokio::test]
async fn every_answer_is_the_one_of_the_specification() {
    let (world, mut log) = logged().await;
    let seat = Seat::new(1, &world, ServeOptions::new()).await;
    let path = "/add-checkpoint";
    let early = request(&world, 0).await.to_string();
    world.pay_often("second", 3).await;
    log.catch_up().await.unwrap();
    let body = |old| {
        let world = world.clone();
        async move { request(&world, old).await.to_string() }
    };
    let signed = seat.post(path, &body(0).await).await;
    assert_eq!(signed.0, 200, "{}", signed.1);
    assert!(signed.1.contains("\r\n\r\n\u{2014} witness.example/w1 "), "{}", signed.1);
    // From another size than the last: told which.
    let (status, answer) = seat.post(path, &body(0).await).await;
    assert_eq!(status, 409);
    assert!(answer.to_lowercase().contains("content-type: text/x.tlog.size\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n18\n"), "{answer}");
    assert_eq!(seat.post(path, &body(18).await).await.0, 200);
    // An older checkpoint, from where the last one is.
    assert_eq!(seat.post(path, &early.replacen("old 0", "old 18", 1)).await.0, 400);
    assert_eq!(seat.post(path, "old x\n\nnothing").await.0, 400);
    assert_eq!(seat.post(path, "").await.0, 400);
    // Others of the same name and key: as large, and larger.
    for (payments, expected) in [(6, 409), (8, 422)] {
        let other = World::new();
        let mut fork = other.open().await.unwrap();
        other.pay_often("other", payments).await;
        fork.catch_up().await.unwrap();
        let (status, answer) = seat.post(path, &request(&other, 18).await.to_string()).await;
        assert_eq!(status, expected, "{answer}");
    }
    // Of another key, and of a log that is not known.
    let stranger = World::new().with_key(9);
    let mut log = stranger.open().await.unwrap();
    stranger.pay_often("other", 7).await;
    log.catch_up().await.unwrap();
    assert_eq!(seat.post(path, &request(&stranger, 18).await.to_string()).await.0, 403);
    let unknown = body(18).await.replace("example.org/treasury", "example.org/other");
    assert_eq!(seat.post(path, &unknown).await.0, 404);
    assert_eq!(seat.post("/", &body(18).await).await.0, 404);
    assert_eq!(seat.post("/other/add-checkpoint", &body(18).await).await.0, 404);
    let got = seat.raw(b"GET /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n").await;
    assert!(got.starts_with("HTTP/1.1 405 ") && got.to_lowercase().contains("allow: post"), "{got}");
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let (world, _log) = logged().await;
    let seat = Seat::new(1, &world, ServeOptions::new()).await;
    let (status, answer) = seat.post("/add-checkpoint", &"x".repeat(MAX_REQUEST + 1)).await;
    assert_eq!(status, 413, "{answer}");
    let head = "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n";
    let answer = seat.raw(format!("{head}{}", "X-Long: a\r\n".repeat(3_000)).as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn who_is_too_slow_is_let_go_and_leaves_a_seat() {
    let (world, _log) = logged().await;
    let options = ServeOptions::new().with_patience(Duration::from_secs(2)).with_connections(3);
    let seat = Seat::new(1, &world, options).await;
    // Says nothing; begins and does not end; promises a body.
    let head = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n";
    let promised = [head.as_slice(), b"Content-Length: 5\r\n\r\nold"].concat();
    let (silent, begun, promised) = tokio::join!(seat.raw(b""), seat.raw(head), seat.raw(&promised));
    for answer in [silent, begun] {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert!(promised.starts_with("HTTP/1.1 408 "), "{promised}");
    assert_eq!(seat.post("/add-checkpoint", &request(&world, 0).await.to_string()).await.0, 200);
}

#[tokio::test]
async fn a_witness_that_lies_or_has_seen_more_does_not_count() {
    let (world, mut log) = logged().await;
    let seat = Seat::new(1, &world, ServeOptions::new()).await;
    let old = world.reader().checkpoint().await.unwrap().unwrap();
    world.pay_often("second", 3).await;
    log.catch_up().await.unwrap();
    let now = world.reader().checkpoint().await.unwrap().unwrap();
    ask_witnesses(&world.reader(), &now, &[seat.client()], 1).await.unwrap();
    let declined = |note, client| {
        let reader = world.reader();
        async move {
            let error = ask_witnesses(&reader, &note, &[client], 1).await.unwrap_err();
            let AskError::TooFew { declined, .. } = error else { panic!("{error}") };
            declined.into_values().next().unwrap()
        }
    };
    // The log was put back, as far as the witness can tell.
    let why = declined(old, seat.client()).await;
    assert!(matches!(why, Declined::Ahead { seen: 18, size: 9 }), "{why}");
    // Its signature is right, and it is not the one that is trusted.
    let other = secret(2).public_key().clone();
    let other = HttpWitness::new(other, &format!("http://{}", seat.address)).unwrap();
    let why = declined(now.clone(), other).await;
    assert!(matches!(why, Declined::Signature), "{why}");
    // It signs nothing of a log that it does not know.
    let nothing =
        HttpWitness::new(secret(1).public_key().clone(), &format!("http://{}/x", seat.address)).unwrap();
    let why = declined(now, nothing).await;
    assert!(matches!(why, Declined::Witness(HttpWitnessError::Status { status: 404, .. })), "{why}");
}

/// A server that answers with these bytes, whatever it is asked, as often as it is asked.
fn says(answer: String) -> HttpWitness {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A request is small, and so is one read.
            let _ = stream.read(&mut vec![0; 1 << 16]);
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
    HttpWitness::new(secret(1).public_key().clone(), &format!("http://{address}")).unwrap()
}

#[tokio::test]
async fn what_a_witness_answers_is_bounded_and_checked() {
    let (world, _log) = logged().await;
    let note = world.reader().checkpoint().await.unwrap().unwrap();
    let conflict = |body: &str| {
        format!("HTTP/1.1 409 Conflict\r\nContent-Type: text/x.tlog.size\r\nConnection: close\r\n\r\n{body}")
    };
    let ok = |body: &str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
    let cases = [
        (conflict("0\n"), "asked 4 times"),
        (conflict("5\n"), "asked 4 times"),
        (conflict("99\n"), "of 99 records"),
        (conflict("many\n"), "did not sign"),
        (ok(""), "missing or wrong"),
        (ok(&"\u{2014} witness.example/w1 AAAAAAAA\n".repeat(9)), "missing or wrong"),
        (ok(&"x".repeat(70 << 10)), "did not sign"),
        ("nonsense\r\n\r\n".to_owned(), "did not sign"),
    ];
    for (answer, expected) in cases {
        let witness = says(answer.clone());
        let error = ask_witnesses(&world.reader(), &note, &[witness], 1).await.unwrap_err();
        let AskError::TooFew { declined, .. } = error else { panic!("{error}") };
        let why = declined.values().next().unwrap().to_string();
        assert!(why.contains(expected), "{why} for {}", &answer[..answer.len().min(80)]);
    }
}

#[test]
fn an_address_is_a_url_and_a_key_is_that_of_a_witness() {
    let witness = |url| HttpWitness::new(secret(1).public_key().clone(), url);
    witness("https://witness.example/w1/").unwrap();
    for url in ["", "witness.example", "ftp://witness.example", "https://witness.example/?x", "http://"] {
        assert!(matches!(witness(url), Err(HttpWitnessError::Url { .. })), "{url}");
    }
    let log = HttpWitness::new(super::world::key(1).public_key().clone(), "https://witness.example");
    assert!(matches!(log, Err(HttpWitnessError::OtherUse { .. })));
}
