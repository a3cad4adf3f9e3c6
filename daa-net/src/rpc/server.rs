//! Who answers.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answers::{Answers, Turn};
use super::wire::{self, Answer, Ask};
use super::{IdempotencyKey, MAX_BODY, MAX_DEADLINE, Refusal, Request, Status};
use crate::node_id::NodeId;
use crate::stream::PeerStream;

/// How many requests are worked on at once.
const AT_ONCE: usize = 1_024;
/// How long who asks may take to say what.
const ASKING: Duration = Duration::from_secs(10);
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
    room: Arc<Semaphore>,
}

impl Default for Server {
    fn default() -> Self {
        Self { methods: Arc::default(), answers: Answers::default(), room: Arc::new(Semaphore::new(AT_ONCE)) }
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
        let asked = timeout(ASKING, wire::receive::<Ask>(&mut read)).await;
        let Ok(Ok(ask)) = asked else {
            tracing::debug!(peer = %from, "a request came to nothing");
            return;
        };
        let Ok(_place) = self.room.try_acquire() else {
            let busy = Refusal::new(Status::Unavailable, "there is too much to do");
            return reply(&mut write, refused(&busy)).await;
        };
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
    if let Err(error) = sent.await {
        tracing::debug!(%error, "an answer did not arrive");
    }
}
