//! What can be configured, and where it is read from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs};

use config::{Environment, File, FileFormat};
use serde::Deserialize;

use super::error::ConfigError;
use super::url::BackendUrl;

/// What environment variables begin with: `DAA__STORE__URL` is `url` in `[store]`.
const PREFIX: &str = "DAA";
const SEPARATOR: &str = "__";
/// A larger file is no configuration.
const MAX_FILE: u64 = 1 << 20;

/// Which backends a process uses, and how. Read from a TOML file, from the environment, or from both: what the
/// environment says wins. A key that does not exist is refused, and so is one that means nothing to the backend that
/// was chosen.
///
/// Durations are text such as `"5s"` or `"250ms"`. A URL with a password in it can be kept out of the file: with
/// `url_file`, the name of a file that holds nothing else, or by the environment. `Debug` forms and errors have no
/// secrets.
///
/// # Examples
/// ```
/// use daa_store::backends::BackendsConfig;
///
/// let toml = r#"
///     [store]
///     url = "postgres://daa@db.example/agents"
///     max_connections = 20
///
///     [cache]
///     url = "redis://cache.example"
/// "#;
/// let env = [("DAA__STORE__SCHEMA", "swarm"), ("DAA__BUS__URL", "nats://bus.example")];
/// let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
/// let config = BackendsConfig::read(Some(toml), env)?;
/// assert_eq!(config.store.schema.as_deref(), Some("swarm"));
/// # Ok::<(), daa_store::backends::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BackendsConfig {
    /// The event store.
    pub store: StoreConfig,
    /// The bus.
    pub bus: BusConfig,
    /// Cache, leases and rate limits.
    pub cache: CacheConfig,
    /// Artefacts.
    pub artifacts: ArtifactsConfig,
}

/// The event store: `memory:`, `sqlite:FILE` or `postgres://…`. It has no default: nobody is to lose events by
/// forgetting a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StoreConfig {
    /// Where it is.
    pub url: Option<BackendUrl>,
    /// A file with the URL.
    pub url_file: Option<PathBuf>,
    /// SQLite: whether other processes on this machine have it open, too.
    pub shared: Option<bool>,
    /// PostgreSQL: the schema.
    pub schema: Option<String>,
    /// PostgreSQL: how many tables there are; counts when the schema is created.
    pub partitions: Option<u16>,
    /// PostgreSQL: how many connections are kept for reads.
    pub min_connections: Option<u32>,
    /// PostgreSQL: how many connections reads may have.
    pub max_connections: Option<u32>,
    /// PostgreSQL: how long a read waits for a connection.
    #[serde(with = "duration")]
    pub acquire_timeout: Option<Duration>,
    /// PostgreSQL: how long a connection may be idle.
    #[serde(with = "duration")]
    pub idle_timeout: Option<Duration>,
    /// PostgreSQL: how long a statement may take.
    #[serde(with = "duration")]
    pub statement_timeout: Option<Duration>,
    /// PostgreSQL: how long an append goes on trying while the server is away.
    #[serde(with = "duration")]
    pub patience: Option<Duration>,
    /// PostgreSQL: a PEM file of the authorities that may have signed the server's certificate.
    pub ca: Option<PathBuf>,
}

/// The bus: `memory:` (the default), `nats://…` or `tls://…`, `amqp://…` or `amqps://…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BusConfig {
    /// Where it is.
    pub url: Option<BackendUrl>,
    /// A file with the URL.
    pub url_file: Option<PathBuf>,
    /// On a broker: the name of the bus there; `daa` by default.
    pub name: Option<String>,
    /// On a broker: how many keys of a group are worked on at once.
    pub partitions: Option<u16>,
    /// On a broker: how long messages are kept.
    #[serde(with = "duration")]
    pub max_age: Option<Duration>,
    /// On a broker: how long a publisher waits for the confirmation.
    #[serde(with = "duration")]
    pub confirm_within: Option<Duration>,
    /// On a broker: a PEM file of the authorities that may have signed the server's certificate.
    pub ca: Option<PathBuf>,
    /// On a broker: a PEM file with our own certificate.
    pub client_certificate: Option<PathBuf>,
    /// On a broker: a PEM file with the key of our own certificate.
    pub client_key: Option<PathBuf>,
}

/// The cache, leases and rate limits: `memory:` (the default), `redis://…` or `rediss://…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Where it is.
    pub url: Option<BackendUrl>,
    /// A file with the URL.
    pub url_file: Option<PathBuf>,
    /// In memory: the most bytes; 64 MiB by default.
    pub capacity: Option<usize>,
    /// Redis: what all keys begin with.
    pub namespace: Option<String>,
    /// Redis: how long a call may take.
    #[serde(with = "duration")]
    pub timeout: Option<Duration>,
    /// Redis: a PEM file of the authorities that may have signed the server's certificate.
    pub ca: Option<PathBuf>,
}

/// Artefacts: `memory:` (the default), `folder:PATH`, `s3://BUCKET/PREFIX`, `gs://…` or `az://…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ArtifactsConfig {
    /// Where they are.
    pub url: Option<BackendUrl>,
    /// A file with the URL.
    pub url_file: Option<PathBuf>,
    /// Buckets: settings of the cloud beside those in its own environment variables, such as `region` or `endpoint`.
    pub settings: Settings,
    /// Buckets: whether connections may be without TLS, for servers on the same machine.
    pub plain_http: Option<bool>,
}

/// Settings of a cloud, some of which are secret: its `Debug` form has their names only.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Settings(pub BTreeMap<String, String>);

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl BackendsConfig {
    /// Reads a file, if one is given, and the environment of this process: variables that begin with `DAA__`, such as
    /// `DAA__STORE__URL`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match file {
            Some(file) => Some(read_file(file)?),
            None => None,
        };
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::read(text.as_deref(), env::vars_os().filter_map(unicode))
    }

    /// The same from a text and from variables that are given.
    ///
    /// # Errors
    /// [`ConfigError`], but [`ConfigError::File`].
    pub fn read(
        toml: Option<&str>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = toml.unwrap_or_default();
        // What the library below says of a text that it cannot read repeats the line, which may have a secret in it.
        if let Err(error) = text.parse::<toml::Table>() {
            return Err(ConfigError::toml(text, &error));
        }
        let variables = Environment::with_prefix(PREFIX)
            .prefix_separator(SEPARATOR)
            .separator(SEPARATOR)
            .source(Some(environment.into_iter().collect()));
        let sources = config::Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .add_source(variables)
            .build();
        sources.and_then(config::Config::try_deserialize).map_err(ConfigError::read)
    }
}

pub(super) fn read_file(file: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::File { path: file.to_owned(), source };
    let len = fs::metadata(file).map_err(failed)?.len();
    if len > MAX_FILE {
        return Err(ConfigError::FileTooLarge { path: file.to_owned(), len, limit: MAX_FILE });
    }
    fs::read_to_string(file).map_err(failed)
}

/// Durations as people write them.
mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, de};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let duration = humantime::parse_duration(&text);
        duration.map(Some).map_err(|_| de::Error::custom("it is no duration such as \"5s\" or \"250ms\""))
    }
}
