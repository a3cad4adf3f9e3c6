//! All backends of a process, from one configuration.
//!
//! An agent is written against the contracts. Which engines stand behind them, [`BackendsConfig`] says, in one place:
//! a TOML file, environment variables, or both. [`Backends::open`] opens them, and [`Backends::health`] says how they
//! are. So the same program runs embedded, and on a cluster:
//!
//! | | embedded | beyond one machine |
//! |---|---|---|
//! | `[store]` | `sqlite:FILE`, `memory:` | `postgres://…` |
//! | `[bus]` | `memory:` | `nats://…`, `tls://…`, `amqp://…`, `amqps://…` |
//! | `[cache]`: cache, leases, rate limits | `memory:` | `redis://…`, `rediss://…` |
//! | `[artifacts]` | `folder:PATH`, `memory:` | `s3://…`, `gs://…`, `az://…` |
//!
//! Each backend makes a lost connection anew by itself, and goes on where it was; what happens meanwhile is stated, and
//! told by [`health`](Backends::health):
//!
//! | away | what happens |
//! |---|---|
//! | store | appends wait as long as their patience lasts, then they and reads are refused: [`Without::Refuses`] |
//! | bus | publications wait for their confirmation and then fail; a relay keeps its place: [`Without::Waits`] |
//! | cache | values come from their source; leases and limits are refused: [`Without::Slows`] |
//! | artefacts | puts and gets are tried again, then refused: [`Without::Waits`] |

mod config;
mod error;
mod open;
mod probes;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use daa_core::artifact::NamedArtifacts;
use daa_core::bus::EventBus;
use daa_core::cache::Cache;
use daa_core::clock::Clock;
use daa_core::event::EventStore;
#[cfg(doc)]
use daa_core::health::Without;
use daa_core::health::{HealthReport, Probe, examine};
use daa_core::lease::Leases;
use daa_core::limiter::RateLimiter;

pub use self::config::{ArtifactsConfig, BackendsConfig, BusConfig, CacheConfig, Settings, StoreConfig};
pub use error::{BackendsError, ConfigError};
pub use url::BackendUrl;

/// How long each backend may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// The backends of a process. Each is shared by whoever holds a clone.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::sync::Arc;
///
/// use daa_core::clock::SystemClock;
/// use daa_store::backends::{Backends, BackendsConfig};
///
/// # let dir = tempfile::tempdir()?;
/// let mut config = BackendsConfig::load(None)?;
/// let file = dir.path().join("events.db");
/// config.store.url = Some(daa_store::backends::BackendUrl::new(format!("sqlite:{}", file.display())));
/// let backends = Backends::open(&config, Arc::new(SystemClock::new())).await?;
/// println!("{} events", backends.store.head().await?);
/// assert!(backends.health().await.is_ready());
/// backends.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
pub struct Backends {
    /// The event store.
    pub store: Arc<dyn EventStore>,
    /// The bus.
    pub bus: Arc<dyn EventBus>,
    /// The cache that processes share.
    pub cache: Arc<dyn Cache>,
    /// The leases that processes share.
    pub leases: Arc<dyn Leases>,
    /// The rate limits that processes share.
    pub limiter: Arc<dyn RateLimiter>,
    /// The artefacts.
    pub artifacts: Arc<dyn NamedArtifacts>,
    clock: Arc<dyn Clock>,
    probes: Vec<Arc<dyn Probe>>,
}

impl Backends {
    /// Opens everything that the configuration names. Servers of store and bus must be there; that of the cache need
    /// not be, and artefacts are not looked at before they are used.
    ///
    /// # Errors
    /// [`BackendsError`]; what was open by then is closed.
    pub async fn open(config: &BackendsConfig, clock: Arc<dyn Clock>) -> Result<Self, BackendsError> {
        open::open(config, clock).await
    }

    /// How they are, asked all at once, each within five seconds.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn health(&self) -> HealthReport {
        examine(&*self.clock, PATIENCE, &self.probes).await
    }

    /// What asks them how they are, for an orchestrator: store and bus are not among them, which it asks by itself.
    pub fn probes(&self) -> impl Iterator<Item = &Arc<dyn Probe>> {
        self.probes.iter().filter(|probe| !matches!(probe.part(), "store" | "bus"))
    }

    /// Closes bus and store, after the appends that were accepted. An error of the bus at its end is logged: nothing
    /// that it has confirmed depends on it.
    ///
    /// # Cancel safety
    /// As [`EventStore::close`].
    pub async fn close(self) {
        if let Err(error) = self.bus.close().await {
            tracing::warn!(%error, "the bus did not close in good order");
        }
        self.store.close().await;
    }
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backends")
            .field("store", &self.store)
            .field("bus", &self.bus)
            .field("cache", &self.cache)
            .field("artifacts", &self.artifacts)
            .finish_non_exhaustive()
    }
}
