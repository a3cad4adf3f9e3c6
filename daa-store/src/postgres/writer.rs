//! The task that writes: group commit, in turn with the writers of other processes.

use std::time::Duration;

use daa_core::event::{AppendError, Batch, Position};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::connection;
use super::connection::Session;
use super::engine::{Failure, Meaning};
use super::job::Job;
use super::log::{Log, Plan};
use super::options::PostgresOptions;
use super::recent::Recent;
use super::schema;
use crate::head::Head;
use crate::queue::Outlet;

/// A group that has this many events or payload bytes is not made larger, so that nobody waits long for others.
const GROUP_EVENTS: usize = 20_000;
const GROUP_BYTES: usize = 32 << 20;
/// So long after it met another writer, a writer asks for its turn before it writes.
const SHARES: Duration = Duration::from_secs(2);
/// Waits for its turn, until the transaction ends.
const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
/// The waits between two tries to reach a server that is away.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Writes what callers put into the queue.
#[derive(Debug)]
pub(super) struct Writer {
    options: PostgresOptions,
    conn: Option<Session>,
    log: Log,
    head: Head,
    /// How far this store has appended itself.
    appended: Head,
    recent: Recent,
    turn: i64,
    /// Until when others may be writing as well.
    shares_until: Option<Instant>,
}

/// How a try to commit a group ended.
enum Tried {
    /// It is in the log, or there was nothing to write and what was decided was true.
    Done(Plan),
    /// Others wrote meanwhile, or a stream was not new: decide again.
    Again,
    /// Refused by the server; nothing was written.
    Refused(Failure),
    /// The server is away, or refuses what may have been committed before. With that plan, where one was sent.
    Away(Failure, Option<Plan>),
}

impl Writer {
    pub(super) fn new(options: PostgresOptions, conn: Session, head: Head, recent: Recent) -> Self {
        let turn = connection::lock_key("write", &options.schema);
        let log = Log::new(*head.follow().borrow());
        let appended = Head::new(log.head);
        Self { options, conn: Some(conn), log, head, appended, recent, turn, shares_until: None }
    }

    /// Follows how far this store has appended itself; ends with the writer.
    pub(super) fn appended(&self) -> watch::Receiver<Position> {
        self.appended.follow()
    }

    /// Serves the queue until it is closed and empty.
    pub(super) async fn run(mut self, mut queue: Outlet<Job>) {
        while let Some(job) = queue.recv().await {
            let (mut events, mut bytes) = (job.batch.event_count(), job.bytes);
            let mut group = vec![job];
            while events < GROUP_EVENTS
                && bytes < GROUP_BYTES
                && let Some(job) = queue.try_recv()
            {
                events += job.batch.event_count();
                bytes += job.bytes;
                group.push(job);
            }
            self.serve(group).await;
        }
    }

    /// Answers every job of a group.
    async fn serve(&mut self, group: Vec<Job>) {
        let batches: Vec<&Batch> = group.iter().map(|job| &job.batch).collect();
        match self.commit(&batches).await {
            Ok(outcomes) => {
                group.into_iter().zip(outcomes).for_each(|(job, outcome)| job.answer(outcome));
            }
            // One of the group may have made the whole fail: find out which. Nothing of it was written.
            Err(Failed::Refused(_)) if group.len() > 1 => {
                for job in group {
                    Box::pin(self.serve(vec![job])).await;
                }
            }
            Err(failed) => {
                for job in group {
                    job.answer(Err(failed.to_error()));
                }
            }
        }
    }

    /// Commits batches, and answers what became of each.
    async fn commit(&mut self, batches: &[&Batch]) -> Result<Vec<super::job::Outcome>, Failed> {
        let deadline = Instant::now() + self.options.patience;
        let mut wait = BACKOFF.0;
        let mut doubtful: Option<Plan> = None;
        let mut presume = true;
        let erasures = self.recent.erasures();
        loop {
            let tried = match doubtful.take() {
                Some(plan) => self.send_again(plan).await,
                None => self.send(batches, presume).await,
            };
            match tried {
                Tried::Done(mut plan) => {
                    self.log.committed(&mut plan);
                    self.recent.committed(
                        (Instant::now(), erasures),
                        batches,
                        &plan.outcomes,
                        plan.columns.versions(),
                    );
                    self.head.advance(self.log.head);
                    if !plan.columns.is_empty() {
                        self.appended.advance(self.log.head);
                    }
                    return Ok(plan.outcomes);
                }
                Tried::Again if Instant::now() >= deadline => {
                    let error = "others wrote all the time".to_owned();
                    return Err(Failed::Away { error, unconfirmed: false });
                }
                Tried::Again => {
                    presume = false;
                    wait = BACKOFF.0;
                }
                Tried::Refused(error) => {
                    tracing::warn!(%error, "an append was refused by the server");
                    self.conn = None;
                    return Err(Failed::Refused(error));
                }
                Tried::Away(error, sent) => {
                    self.conn = None;
                    if Instant::now() + wait >= deadline {
                        tracing::error!(%error, "the server is away for longer than the patience");
                        self.log.forget();
                        let unconfirmed = sent.is_some();
                        return Err(Failed::Away { error: error.to_string(), unconfirmed });
                    }
                    tracing::warn!(%error, ?wait, "the server is away");
                    doubtful = sent;
                    sleep(wait).await;
                    wait = (wait * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Decides, and sends what was decided.
    async fn send(&mut self, batches: &[&Batch], presume: bool) -> Tried {
        let limit = self.options.timeout;
        let shares = self.shares_until.is_some_and(|until| Instant::now() < until);
        let mut sent = None;
        let done = timeout(limit, self.try_send(batches, presume && !shares, shares, &mut sent)).await;
        match done {
            Ok(Ok(true)) => sent.map_or(Tried::Again, Tried::Done),
            Ok(Ok(false)) => Tried::Again,
            Ok(Err(error)) => match error.meaning() {
                Meaning::NameTaken => {
                    self.log.forget();
                    Tried::Again
                }
                Meaning::Away => Tried::Away(error, sent.filter(|plan| !plan.columns.is_empty())),
                _ => Tried::Refused(error),
            },
            Err(_) => Tried::Away(Failure::Late, sent.filter(|plan| !plan.columns.is_empty())),
        }
    }

    async fn try_send(
        &mut self,
        batches: &[&Batch],
        presume: bool,
        shares: bool,
        sent: &mut Option<Plan>,
    ) -> Result<bool, Failure> {
        self.conn.take_if(|conn| !conn.lives());
        let fresh = self.conn.is_none();
        let Self { conn, log, options, turn, .. } = self;
        let conn = connected(conn, options).await?;
        if shares {
            let row = conn.begin((LOCK, &[&*turn]), schema::HEAD).await?;
            if log.is_at(schema::head_in(row.as_ref())?) {
                self.shares_until = Some(Instant::now() + SHARES);
            }
            log.learn(conn, batches, presume).await?;
            let plan = sent.insert(log.plan(batches));
            let won = plan.columns.is_empty() || plan.columns.commit(conn).await?;
            conn.end().await?;
            return Ok(won);
        }
        if fresh {
            log.catch_up(conn).await?;
        }
        log.learn(conn, batches, presume).await?;
        let plan = sent.insert(log.plan(batches));
        let won = if plan.columns.is_empty() {
            // What was decided is true if nothing was written since.
            !log.catch_up(conn).await?
        } else {
            plan.columns.commit(conn).await?
        };
        if !won {
            *sent = None;
            log.catch_up(conn).await?;
            self.shares_until = Some(Instant::now() + SHARES);
        }
        Ok(won)
    }

    /// Sends a group again that may have been committed. Whatever the server says of this try, it does not say what
    /// became of the one before: only a place that is taken tells, or the name of a stream, which is looked at when the
    /// place was free.
    async fn send_again(&mut self, plan: Plan) -> Tried {
        let limit = self.options.timeout;
        let sent = async {
            let Self { conn, log, options, .. } = self;
            let conn = connected(conn, options).await?;
            // Waits for what the server may still be doing with the first one.
            if plan.columns.commit(conn).await? || plan.columns.is_there(conn).await? {
                return Ok(true);
            }
            log.catch_up(conn).await?;
            Ok::<_, Failure>(false)
        };
        match timeout(limit, sent).await {
            Ok(Ok(true)) => Tried::Done(plan),
            Ok(Ok(false)) => Tried::Again,
            Ok(Err(error)) if error.meaning() == Meaning::NameTaken => {
                self.log.forget();
                Tried::Again
            }
            Ok(Err(error)) => Tried::Away(error, Some(plan)),
            Err(_) => Tried::Away(Failure::Late, Some(plan)),
        }
    }
}

async fn connected<'a>(
    conn: &'a mut Option<Session>,
    options: &PostgresOptions,
) -> Result<&'a mut Session, Failure> {
    match conn {
        Some(conn) => Ok(conn),
        None => Ok(conn.insert(Session::open(options).await?)),
    }
}

/// Why nothing is known to be in the log.
enum Failed {
    Refused(Failure),
    Away { error: String, unconfirmed: bool },
}

impl Failed {
    fn to_error(&self) -> AppendError {
        match self {
            Self::Refused(error) => error.append_error(),
            Self::Away { error, unconfirmed: true } => {
                AppendError::Unconfirmed { source: error.clone().into() }
            }
            Self::Away { error, unconfirmed: false } => {
                AppendError::Unavailable { source: error.clone().into() }
            }
        }
    }
}
