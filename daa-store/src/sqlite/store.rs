//! The store itself: queues in front of the threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, PageSize, Position, ReadAll, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::id::StreamId;
use tokio::sync::watch;

use super::job::{Answer, Job};
use super::options::{Sharing, SqliteOptions};
use super::readers::Readers;
use super::watcher::{Watcher, Watching};
use super::writer::Writer;
use super::{engine, file};
use crate::lock::DirLock;
use crate::open::OpenError;
use crate::opening::Opening;
use crate::queue::{Inlet, queue};

/// An [`EventStore`] in a SQLite file.
///
/// # Guarantees
///
/// - An acknowledged append is on disk: it survives a killed process and, as far as the disk keeps what it
///   confirmed to `fsync`, a power cut.
/// - After a crash the store holds every acknowledged batch wholly; of those that were not acknowledged each is
///   there wholly or not at all; the order has no gap.
/// - If the end of the write-ahead log (`…-wal`) is lost or damaged, which a disk that honours `fsync` does not
///   do, the newest batches are lost, and what is left is a prefix of the order that ends between two batches.
///   Nothing can tell that from a crash that came earlier.
/// - Other damage is found and reported, and never served as data: damaged pages when the store is opened (see
///   [`OpenCheck`](super::OpenCheck)) or by the read that meets them, damaged content by the checksum that each
///   event has.
/// - One store at a time: the directory of the file is locked (`lock`) as long as the store is open. With
///   [`Sharing::Processes`] the lock is one that stores share, in this process and in others; all of the above
///   holds for each of them, whichever is killed. They write in turn, and every read, [`head`](EventStore::head)
///   included, shows what any of them acknowledged; a subscription learns of it within the
///   [poll interval](SqliteOptions::with_poll_interval).
/// - [Erasing](EventStore::erase) takes at most 10,000 events or 32 MiB per transaction. Pages that it empties are
///   used again for new events; the file does not become smaller. Where small events of other streams stand between
///   those that are erased, pages stay partly filled.
/// - When an append fails with [`AppendError::Unconfirmed`], this store takes no more appends; open it again to
///   learn from its streams whether the batch is there. Others that share the file go on.
///
/// Dropping the store finishes the appends that were accepted, as [`close`](EventStore::close) does, but blocks
/// the thread while it does so.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use daa_core::clock::Timestamp;
/// use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent};
/// use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let store = SqliteEventStore::open(dir.join("events.db"), SqliteOptions::default())?;
/// let hello = NewEvent::json("greeted.v1".try_into()?, Timestamp::EPOCH, &"hello")?;
/// let batch = Batch::new().with_event("greetings".try_into()?, ExpectedVersion::NO_STREAM, hello);
/// assert_eq!(store.append(batch).await?.last, store.head().await?);
/// store.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteEventStore {
    path: PathBuf,
    appends: Inlet<Job>,
    readers: Arc<Readers>,
    /// Whether others may append.
    shared: bool,
    head: watch::Receiver<Position>,
    /// Its senders are with the threads: it is closed when the last has ended.
    alive: watch::Receiver<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl SqliteEventStore {
    /// Opens the store in the file `path`, and creates the file where there is none. The directory must exist,
    /// and is locked: it can hold one file.
    ///
    /// Several processes that share the file may open and create it at the same moment: one of them sets it up, the
    /// others wait for that.
    ///
    /// Blocks while it reads and checks the file; in async code with a large store use a blocking thread.
    ///
    /// # Errors
    /// [`OpenError`]: the file is foreign, corrupt, of a newer version, in use, read-only, or cannot be read.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let dir = parent.unwrap_or(Path::new("."));
        let opening = Opening::begin(dir, &options)?;
        if opening.is_alone() {
            Self::prepare(path)?;
        } else if !path.exists() {
            // Those who are in share another file.
            return Err(OpenError::InUse { path: dir.to_owned() });
        }
        Self::open_prepared(path, &options, &Arc::new(opening.finish()?))
    }

    /// Leaves a file of this version there. Nobody else may have it open.
    pub(crate) fn prepare(path: &Path) -> Result<(), OpenError> {
        file::prepare(path)
    }

    /// As [`Self::open`], of a file that is prepared, in a directory that the caller has locked.
    pub(crate) fn open_prepared(
        path: &Path,
        options: &SqliteOptions,
        lock: &Arc<DirLock>,
    ) -> Result<Self, OpenError> {
        let failed = |error| engine::open_error(path, error);
        let conn = file::connect(path, options)?;
        let writer = Writer::new(conn, options, lock.clone()).map_err(failed)?;
        let readers = Readers::open(path, options).map_err(failed)?;
        let shared = options.sharing == Sharing::Processes;
        let watcher = shared.then(|| Watcher::open(path, options)).transpose().map_err(failed)?;
        let head = writer.head().follow();
        let (alive, watched) = watch::channel(());
        let no_thread = |error| OpenError::io(path, error);
        let told = writer.head().clone();
        let watching =
            watcher.map(|watcher| watcher.start(told, lock, &alive)).transpose().map_err(no_thread)?;
        let (readers, reading) = Readers::start(readers, lock, &alive).map_err(no_thread)?;
        let (appends, mut jobs) = queue(options.queue.get());
        let serve = move || {
            // Dropped after the writer.
            let _alive = alive;
            writer.run(&mut jobs, || {
                // The last connection to close brings the log into the database, which a reader's cannot.
                let readers = reading.into_iter().map(JoinHandle::join);
                for ended in readers.chain(watching.map(Watching::end)) {
                    if ended.is_err() {
                        tracing::error!("a thread of the event store panicked");
                    }
                }
            });
        };
        let writing =
            thread::Builder::new().name("daa-store-write".to_owned()).spawn(serve).map_err(no_thread)?;
        Ok(Self {
            path: path.to_owned(),
            appends,
            readers: Arc::new(readers),
            shared,
            head,
            alive: watched,
            threads: Mutex::new(vec![writing]),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn write<T>(&self, job: Job, answer: Answer<T>) -> Result<T, AppendError> {
        let size = job.megabytes();
        self.appends.send(job, size).await.map_err(|_| AppendError::Closed)?;
        answer.await.map_err(|gone| AppendError::Unconfirmed { source: gone.into() })?
    }

    fn stop(&self) {
        self.appends.close();
        self.readers.close();
    }

    fn is_open(&self) -> bool {
        self.appends.is_open()
    }
}

#[async_trait]
impl EventStore for SqliteEventStore {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        batch.check()?;
        let (job, answer) = Job::append(batch);
        self.write(job, answer).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readers.stream(stream.clone(), after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readers.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        if !self.is_open() {
            return Err(ReadError::Closed);
        }
        Ok(Subscription::new(self.readers.clone(), self.head.clone(), after))
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        let mut events = 0;
        loop {
            let (job, answer) = Job::erase(stream.clone(), up_to);
            let erased = self.write(job, answer).await?;
            events += erased.events;
            if erased.complete {
                return Ok(events);
            }
        }
    }

    async fn head(&self) -> Result<Position, ReadError> {
        match self.is_open() {
            false => Err(ReadError::Closed),
            true if self.shared => self.readers.head().await,
            true => Ok(*self.head.borrow()),
        }
    }

    async fn close(&self) {
        self.stop();
        let mut alive = self.alive.clone();
        // Fails when the threads have ended, and never succeeds: nothing is sent.
        while alive.changed().await.is_ok() {}
    }
}

impl Drop for SqliteEventStore {
    fn drop(&mut self) {
        self.stop();
        let threads = std::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the event store panicked");
            }
        }
    }
}
