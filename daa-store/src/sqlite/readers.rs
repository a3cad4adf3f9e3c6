//! The threads that read.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use daa_core::event::{PageSize, Position, ReadAll, ReadError, RecordedEvent, Version};
use daa_core::id::StreamId;
use tokio::sync::{oneshot, watch};

use super::options::SqliteOptions;
use super::read::Reader;
use crate::lock::DirLock;
use crate::queue::{Inlet, Outlet, queue};

/// Reads that wait for a reader; those beyond wait to be let in.
const QUEUE: u32 = 64;

type Page = Result<Vec<RecordedEvent>, ReadError>;

#[derive(Debug)]
enum Query {
    All(Position, PageSize, Answer<Vec<RecordedEvent>>),
    Stream(StreamId, Version, PageSize, Answer<Vec<RecordedEvent>>),
    Head(Answer<Position>),
}

type Answer<T> = oneshot::Sender<Result<T, ReadError>>;

/// The way to the reader threads, until it is closed. Subscriptions share it.
#[derive(Debug)]
pub(super) struct Readers {
    queue: Inlet<Query>,
}

impl Readers {
    /// Starts a thread for each of `readers`. Each holds `lock` and a clone of `alive` until it ends.
    pub(super) fn start(
        readers: Vec<Reader>,
        lock: &Arc<DirLock>,
        alive: &watch::Sender<()>,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (inlet, outlet) = queue(QUEUE);
        let outlet = Arc::new(Mutex::new(outlet));
        let threads = readers
            .into_iter()
            .map(|reader| {
                let (outlet, lock, alive) = (outlet.clone(), lock.clone(), alive.clone());
                thread::Builder::new().name("daa-store-read".to_owned()).spawn(move || {
                    // Dropped in this order: connection, lock, sign of life.
                    let (_alive, _lock) = (alive, lock);
                    serve(reader, &outlet);
                })
            })
            .collect::<io::Result<_>>()?;
        Ok((Self { queue: inlet }, threads))
    }

    /// Opens the connections.
    pub(super) fn open(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Vec<Reader>> {
        (0..options.readers.get()).map(|_| Reader::open(path, options)).collect()
    }

    pub(super) async fn stream(&self, stream: StreamId, after: Version, page: PageSize) -> Page {
        self.ask(|answer| Query::Stream(stream, after, page, answer)).await
    }

    /// The head as it is in the file, whoever wrote it.
    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        self.ask(Query::Head).await
    }

    /// Takes no more reads; those that wait are still answered.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    async fn ask<T>(&self, query: impl FnOnce(Answer<T>) -> Query) -> Result<T, ReadError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(query(answer), 1).await.map_err(|_| ReadError::Closed)?;
        answered.await.map_err(|gone| ReadError::Unavailable { source: gone.into() })?
    }
}

#[async_trait]
impl ReadAll for Readers {
    async fn read_all(&self, after: Position, page: PageSize) -> Page {
        self.ask(|answer| Query::All(after, page, answer)).await
    }
}

fn serve(mut reader: Reader, queue: &Mutex<Outlet<Query>>) {
    loop {
        // The lock is held while waiting: the others wait for it as they would for a query.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv_blocking();
        let Some(query) = next else { return };
        match query {
            Query::All(after, page, answer) => give(answer, || reader.all(after, page)),
            Query::Stream(stream, after, page, answer) => {
                give(answer, || reader.stream(&stream, after, page));
            }
            Query::Head(answer) => give(answer, || reader.head()),
        }
    }
}

/// Reads only where somebody still waits for it.
fn give<T>(answer: Answer<T>, read: impl FnOnce() -> Result<T, ReadError>) {
    if !answer.is_closed() {
        let _ = answer.send(read());
    }
}
