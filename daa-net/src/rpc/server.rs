//! Who answers.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::answers::{Answers, Turn};
use super::wire::{self, Answer, Ask};
use super::{IdempotencyKey, MAX_BODY, MAX_DEADLINE, Refusal, Request, Status};
use crate::node_id::NodeId;
use crate::shares::{Bounds, Shares};
use crate::stream::PeerStream;

/// How many requests are worked on at once: as many of one peer as a connection has streams.
const AT_ONCE: Bounds = Bounds { all: 1_024, of_peer: 128, sure: 8 };
/// How many bytes they may have, those included that are still on their way.
const BYTES: Bounds = Bounds { all: 64 << 20, of_peer: 8 << 20, sure: 256 << 10 };
/// How long who asks may take to say what.
const ASKING: Duration = Duration::from_secs(10);
/// How long who asks may take to read the answer.
const ANSWERING: Duration = Duration::from_secs(60);
/// The most bytes of a reason that travel.
const REASON: usize = 256;

type Answering = Pin<Box<dyn Future<Output = Result<Bytes, Refusal>> + Send>>;
/// What answers a method.
pub(crate) type Handler = Arc<dyn Fn(Request) -> Answering + Send + Sync>;

/// The methods of a node.
#[derive(Clone)]
pub(crate) struct Server {
    methods: Arc<Mutex<HashMap<String, Handler>>>,
    answers: Answers,
    places: Shares,
    bytes: Shares,
}

impl Default for Server {
    fn default() -> Self {
        let (places, bytes) = (Shares::new(AT_ONCE), Shares::new(BYTES));
        Self { methods: Arc::default(), answers: Answers::default(), places, bytes }
    }
}

impl Server {
    /// From now on this answers; what answered before is replaced.
    pub(crate) fn serve(&self, method: &str, handler: Handler) {
        self.methods.lock().unwrap_or_else(PoisonError::into_inner).insert(method.to_owned(), handler);
    }

    /// Answers the request of a stream.
    pub(crate) async fn answer(&self, stream: PeerStream) {
        let from = stream.peer();
        let (mut read, mut write) = stream.split();
        let busy = || refused(&Refusal::new(Status::Unavailable, "there is too much to do"));
        let mut bytes = self.bytes.clone().share(from);
        let asked = wire::receive::<Ask>(&mut read, |more| bytes.grow(more));
        let ask = match timeout(ASKING, asked).await {
            Ok(Ok(ask)) => ask,
            Ok(Err(error)) if error.kind() == io::ErrorKind::QuotaExceeded => {
                return reply(&mut write, busy()).await;
            }
            _ => {
                tracing::debug!(peer = %from, "a request came to nothing");
                return;
            }
        };
        let Some(_place) = self.places.take(from, 1) else { return reply(&mut write, busy()).await };
        if let Some(answer) = self.work(from, ask, &mut read).await {
            reply(&mut write, answer).await;
        }
    }

    /// Nothing where who asked has hung up.
    async fn work(&self, from: NodeId, ask: Ask, read: &mut ReadHalf<PeerStream>) -> Option<Answer> {
        let handler = self.methods.lock().unwrap_or_else(PoisonError::into_inner).get(&ask.method).cloned();
        let Some(handler) = handler else {
            return Some(refused(&Refusal::new(Status::Unknown, "nobody answers this method here")));
        };
        let deadline = Duration::from_millis(ask.millis).min(MAX_DEADLINE);
        let request = Request { from, body: ask.body, deadline };
        // Nothing of it happens before it is known that it is to be done.
        let work = async move {
            match timeout(deadline, async { handler(request).await }).await {
                Ok(Ok(body)) if body.len() > MAX_BODY => {
                    refused(&Refusal::new(Status::Failed, "the answer is longer than any"))
                }
                Ok(Ok(body)) => Answer { status: 0, body, reason: String::new() },
                Ok(Err(refusal)) => refused(&refusal),
                Err(_) => refused(&Refusal::new(Status::Expired, "it was not done in time")),
            }
        };
        if ask.key.is_empty() {
            return tokio::select! {
                answer = work => Some(answer),
                // Nothing more is to come, so whatever comes is the end.
                _ = read.read_u8() => None,
            };
        }
        let Ok(key) = <[u8; 16]>::try_from(&*ask.key) else {
            return Some(refused(&Refusal::new(Status::Invalid, "an idempotency key has 16 bytes")));
        };
        let which = (from, ask.method, IdempotencyKey::from_bytes(key));
        let mut told = match self.answers.turn(which.clone()) {
            Turn::First(tell) => {
                let (told, answers) = (tell.subscribe(), self.answers.clone());
                // It goes on when who asked hangs up: it may ask again.
                tokio::spawn(async move { answers.done(&which, &tell, work.await) });
                told
            }
            Turn::Again(told) => told,
            Turn::NoRoom => {
                let full = Refusal::new(Status::Unavailable, "there is no room to remember another key");
                return Some(refused(&full));
            }
        };
        let answer = told.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        Some(answer.unwrap_or_else(|| refused(&Refusal::new(Status::Failed, "who worked on it has failed"))))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

fn refused(refusal: &Refusal) -> Answer {
    let mut end = refusal.reason.len().min(REASON);
    while !refusal.reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = refusal.reason.get(..end).unwrap_or_default().to_owned();
    Answer { status: refusal.status.to_number().max(1), body: Bytes::new(), reason }
}

async fn reply(write: &mut WriteHalf<PeerStream>, answer: Answer) {
    let sent = async {
        wire::send(write, &answer).await?;
        write.shutdown().await
    };
    match timeout(ANSWERING, sent).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an answer did not arrive"),
        Err(_) => tracing::debug!("an answer was not read in time"),
    }
}

#[cfg(test)]
mod tests {
    use daa_crypto::CryptoSuite;
    use tokio::sync::mpsc;

    use super::*;
    use crate::auth::Auth;
    use crate::rpc::RPC;
    use crate::stream::StreamOptions;
    use crate::testing::{identity, network};
    use crate::transport::{MemoryNetwork, MemoryTransport, Transport as _, TransportEvent};

    fn node(network_of: &MemoryNetwork, of: usize) -> MemoryTransport {
        network_of.join(Auth::new(CryptoSuite::new(), identity(of).clone(), network()))
    }

    /// A node that answers, and so many others that are connected to it.
    async fn serving(others: usize) -> (NodeId, Vec<MemoryTransport>) {
        let memory = MemoryNetwork::new();
        let (node, server) = (node(&memory, 0), Server::default());
        let (id, addresses) = (node.node(), node.addresses());
        server.serve("echo/1", Arc::new(|request| Box::pin(async move { Ok(request.body) })));
        server.serve("never/1", Arc::new(|_| Box::pin(std::future::pending())));
        tokio::spawn(async move {
            while let Some(event) = node.next().await {
                if let TransportEvent::Stream(stream) = event {
                    let server = server.clone();
                    tokio::spawn(async move { server.answer(stream).await });
                }
            }
        });
        let mut all = Vec::new();
        for of in 1..=others {
            let other = self::node(&memory, of);
            other.connect(Some(id), &addresses).await.unwrap();
            all.push(other);
        }
        (id, all)
    }

    async fn open(from: &MemoryTransport, to: NodeId) -> PeerStream {
        from.open(to, RPC, StreamOptions::default()).await.unwrap()
    }

    async fn ask(from: &MemoryTransport, to: NodeId, method: &str, body: Bytes) -> Answer {
        let mut stream = open(from, to).await;
        let ask = Ask { method: method.to_owned(), body, millis: 60_000, key: Bytes::new() };
        wire::send(&mut stream, &ask).await.unwrap();
        wire::receive(&mut stream, |_| true).await.unwrap()
    }

    /// Says that there is a megabyte to come, sends all but its end, and waits for what is answered.
    async fn half_a_request(stream: PeerStream) -> io::Result<Answer> {
        let (mut read, mut write) = stream.split();
        let writing = tokio::spawn(async move {
            // It may be refused before it is sent.
            let _ = write.write_u32(1 << 20).await;
            let _ = write.write_all(&vec![7; (1 << 20) - 1]).await;
            let _ = write.flush().await;
            std::future::pending::<()>().await;
        });
        let answer = wire::receive(&mut read, |_| true).await;
        writing.abort();
        answer
    }

    /// Time passes only when nothing else happens: what is refused is so before what does not end is given up.
    #[tokio::test(start_paused = true)]
    async fn requests_that_do_not_end_hold_little_and_others_are_answered() {
        let (id, others) = serving(2).await;
        let (answered, mut answers) = mpsc::channel(100);
        for _ in 0..100 {
            let (stream, answered) = (open(&others[0], id).await, answered.clone());
            tokio::spawn(async move { answered.send(half_a_request(stream).await).await });
        }
        // Eight megabytes of one peer may wait for their end, and each has one.
        for _ in 0..92 {
            assert_eq!(answers.recv().await.unwrap().unwrap().status, Status::Unavailable.to_number());
        }
        let body = Bytes::from(vec![1; 200 << 10]);
        assert_eq!(ask(&others[1], id, "echo/1", body.clone()).await.body, body);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_its_answers_gets_none_after_a_while_and_others_are_answered() {
        let (id, others) = serving(2).await;
        let mut unread = Vec::new();
        for _ in 0..100 {
            let mut stream = open(&others[0], id).await;
            let body = Bytes::from(vec![1; 600 << 10]);
            let ask = Ask { method: "echo/1".to_owned(), body, millis: 60_000, key: Bytes::new() };
            // It may be refused before it is sent.
            let _ = wire::send(&mut stream, &ask).await;
            unread.push(stream);
        }
        assert_eq!(ask(&others[1], id, "echo/1", "hello".into()).await.body, "hello");
        tokio::time::sleep(ANSWERING + ASKING).await;
        // All that it held was given back.
        assert_eq!(ask(&others[0], id, "echo/1", vec![1; 1 << 20].into()).await.body.len(), 1 << 20);
    }
}
