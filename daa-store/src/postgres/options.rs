//! What can be chosen about a store.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;
use std::time::Duration;

use daa_core::fault::{Fault, Reaction, Retry};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::connection::uses_tls;

/// Longer names of schemas are cut off by PostgreSQL.
const MAX_SCHEMA: usize = 48;
/// The most partitions.
const MAX_PARTITIONS: u16 = 256;

/// What can be chosen about a [`PostgresEventStore`](super::PostgresEventStore). Its `Debug` form has no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    pub(super) connect: Config,
    pub(super) replicas: Vec<Config>,
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) schema: String,
    pub(super) partitions: NonZeroU16,
    pub(super) connections: (u32, NonZeroU32),
    pub(super) acquire: Duration,
    pub(super) idle: Duration,
    pub(super) queue: NonZeroU32,
    pub(super) timeout: Duration,
    pub(super) patience: Duration,
    pub(super) poll: Duration,
}

impl PostgresOptions {
    /// Options for the server and database of a URL, `postgres://user:password@host:port/database`, or of a string
    /// in the form `host=… user=…`; [`tokio_postgres`](https://docs.rs/tokio-postgres/0.7/tokio_postgres/config/struct.Config.html)
    /// lists the parameters.
    ///
    /// A connection that leaves this machine is encrypted, and the certificate of the server checked, unless the URL
    /// says `sslmode=disable`; one that does not leave it is encrypted with `sslmode=require`.
    ///
    /// The defaults: schema `daa`, eight partitions, up to ten connections for reading, none of which is kept
    /// when idle for ten minutes, five seconds to get one; 256 waiting appends; ten seconds for a statement,
    /// thirty seconds of patience with a server that is away; half a second between two looks for what others
    /// appended and notifications did not tell.
    ///
    /// # Errors
    /// [`PostgresOptionsError::Url`].
    pub fn new(url: &str) -> Result<Self, PostgresOptionsError> {
        Ok(Self {
            connect: parse(url)?,
            replicas: Vec::new(),
            roots: Vec::new(),
            schema: "daa".to_owned(),
            partitions: NonZeroU16::MIN.saturating_add(7),
            connections: (0, NonZeroU32::MIN.saturating_add(9)),
            acquire: Duration::from_secs(5),
            idle: Duration::from_secs(600),
            queue: NonZeroU32::MIN.saturating_add(255),
            timeout: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            poll: Duration::from_millis(500),
        })
    }

    /// The schema that the tables are in. One database may hold the stores of several systems, each in a schema of
    /// its own.
    ///
    /// # Errors
    /// [`PostgresOptionsError::Schema`] for anything but up to 48 lower-case letters, digits and underscores, a
    /// letter first.
    pub fn with_schema(mut self, schema: &str) -> Result<Self, PostgresOptionsError> {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = schema.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !begins || schema.len() > MAX_SCHEMA || !schema.bytes().all(letters) || schema.starts_with("pg_") {
            return Err(PostgresOptionsError::Schema { schema: schema.to_owned() });
        }
        schema.clone_into(&mut self.schema);
        Ok(self)
    }

    /// Adds a replica of the server, by its URL. It is read where the caller allows answers that are somewhat behind
    /// ([`PostgresEventStore::stale`](super::PostgresEventStore::stale)), and nowhere else. Each has as many
    /// connections as the primary has for reading.
    ///
    /// # Errors
    /// [`PostgresOptionsError::Url`].
    pub fn with_replica(mut self, url: &str) -> Result<Self, PostgresOptionsError> {
        self.replicas.push(parse(url)?);
        Ok(self)
    }

    /// Into how many tables the events are divided, by a hash of the first two parts of the name of their stream:
    /// all streams of one agent, or of one run, are in one. It counts when the schema is created, and never again.
    /// 1 to 256.
    #[must_use]
    pub fn with_partitions(mut self, partitions: u16) -> Self {
        self.partitions = NonZeroU16::new(partitions.min(MAX_PARTITIONS)).unwrap_or(NonZeroU16::MIN);
        self
    }

    /// How many connections reads keep at least, and may have at most, at least one. Two more write and listen.
    #[must_use]
    pub fn with_connections(mut self, least: u32, most: u32) -> Self {
        let most = NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN);
        self.connections = (least.min(most.get()), most);
        self
    }

    /// How long a read waits for a connection, a server that is away included; then it is answered with
    /// [`ReadError::Unavailable`](daa_core::event::ReadError::Unavailable).
    #[must_use]
    pub const fn with_acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire = timeout;
        self
    }

    /// After how much idle time a connection beyond the least is closed.
    #[must_use]
    pub const fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = timeout;
        self
    }

    /// How many appends may wait for the writer; those beyond wait to be let in (back-pressure). At least one, and
    /// no more than 65,536. An append of more than a megabyte counts for each megabyte, so that memory is bounded
    /// too.
    #[must_use]
    pub fn with_queue(mut self, appends: u32) -> Self {
        self.queue = NonZeroU32::new(appends.min(1 << 16)).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// How long the server may take for one statement, before the connection is given up. At least 100 ms.
    #[must_use]
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_millis(100));
        self
    }

    /// How long an append goes on trying while the server is away.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How often the store looks for what others appended although no notification came. Notifications are
    /// quicker; this bounds what a lost one costs. At least 10 ms.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval.max(Duration::from_millis(10));
        self
    }

    /// The certificates that the server's may be signed by, in the PEM format, instead of those of the system.
    ///
    /// # Errors
    /// [`PostgresOptionsError::Certificates`] where there are none, or what is there is none.
    pub fn with_root_certificates(mut self, pem: &[u8]) -> Result<Self, PostgresOptionsError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let no = |reason: String| PostgresOptionsError::Certificates { reason };
        self.roots = read.map_err(|error| no(error.to_string()))?;
        if self.roots.is_empty() { Err(no("there are none".to_owned())) } else { Ok(self) }
    }

    /// Where the store is, without anything secret: for errors and logs.
    pub(super) fn place(&self) -> String {
        let host = match self.connect.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => String::new(),
        };
        let port = self.connect.get_ports().first().copied().unwrap_or(5432);
        let database = self.connect.get_dbname().or(self.connect.get_user()).unwrap_or_default();
        format!("postgres://{host}:{port}/{database} schema {}", self.schema)
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("place", &self.place())
            .field("replicas", &self.replicas.len())
            .field("tls", &uses_tls(self))
            .field("partitions", &self.partitions)
            .field("connections", &self.connections)
            .field("acquire", &self.acquire)
            .field("idle", &self.idle)
            .field("queue", &self.queue)
            .field("timeout", &self.timeout)
            .field("patience", &self.patience)
            .field("poll", &self.poll)
            .finish()
    }
}

fn parse(url: &str) -> Result<Config, PostgresOptionsError> {
    // What the parser says of a URL does not repeat it: there may be a password in it.
    let config = Config::from_str(url).map_err(|error| PostgresOptionsError::Url {
        reason: std::error::Error::source(&error).unwrap_or(&error).to_string(),
    })?;
    if config.get_hosts().is_empty() {
        return Err(PostgresOptionsError::Url { reason: "it names no host".to_owned() });
    }
    Ok(config)
}

/// Why options were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresOptionsError {
    /// The URL does not say where a server is.
    #[error("not a URL of a PostgreSQL database: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// They cannot be used.
    #[error("not certificates in the PEM format: {reason}")]
    Certificates {
        /// What is wrong with them.
        reason: String,
    },
    /// The name cannot be that of a schema of ours.
    #[error(
        "{schema:?} cannot be the schema: up to {MAX_SCHEMA} lower-case letters, digits and underscores, a letter first"
    )]
    Schema {
        /// The name.
        schema: String,
    },
}

impl Reaction for PostgresOptionsError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_has_no_password() {
        let options = PostgresOptions::new("postgres://alice:s3cret@db.example/agents").unwrap();
        let printed = format!("{options:?}");
        assert!(printed.contains("postgres://db.example:5432/agents schema daa"), "{printed}");
        assert!(!printed.contains("s3cret"), "{printed}");
        let error = PostgresOptions::new("postgres://alice:s3cret@db.example:port/agents").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn names_of_schemas_are_checked() {
        let options = || PostgresOptions::new("postgres://localhost/test").unwrap();
        for name in ["daa", "swarm_2", &"a".repeat(48)] {
            assert!(options().with_schema(name).is_ok(), "{name}");
        }
        for name in ["", "2", "Daa", "a-b", "a\"; drop schema public", "pg_temp", &"a".repeat(49)] {
            assert!(options().with_schema(name).is_err(), "{name}");
        }
    }
}
