//! Connections, set up for their use.

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use daa_core::digest::Digest;
use daa_core::event::Position;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures_util::FutureExt as _;
use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Connection, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::engine::Failure;
use super::options::PostgresOptions;
use super::schema::{self, Unusable};

/// How long a transaction of ours may be idle before the server ends it: a process that was stopped in the
/// middle must not keep the others waiting.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

/// The server ends what takes longer than the limit for a statement. Where so much later nothing is heard of it, the
/// network lets nothing through.
const SLACK: Duration = Duration::from_secs(1);
/// A connection that is idle is tried after this time, and again after the shorter one, so many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(2), 3);
/// A connection is dead where the other machine has acknowledged nothing for so long.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// The connection as it is driven.
pub(super) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Whose statements a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statements {
    /// Those of the event store. Each has one good plan, whatever its values are: it is made once for each connection.
    /// The server would plan them anew each time, because plans for known values leave out most partitions; but that
    /// takes longer than the reading.
    Ours,
    /// Those of somebody else: the server chooses.
    Anybodys,
}

/// Where to connect, and in which schema names are looked up. The server ends what takes longer than the limit for
/// a statement, so that nothing is left behind there either. Connections are called `daa/SCHEMA`, for those who look
/// after the server.
fn to(options: &PostgresOptions, statements: Statements) -> Config {
    let mut to = options.connect.clone();
    let settings = format!(
        "-c search_path={} -c statement_timeout={} -c idle_in_transaction_session_timeout={}",
        options.schema,
        options.timeout.as_millis(),
        IDLE_IN_TRANSACTION.as_millis(),
    );
    let plans = match statements {
        Statements::Ours => " -c plan_cache_mode=force_generic_plan",
        Statements::Anybodys => "",
    };
    let given = to.get_options().map(str::to_owned).unwrap_or_default();
    to.options(format!("{given} {settings}{plans}").trim_start());
    to.application_name(format!("daa/{}", options.schema)).connect_timeout(options.timeout);
    let (idle, interval, tries) = KEEPALIVE;
    to.keepalives(true).keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(tries);
    to.tcp_user_timeout(UNACKNOWLEDGED);
    to.ssl_mode(if uses_tls(options) { SslMode::Require } else { SslMode::Disable });
    to
}

/// Whether the connection is encrypted: always where it leaves this machine, unless the URL says `sslmode=disable`.
pub(super) fn uses_tls(options: &PostgresOptions) -> bool {
    let is_here = |host: &Host| match host {
        Host::Tcp(host) => matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1"),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    match options.connect.get_ssl_mode() {
        SslMode::Disable => false,
        SslMode::Prefer => !options.connect.get_hosts().iter().all(is_here),
        _ => true,
    }
}

/// Certificates are always checked: against the roots that were given, or those of the system.
fn tls(options: &PostgresOptions) -> Result<MakeRustlsConnect, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    if uses_tls(options) {
        let given = options.roots.clone();
        let certificates = match given.is_empty() {
            true => rustls_native_certs::load_native_certs().certs,
            false => given,
        };
        roots.add_parsable_certificates(certificates);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::NoConnection(error.to_string()))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// One connection, and the statements that were prepared on it. It ends when it is dropped.
///
/// Whoever uses it drives it: a task of its own would be woken for each request and for each answer, which takes as long
/// as the server needs for a small append.
pub(super) struct Session {
    client: Client,
    /// `None` once it has ended.
    wire: Option<Wire>,
    statements: Vec<(&'static str, Statement)>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) async fn open(options: &PostgresOptions) -> Result<Self, Failure> {
        let (client, wire) = connect(options).await?;
        Ok(Self { client, wire: Some(wire), statements: Vec::new() })
    }

    /// Brings the schema to this version, or makes it; answers where the log ends.
    pub(super) async fn set_up(&mut self, options: &PostgresOptions) -> Result<Position, Unusable> {
        let client = &mut self.client;
        let set_up = async {
            schema::migrate(client, options).await?;
            schema::head(client).await.map_err(Unusable::Engine)
        };
        driven(&mut self.wire, set_up).await
    }

    /// Whether it has not ended while nobody used it, as far as is known here.
    pub(super) fn lives(&mut self) -> bool {
        // What it has to say, such as that the server goes down, is read now.
        driven(&mut self.wire, pending::<()>()).now_or_never();
        self.wire.is_some()
    }

    /// Asks, by a statement that is prepared once.
    pub(super) async fn query(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        let statement = self.prepared(sql).await?;
        Ok(driven(&mut self.wire, self.client.query(&statement, values)).await?)
    }

    /// The same, where there is one row at most.
    pub(super) async fn query_opt(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Failure> {
        let statement = self.prepared(sql).await?;
        Ok(driven(&mut self.wire, self.client.query_opt(&statement, values)).await?)
    }

    /// Begins a transaction, waits in it for `first`, and asks, on one way there and back.
    pub(super) async fn begin(
        &mut self,
        (first, values): (&'static str, &[&(dyn ToSql + Sync)]),
        then: &'static str,
    ) -> Result<Option<Row>, Failure> {
        let (first, then) = (self.prepared(first).await?, self.prepared(then).await?);
        let client = &self.client;
        let asked = async {
            let (_, _, row) = tokio::try_join!(
                client.batch_execute("BEGIN"),
                client.query(&first, values),
                client.query_opt(&then, &[]),
            )?;
            Ok(row)
        };
        driven(&mut self.wire, asked).await
    }

    pub(super) async fn end(&mut self) -> Result<(), Failure> {
        Ok(driven(&mut self.wire, self.client.batch_execute("COMMIT")).await?)
    }

    async fn prepared(&mut self, sql: &'static str) -> Result<Statement, Failure> {
        if let Some((_, statement)) = self.statements.iter().find(|(known, _)| *known == sql) {
            return Ok(statement.clone());
        }
        let statement = driven(&mut self.wire, self.client.prepare(sql)).await?;
        self.statements.push((sql, statement.clone()));
        Ok(statement)
    }
}

/// Performs what is asked on a connection, and the connection with it.
async fn driven<T>(wire: &mut Option<Wire>, asked: impl Future<Output = T>) -> T {
    let mut asked = pin!(asked);
    poll_fn(|cx| {
        if let Poll::Ready(done) = asked.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        let Some(open) = wire else { return Poll::Pending };
        if let Poll::Ready(ended) = Pin::new(open).poll(cx) {
            tracing::debug!(?ended, "a connection has ended");
            *wire = None;
        }
        // With what has come, or with the news that nothing will.
        asked.as_mut().poll(cx)
    })
    .await
}

/// A connection that has to be driven.
pub(super) async fn connect(options: &PostgresOptions) -> Result<(Client, Wire), Failure> {
    timeout(options.timeout, to(options, Statements::Ours).connect(tls(options)?))
        .await
        .map_err(|_| Failure::Late)?
        .map_err(Failure::from)
}

/// How long the answers to one statement may take to arrive.
pub(super) const fn limit(options: &PostgresOptions) -> Duration {
    options.timeout.saturating_add(SLACK)
}

/// What is done on a connection, or that it was not answered in time: then the connection is of no use any more.
pub(super) async fn in_time<T>(
    limit: Duration,
    done: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(limit, done).await.unwrap_or(Err(Failure::Late))
}

/// Gives a connection back to its pool, unless it was not answered in time.
pub(super) fn give_back<T>(
    client: deadpool_postgres::Client,
    done: Result<T, Failure>,
) -> Result<T, Failure> {
    if matches!(done, Err(Failure::Late)) {
        drop(deadpool_postgres::Client::take(client));
    }
    done
}

/// The connections that read.
pub(super) fn pool(options: &PostgresOptions, statements: Statements) -> Result<Pool, Failure> {
    // A read that meets a connection that has died is tried again, which costs nothing where it lives.
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(to(options, statements), tls(options)?, config);
    let (_, most) = options.connections;
    Pool::builder(manager)
        .max_size(most.get() as usize)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(options.acquire))
        .create_timeout(Some(options.acquire))
        .build()
        .map_err(|error| Failure::NoConnection(error.to_string()))
}

/// Closes the connections that were idle for too long, but keeps the least.
pub(super) fn prune(pool: &Pool, options: &PostgresOptions) {
    let (least, _) = options.connections;
    let mut kept = 0;
    pool.retain(|_, metrics| {
        let keeps = kept < least || metrics.last_used() < options.idle;
        kept += u32::from(keeps);
        keeps
    });
}

/// The number of an advisory lock of a schema: they are shared by the whole database.
pub(super) fn lock_key(purpose: &str, schema: &str) -> i64 {
    let digest = Digest::builder("daa postgres lock v1").field(purpose.as_bytes()).field(schema.as_bytes());
    first_eight(&digest.finish())
}

pub(super) fn first_eight(digest: &Digest) -> i64 {
    digest.as_bytes().first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}
