//! What can be chosen about a bus on NATS.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use daa_core::bus::BusError;
use daa_core::fault::{Fault, Reaction, Retry};

use crate::bus::{BusName, Secret, broker};

/// What can be chosen about a [`NatsBus`](super::NatsBus). Its `Debug` form has no secrets.
#[derive(Clone)]
pub struct NatsOptions {
    servers: Vec<ServerAddr>,
    access: Access,
    roots: Vec<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    require_tls: bool,
    pub(super) name: BusName,
    pub(super) partitions: u16,
    pub(super) replicas: usize,
    pub(super) max_bytes: NonZeroU64,
    pub(super) max_age: Duration,
    pub(super) duplicate_window: Duration,
    pub(super) confirm_within: Duration,
    pub(super) idle_limit: Duration,
}

#[derive(Clone, Debug)]
enum Access {
    /// What the address says, or nothing.
    Address,
    Password {
        user: String,
        password: Secret,
    },
    Token(Secret),
    CredentialsFile(PathBuf),
}

impl NatsOptions {
    /// The most partitions.
    pub const MAX_PARTITIONS: u16 = 64;
    /// The longest window of ids that are remembered, as the server must find them again when it starts.
    pub const MAX_DUPLICATE_WINDOW: Duration = Duration::from_secs(3600);

    /// A bus of this name on a server: `nats://host:port`, or `tls://host:port`. Four partitions, one replica, up to
    /// 1 GiB of messages for up to seven days; ids are remembered for two minutes, a confirmation is waited for up to
    /// ten seconds, and a subscriber without a group may be away for five minutes.
    ///
    /// # Errors
    /// [`NatsOptionsError`] when the address is none.
    pub fn new(server: &str, name: BusName) -> Result<Self, NatsOptionsError> {
        let options = Self {
            servers: Vec::new(),
            access: Access::Address,
            roots: Vec::new(),
            identity: None,
            require_tls: false,
            name,
            partitions: 4,
            replicas: 1,
            max_bytes: const { NonZeroU64::new(1 << 30).unwrap() },
            max_age: Duration::from_secs(7 * 24 * 3600),
            duplicate_window: Duration::from_secs(120),
            confirm_within: Duration::from_secs(10),
            idle_limit: Duration::from_secs(300),
        };
        options.with_server(server)
    }

    /// Another server of the same cluster.
    ///
    /// # Errors
    /// [`NatsOptionsError`] when the address is none.
    pub fn with_server(mut self, server: &str) -> Result<Self, NatsOptionsError> {
        // What the library says of an address may repeat it, and there may be a password in it.
        let address = server.parse().map_err(|_| NatsOptionsError { index: self.servers.len() })?;
        self.servers.push(address);
        Ok(self)
    }

    /// Signs in with a user and a password.
    #[must_use]
    pub fn with_password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.access = Access::Password { user: user.into(), password: Secret::new(password) };
        self
    }

    /// Signs in with a token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.access = Access::Token(Secret::new(token));
        self
    }

    /// Signs in with a credentials file: a user's JWT and its seed.
    #[must_use]
    pub fn with_credentials_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.access = Access::CredentialsFile(file.into());
        self
    }

    /// Trusts the authorities of a PEM file instead of the system's, and insists on TLS.
    #[must_use]
    pub fn with_root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.roots.push(file.into());
        self.require_tls = true;
        self
    }

    /// Shows the server a certificate of ours: PEM files of the chain and of its key. Insists on TLS.
    #[must_use]
    pub fn with_client_certificate(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self.require_tls = true;
        self
    }

    /// Insists on TLS.
    #[must_use]
    pub const fn with_tls(mut self) -> Self {
        self.require_tls = true;
        self
    }

    /// How many keys of a group are worked on at once; in `1..=`[`MAX_PARTITIONS`](Self::MAX_PARTITIONS). Everybody who
    /// uses a bus must choose the same.
    #[must_use]
    pub fn with_partitions(mut self, partitions: u16) -> Self {
        self.partitions = partitions.clamp(1, Self::MAX_PARTITIONS);
        self
    }

    /// How many servers keep each message; for a bus that does not exist yet.
    #[must_use]
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas.clamp(1, 5);
        self
    }

    /// How much the stream of messages holds; for a bus that does not exist yet.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: NonZeroU64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long messages are kept, whether groups have seen them or not; for a bus that does not exist yet.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age.max(Duration::from_secs(1));
        self
    }

    /// How long the id of a message is remembered, up to [`MAX_DUPLICATE_WINDOW`](Self::MAX_DUPLICATE_WINDOW); for a bus
    /// that does not exist yet.
    #[must_use]
    pub fn with_duplicate_window(mut self, window: Duration) -> Self {
        self.duplicate_window = window.clamp(Duration::from_secs(1), Self::MAX_DUPLICATE_WINDOW);
        self
    }

    /// How long a publisher waits for the server's confirmation, reconnections included.
    #[must_use]
    pub fn with_confirm_within(mut self, limit: Duration) -> Self {
        self.confirm_within = limit.max(Duration::from_millis(100));
        self
    }

    /// How long a subscriber without a group may be away before the server forgets it.
    #[must_use]
    pub fn with_idle_limit(mut self, limit: Duration) -> Self {
        self.idle_limit = limit.max(Duration::from_secs(10));
        self
    }

    pub(super) async fn connect(&self, client: ConnectOptions) -> Result<async_nats::Client, BusError> {
        let what = "connect to NATS";
        crate::tls::name_provider();
        let mut client = client.name(format!("daa-bus {}", self.name)).require_tls(self.require_tls);
        client = match &self.access {
            Access::Address => client,
            Access::Password { user, password } => {
                client.user_and_password(user.clone(), password.reveal().to_owned())
            }
            Access::Token(token) => client.token(token.reveal().to_owned()),
            Access::CredentialsFile(file) => {
                client.credentials_file(file).await.map_err(|error| broker(what)(error.into()))?
            }
        };
        for file in &self.roots {
            client = client.add_root_certificates(file.clone());
        }
        if let Some((chain, key)) = &self.identity {
            client = client.add_client_certificate(chain.clone(), key.clone());
        }
        client.connect(self.servers.clone()).await.map_err(|error| broker(what)(error.into()))
    }
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(|server| (server.host(), server.port())).collect();
        f.debug_struct("NatsOptions")
            .field("servers", &servers)
            .field("access", &self.access)
            .field("roots", &self.roots)
            .field("identity", &self.identity)
            .field("require_tls", &self.require_tls)
            .field("name", &self.name)
            .field("partitions", &self.partitions)
            .field("replicas", &self.replicas)
            .field("max_bytes", &self.max_bytes)
            .field("max_age", &self.max_age)
            .field("duplicate_window", &self.duplicate_window)
            .field("confirm_within", &self.confirm_within)
            .field("idle_limit", &self.idle_limit)
            .finish()
    }
}

/// An address that is none. It is not repeated, because there may be a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server {index} is not an address such as nats://host:4222 or tls://host:4222")]
#[non_exhaustive]
pub struct NatsOptionsError {
    /// Which one, from 0.
    pub index: usize,
}

impl Reaction for NatsOptionsError {
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
        let options = |server: &str| NatsOptions::new(server, "bus".parse().unwrap());
        let address = options("nats://me:hush-1@localhost:4222").unwrap();
        let printed = [
            format!("{address:?}"),
            format!("{:?}", address.clone().with_password("me", "hush-2")),
            format!("{:?}", address.with_token("hush-3")),
            format!("{:?}", options("nats://me:hush-4@:x:y:z")),
        ];
        for text in printed {
            assert!(!text.contains("hush"), "{text}");
        }
    }
}
