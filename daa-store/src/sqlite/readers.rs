//! The threads that read.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::{io, num::NonZeroUsize};

use async_trait::async_trait;
use daa_core::event::{PageSize, Position, ReadAll, ReadError, RecordedEvent, Version};
use daa_core::id::StreamId;
use tokio::sync::{oneshot, watch};

use super::queue::{Inlet, Outlet, queue};
use super::read::Reader;
use crate::lock::DirLock;

/// Reads that wait for a reader; those beyond wait to be let in.
const QUEUE: u32 = 64;

type Page = Result<Vec<RecordedEvent>, ReadError>;

#[derive(Debug)]
enum Range {
    All(Position),
    Stream(StreamId, Version),
}

#[derive(Debug)]
struct Query {
    range: Range,
    page: PageSize,
    answer: oneshot::Sender<Page>,
}

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
    pub(super) fn open(path: &Path, count: NonZeroUsize) -> rusqlite::Result<Vec<Reader>> {
        (0..count.get()).map(|_| Reader::open(path)).collect()
    }

    pub(super) async fn stream(&self, stream: StreamId, after: Version, page: PageSize) -> Page {
        self.ask(Range::Stream(stream, after), page).await
    }

    /// Takes no more reads; those that wait are still answered.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    async fn ask(&self, range: Range, page: PageSize) -> Page {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Query { range, page, answer }, 1).await.map_err(|_| ReadError::Closed)?;
        answered.await.map_err(|gone| ReadError::Unavailable { source: gone.into() })?
    }
}

#[async_trait]
impl ReadAll for Readers {
    async fn read_all(&self, after: Position, page: PageSize) -> Page {
        self.ask(Range::All(after), page).await
    }
}

fn serve(mut reader: Reader, queue: &Mutex<Outlet<Query>>) {
    loop {
        // The lock is held while waiting: the others wait for it as they would for a query.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Query { range, page, answer }) = next else { return };
        if answer.is_closed() {
            continue;
        }
        let events = match range {
            Range::All(after) => reader.all(after, page),
            Range::Stream(stream, after) => reader.stream(&stream, after, page),
        };
        let _ = answer.send(events);
    }
}
