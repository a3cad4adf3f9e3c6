//! What can be chosen about a connection.

use std::fmt;
use std::time::Duration;

use daa_core::fault::{Fault, Reaction, Retry};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates};

use super::namespace::Namespace;

/// What can be chosen about a [`Redis`](super::Redis). Its `Debug` form has no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisOptions {
    info: ConnectionInfo,
    root_certificates: Option<Vec<u8>>,
    pub(super) namespace: Namespace,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) heartbeat: Duration,
}

impl RedisOptions {
    /// Options for the server of a URL: `redis://user:password@host:port/database`, or `rediss://…` with TLS. The
    /// certificate of the server is always checked, by default against the roots that this machine trusts.
    ///
    /// The defaults: name space `daa`; one second for a call, two to connect; a heartbeat every second.
    ///
    /// # Errors
    /// [`RedisOptionsError::Url`], also for one that asks not to check certificates.
    pub fn new(url: &str) -> Result<Self, RedisOptionsError> {
        let refused = |reason: &str| RedisOptionsError::Url { reason: reason.to_owned() };
        let info = url.into_connection_info().map_err(|error| refused(reason(&error)))?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
            return Err(refused("certificates are always checked"));
        }
        Ok(Self {
            info,
            root_certificates: None,
            namespace: Namespace::default(),
            timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(2),
            heartbeat: Duration::from_secs(1),
        })
    }

    /// What all keys begin with: one server may serve several systems.
    ///
    /// # Errors
    /// [`RedisOptionsError::Namespace`] for anything but up to 48 letters, digits, `_`, `-` and `.`.
    pub fn with_namespace(mut self, namespace: &str) -> Result<Self, RedisOptionsError> {
        self.namespace = Namespace::new(namespace)?;
        Ok(self)
    }

    /// The certificates, in PEM, of those who may have signed the server's, in place of the machine's roots. They count
    /// only with `rediss://`.
    #[must_use]
    pub fn with_root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// How long a call may take. At least one millisecond.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit.max(Duration::from_millis(1));
        self
    }

    /// How long it may take to connect. At least one millisecond.
    #[must_use]
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit.max(Duration::from_millis(1));
        self
    }

    /// How often the server is asked whether it is there. When it does not answer in time, the connection is made anew.
    /// At least 10 ms.
    #[must_use]
    pub fn with_heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval.max(Duration::from_millis(10));
        self
    }

    pub(super) fn client(&self) -> Result<Client, RedisOptionsError> {
        crate::tls::name_provider();
        let client = match (&self.root_certificates, self.info.addr()) {
            (Some(pem), ConnectionAddr::TcpTls { .. }) => {
                let root_cert = Some(pem.clone());
                Client::build_with_tls(self.info.clone(), TlsCertificates { client_tls: None, root_cert })
            }
            _ => Client::open(self.info.clone()),
        };
        client.map_err(|error| RedisOptionsError::Certificates { reason: reason(&error).to_owned() })
    }

    /// Where the server is, without anything secret: for errors and logs.
    pub(super) fn place(&self) -> String {
        let tls = if matches!(self.info.addr(), ConnectionAddr::TcpTls { .. }) { "rediss" } else { "redis" };
        format!("{tls}://{}/{}", self.info.addr(), self.info.redis_settings().db())
    }
}

/// What redis says of a URL may repeat parts of it; its fixed texts do not.
fn reason(error: &redis::RedisError) -> &'static str {
    match error.kind() {
        redis::ErrorKind::InvalidClientConfig => "redis does not accept it",
        _ => "it does not parse",
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("place", &self.place())
            .field("namespace", &self.namespace)
            .field("own_roots", &self.root_certificates.is_some())
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("heartbeat", &self.heartbeat)
            .finish()
    }
}

/// Why options were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOptionsError {
    /// The URL does not say where a server is.
    #[error("not the URL of a Redis server, such as redis://host:6379/0: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates are none.
    #[error("not certificates in PEM: {reason}")]
    Certificates {
        /// What is wrong with them.
        reason: String,
    },
    /// The name cannot begin our keys.
    #[error("{namespace:?} cannot be a name space: up to 48 letters, digits, `_`, `-` and `.`")]
    Namespace {
        /// The name.
        namespace: String,
    },
}

impl Reaction for RedisOptionsError {
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
        let options = RedisOptions::new("rediss://alice:s3cret@cache.example:6380/2").unwrap();
        let printed = format!("{options:?}");
        assert!(printed.contains("rediss://cache.example:6380/2"), "{printed}");
        assert!(!printed.contains("s3cret"), "{printed}");
        for url in ["redis://alice:s3cret@cache.example:port", "redis://:s3cret@", "http://:s3cret@a/"] {
            let error = RedisOptions::new(url).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn certificates_are_always_checked() {
        assert!(RedisOptions::new("rediss://localhost:6380/#insecure").is_err());
        assert!(RedisOptions::new("rediss://localhost:6380/").is_ok());
        let options = RedisOptions::new("rediss://localhost:6380/").unwrap();
        let nonsense = options.with_root_certificates("-----BEGIN CERTIFICATE-----\nnonsense\n");
        assert!(matches!(nonsense.client(), Err(RedisOptionsError::Certificates { .. })));
    }

    #[test]
    fn name_spaces_are_checked() {
        let options = || RedisOptions::new("redis://localhost").unwrap();
        for name in ["daa", "Swarm-2.b_c", &"a".repeat(48)] {
            assert!(options().with_namespace(name).is_ok(), "{name}");
        }
        for name in ["", "a:b", "a*", "a b", &"a".repeat(49)] {
            assert!(options().with_namespace(name).is_err(), "{name}");
        }
    }
}
