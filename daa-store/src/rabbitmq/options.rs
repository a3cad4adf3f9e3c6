//! What can be chosen about a bus on RabbitMQ.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use daa_core::bus::BusError;
use daa_core::fault::{Fault, Reaction, Retry};
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};

use crate::bus::{BusName, broker};

/// A connection on which nothing comes for two of these is dead, in seconds.
const HEARTBEAT: u16 = 2;

/// What can be chosen about a [`RabbitBus`](super::RabbitBus). Its `Debug` form has no secrets.
#[derive(Clone)]
pub struct RabbitOptions {
    server: AMQPUri,
    roots: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    pub(super) name: BusName,
    pub(super) partitions: u16,
    pub(super) history: bool,
    pub(super) max_bytes: NonZeroU64,
    pub(super) max_age: Duration,
    pub(super) confirm_within: Duration,
    pub(super) idle_limit: Duration,
}

impl RabbitOptions {
    /// The most partitions.
    pub const MAX_PARTITIONS: u16 = 64;

    /// A bus of this name on a broker: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. Four partitions, no
    /// history, up to 1 GiB in each queue and stream; a confirmation is waited for up to ten seconds, and a subscriber
    /// without a group may be away for five minutes.
    ///
    /// # Errors
    /// [`RabbitOptionsError`] when the address is none.
    pub fn new(server: &str, name: BusName) -> Result<Self, RabbitOptionsError> {
        // What the library says of an address may repeat it, and there is a password in it.
        let mut server: AMQPUri = server.parse().map_err(|_| RabbitOptionsError { _private: () })?;
        server.query.heartbeat = Some(HEARTBEAT);
        server.query.connection_timeout = Some(2000);
        Ok(Self {
            server,
            roots: None,
            identity: None,
            name,
            partitions: 4,
            history: false,
            max_bytes: const { NonZeroU64::new(1 << 30).unwrap() },
            max_age: Duration::from_secs(7 * 24 * 3600),
            confirm_within: Duration::from_secs(10),
            idle_limit: Duration::from_secs(300),
        })
    }

    /// Trusts the authorities of a PEM file, too, and insists on TLS.
    #[must_use]
    pub fn with_root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.roots = Some(file.into());
        self.server.scheme = AMQPScheme::AMQPS;
        self
    }

    /// Shows the broker a certificate of ours: PEM files of the chain and of its key, in PKCS #8. Insists on TLS.
    #[must_use]
    pub fn with_client_certificate(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self.server.scheme = AMQPScheme::AMQPS;
        self
    }

    /// How many keys of a group are worked on at once; in `1..=`[`MAX_PARTITIONS`](Self::MAX_PARTITIONS). Everybody who
    /// uses a bus must choose the same. Each subscriber takes a channel for each partition, and one more: RabbitMQ allows
    /// a connection 2,047 of them by default (`channel_max`).
    #[must_use]
    pub fn with_partitions(mut self, partitions: u16) -> Self {
        self.partitions = partitions.clamp(1, Self::MAX_PARTITIONS);
        self
    }

    /// Keeps what is published in a stream, for [`EventBus::replay`](daa_core::bus::EventBus::replay). It costs a second
    /// write of each message, and the broker cannot tell any more that nobody wants one.
    #[must_use]
    pub const fn with_history(mut self, history: bool) -> Self {
        self.history = history;
        self
    }

    /// How much each queue and stream holds. Everybody who uses a bus must choose the same.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: NonZeroU64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long history and dead letters are kept. Everybody who uses a bus must choose the same.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age.max(Duration::from_secs(1));
        self
    }

    /// How long a publisher waits for the broker's confirmation, reconnections included.
    #[must_use]
    pub fn with_confirm_within(mut self, limit: Duration) -> Self {
        self.confirm_within = limit.max(Duration::from_millis(100));
        self
    }

    /// How long a subscriber without a group may be away before the broker forgets it.
    #[must_use]
    pub fn with_idle_limit(mut self, limit: Duration) -> Self {
        self.idle_limit = limit.clamp(Duration::from_secs(10), Duration::from_secs(30 * 24 * 3600));
        self
    }

    pub(super) async fn connect(&self) -> Result<Connection, BusError> {
        crate::tls::name_provider();
        let what = "connect to RabbitMQ";
        let read = async |file: &PathBuf| {
            let file = file.clone();
            let read = tokio::task::spawn_blocking(move || std::fs::read(file)).await;
            read.map_err(|error| broker(what)(error.into()))?.map_err(|error| broker(what)(error.into()))
        };
        let mut tls = OwnedTLSConfig::default();
        if let Some(file) = &self.roots {
            let roots = String::from_utf8(read(file).await?);
            tls.cert_chain = Some(roots.map_err(|error| broker(what)(error.into()))?);
        }
        if let Some((chain, key)) = &self.identity {
            tls.identity = Some(OwnedIdentity::PKCS8 { pem: read(chain).await?, key: read(key).await? });
        }
        let runtime = lapin::runtime::default_runtime().map_err(|error| broker(what)(error.into()))?;
        let properties =
            ConnectionProperties::default().with_connection_name(format!("daa-bus {}", self.name).into());
        let connected =
            Connection::connect_uri_with_config(self.server.clone(), properties, tls, runtime).await;
        connected.map_err(|error| broker(what)(error.into()))
    }
}

impl fmt::Debug for RabbitOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.server.authority;
        f.debug_struct("RabbitOptions")
            .field("scheme", &self.server.scheme)
            .field("host", &authority.host)
            .field("port", &authority.port)
            .field("vhost", &self.server.vhost)
            .field("user", &authority.userinfo.username)
            .field("roots", &self.roots)
            .field("identity", &self.identity)
            .field("name", &self.name)
            .field("partitions", &self.partitions)
            .field("history", &self.history)
            .field("max_bytes", &self.max_bytes)
            .field("max_age", &self.max_age)
            .field("confirm_within", &self.confirm_within)
            .field("idle_limit", &self.idle_limit)
            .finish()
    }
}

/// An address that is none. It is not repeated, because there may be a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address is not one such as amqp://user:password@host:5672/vhost")]
pub struct RabbitOptionsError {
    _private: (),
}

impl Reaction for RabbitOptionsError {
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
    fn what_is_printed_has_no_secrets() {
        let options = |server: &str| RabbitOptions::new(server, "bus".parse().unwrap());
        for server in ["amqp://me:hush@localhost:5672/%2f", "amqp://me:hush@:x:y", "hush://me"] {
            let text = format!("{:?}", options(server));
            assert!(!text.contains("hush"), "{text}");
        }
    }
}
