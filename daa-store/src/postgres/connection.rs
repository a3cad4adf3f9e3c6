//! Connections, set up for their use.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use daa_core::digest::Digest;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::engine::Failure;
use super::options::PostgresOptions;

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

/// Where to connect, and in which schema names are looked up. The server ends what takes longer than the limit for
/// a statement, so that nothing is left behind there either. Connections are called `daa/SCHEMA`, for those who look
/// after the server.
fn to(options: &PostgresOptions) -> Config {
    let mut to = options.connect.clone();
    let settings = format!(
        "-c search_path={} -c statement_timeout={} -c idle_in_transaction_session_timeout={}",
        options.schema,
        options.timeout.as_millis(),
        IDLE_IN_TRANSACTION.as_millis(),
    );
    let given = to.get_options().map(str::to_owned).unwrap_or_default();
    to.options(format!("{given} {settings}").trim_start());
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
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    statements: Vec<(&'static str, Statement)>,
    driver: JoinHandle<()>,
}

impl Session {
    pub(super) async fn open(options: &PostgresOptions) -> Result<Self, Failure> {
        let (client, wire) = connect(options).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = wire.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection has ended");
            }
        });
        Ok(Self { client, statements: Vec::new(), driver })
    }

    /// A statement, prepared once.
    pub(super) async fn prepared(&mut self, sql: &'static str) -> Result<Statement, Failure> {
        if let Some((_, statement)) = self.statements.iter().find(|(known, _)| *known == sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.push((sql, statement.clone()));
        Ok(statement)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A connection that has to be driven.
pub(super) async fn connect(options: &PostgresOptions) -> Result<(Client, Wire), Failure> {
    timeout(options.timeout, to(options).connect(tls(options)?))
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
pub(super) fn pool(options: &PostgresOptions) -> Result<Pool, Failure> {
    // A read that meets a connection that has died is tried again, which costs nothing where it lives.
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(to(options), tls(options)?, config);
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
