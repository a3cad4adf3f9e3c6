//! From a configuration to backends.

#[cfg(not(all(feature = "nats", feature = "postgres", feature = "rabbitmq", feature = "sqlite")))]
use std::future::{Ready, ready};
use std::path::PathBuf;
use std::sync::Arc;

use daa_core::artifact::{MemoryArtifacts, NamedArtifacts};
use daa_core::bus::{EventBus, InProcessBus};
use daa_core::cache::{Cache, MemoryCache};
use daa_core::clock::Clock;
use daa_core::event::{EventStore, MemoryEventStore};
use daa_core::health::{BusProbe, Probe, StoreProbe};
use daa_core::lease::{Leases, MemoryLeases};
use daa_core::limiter::{MemoryRateLimiter, RateLimiter};

use super::Backends;
use super::config::{ArtifactsConfig, BackendsConfig, BusConfig, CacheConfig, StoreConfig, read_file};
use super::error::{BackendsError, ConfigError};
use super::url::BackendUrl;
use crate::folder::FolderArtifacts;

/// What a cache in memory holds unless something else is said.
const CAPACITY: usize = 64 << 20;

pub(super) async fn open(config: &BackendsConfig, clock: Arc<dyn Clock>) -> Result<Backends, BackendsError> {
    // What needs no server first: a mistake in it is found before anything is connected.
    let artifacts = artifacts(&config.artifacts, &clock)?;
    let (shared, cache_probe) = shared(&config.cache, &clock)?;
    let store = store(&config.store).await?;
    let bus = match bus(&config.bus, &clock).await {
        Ok(bus) => bus,
        Err(error) => {
            store.close().await;
            return Err(error);
        }
    };
    let mut probes: Vec<Arc<dyn Probe>> =
        vec![Arc::new(StoreProbe::new(store.clone(), clock.clone())), Arc::new(BusProbe::new(bus.clone()))];
    probes.extend(cache_probe);
    probes.push(Arc::new(super::probes::ArtifactsProbe::new(artifacts.clone(), clock.clone())));
    let Shared { cache, leases, limiter } = shared;
    Ok(Backends { store, bus, cache, leases, limiter, artifacts, clock, probes })
}

/// The URL, from the place where it is.
fn url(
    url: Option<&BackendUrl>,
    file: Option<&PathBuf>,
    keys: [&'static str; 2],
) -> Result<Option<BackendUrl>, ConfigError> {
    match (url, file) {
        (Some(_), Some(_)) => Err(ConfigError::Both { key: keys[0], other: keys[1] }),
        (Some(url), None) => Ok(Some(url.clone())),
        (None, Some(file)) => Ok(Some(BackendUrl::new(read_file(file)?.trim()))),
        (None, None) => Ok(None),
    }
}

/// Refuses what is said of another backend than the one that was chosen.
struct Keys<'a>(&'a BackendUrl);

impl Keys<'_> {
    fn refuse(&self, keys: &[(&'static str, bool)]) -> Result<(), ConfigError> {
        match keys.iter().find(|(_, said)| *said) {
            Some((key, _)) => Err(ConfigError::Misplaced { key, scheme: self.0.scheme().to_owned() }),
            None => Ok(()),
        }
    }
}

fn of_postgres(config: &StoreConfig) -> [(&'static str, bool); 9] {
    [
        ("store.schema", config.schema.is_some()),
        ("store.partitions", config.partitions.is_some()),
        ("store.min_connections", config.min_connections.is_some()),
        ("store.max_connections", config.max_connections.is_some()),
        ("store.acquire_timeout", config.acquire_timeout.is_some()),
        ("store.idle_timeout", config.idle_timeout.is_some()),
        ("store.statement_timeout", config.statement_timeout.is_some()),
        ("store.patience", config.patience.is_some()),
        ("store.ca", config.ca.is_some()),
    ]
}

async fn store(config: &StoreConfig) -> Result<Arc<dyn EventStore>, BackendsError> {
    let key = "store.url";
    let expected = "such as sqlite:events.db or postgres://…";
    let url = url(config.url.as_ref(), config.url_file.as_ref(), [key, "store.url_file"])?
        .ok_or(ConfigError::Missing { key, expected })?;
    let keys = Keys(&url);
    let shared = ("store.shared", config.shared.is_some());
    match url.scheme() {
        "memory" => {
            keys.refuse(&of_postgres(config))?;
            keys.refuse(&[shared])?;
            Ok(Arc::new(MemoryEventStore::new()))
        }
        "sqlite" => {
            keys.refuse(&of_postgres(config))?;
            sqlite(config, url.path()).await
        }
        "postgres" | "postgresql" => {
            keys.refuse(&[shared])?;
            postgres(config, &url).await
        }
        scheme => {
            let known = "memory, sqlite, postgres";
            Err(ConfigError::Scheme { key, scheme: scheme.to_owned(), known }.into())
        }
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite(config: &StoreConfig, path: &str) -> Result<Arc<dyn EventStore>, BackendsError> {
    use crate::sqlite::{Sharing, SqliteEventStore, SqliteOptions};

    if path.is_empty() {
        return Err(ConfigError::NoFile { key: "store.url" }.into());
    }
    let shared = config.shared.unwrap_or_default();
    let sharing = if shared { Sharing::Processes } else { Sharing::Exclusive };
    let (path, options) = (PathBuf::from(path), SqliteOptions::default().with_sharing(sharing));
    // It blocks while it examines what is there.
    let opened = tokio::task::spawn_blocking(move || SqliteEventStore::open(path, options)).await;
    match opened {
        Ok(store) => Ok(Arc::new(store.map_err(BackendsError::Store)?)),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &StoreConfig, _: &str) -> Ready<Result<Arc<dyn EventStore>, BackendsError>> {
    ready(Err(ConfigError::Feature { key: "store.url", feature: "sqlite" }.into()))
}

#[cfg(feature = "postgres")]
async fn postgres(config: &StoreConfig, url: &BackendUrl) -> Result<Arc<dyn EventStore>, BackendsError> {
    use crate::postgres::{PostgresEventStore, PostgresOptions};

    let refused = |error: crate::postgres::PostgresOptionsError| ConfigError::refused("store.url", error);
    let mut options = PostgresOptions::new(url.reveal()).map_err(refused)?;
    if let Some(schema) = &config.schema {
        options = options.with_schema(schema).map_err(|error| ConfigError::refused("store.schema", error))?;
    }
    if let Some(partitions) = config.partitions {
        options = options.with_partitions(partitions);
    }
    if config.min_connections.is_some() || config.max_connections.is_some() {
        let least = config.min_connections.unwrap_or(0);
        options = options.with_connections(least, config.max_connections.unwrap_or(least.max(10)));
    }
    if let Some(limit) = config.acquire_timeout {
        options = options.with_acquire_timeout(limit);
    }
    if let Some(limit) = config.idle_timeout {
        options = options.with_idle_timeout(limit);
    }
    if let Some(limit) = config.statement_timeout {
        options = options.with_statement_timeout(limit);
    }
    if let Some(patience) = config.patience {
        options = options.with_patience(patience);
    }
    if let Some(ca) = &config.ca {
        let refused = |error| ConfigError::refused("store.ca", error);
        options = options.with_root_certificates(read_file(ca)?.as_bytes()).map_err(refused)?;
    }
    Ok(Arc::new(PostgresEventStore::open(options).await.map_err(BackendsError::Store)?))
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &StoreConfig, _: &BackendUrl) -> Ready<Result<Arc<dyn EventStore>, BackendsError>> {
    ready(Err(ConfigError::Feature { key: "store.url", feature: "postgres" }.into()))
}

async fn bus(config: &BusConfig, clock: &Arc<dyn Clock>) -> Result<Arc<dyn EventBus>, BackendsError> {
    let key = "bus.url";
    let url = url(config.url.as_ref(), config.url_file.as_ref(), [key, "bus.url_file"])?
        .unwrap_or_else(|| BackendUrl::new("memory:"));
    match url.scheme() {
        "memory" => {
            Keys(&url).refuse(&[
                ("bus.name", config.name.is_some()),
                ("bus.partitions", config.partitions.is_some()),
                ("bus.max_age", config.max_age.is_some()),
                ("bus.confirm_within", config.confirm_within.is_some()),
                ("bus.ca", config.ca.is_some()),
                ("bus.client_certificate", config.client_certificate.is_some()),
                ("bus.client_key", config.client_key.is_some()),
            ])?;
            Ok(Arc::new(InProcessBus::new(clock.clone())))
        }
        "nats" | "tls" => nats(config, &url, clock).await,
        "amqp" | "amqps" => rabbitmq(config, &url, clock).await,
        scheme => {
            let known = "memory, nats, tls, amqp, amqps";
            Err(ConfigError::Scheme { key, scheme: scheme.to_owned(), known }.into())
        }
    }
}

#[cfg(any(feature = "nats", feature = "rabbitmq"))]
fn bus_name(config: &BusConfig) -> Result<crate::bus::BusName, ConfigError> {
    let name = config.name.as_deref().unwrap_or("daa");
    name.parse().map_err(|error: crate::bus::BusNameError| ConfigError::refused("bus.name", error))
}

/// Certificate and key of our own, which come together.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
fn identity(config: &BusConfig) -> Result<Option<(&PathBuf, &PathBuf)>, ConfigError> {
    match (&config.client_certificate, &config.client_key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(ConfigError::Missing { key: "bus.client_key", expected: "the key of bus.client_certificate" })
        }
        (None, Some(_)) => Err(ConfigError::Missing {
            key: "bus.client_certificate",
            expected: "the certificate of bus.client_key",
        }),
    }
}

/// What both brokers' options are told.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
macro_rules! broker_options {
    ($options:expr, $config:expr) => {{
        let (mut options, config) = ($options, $config);
        if let Some(partitions) = config.partitions {
            options = options.with_partitions(partitions);
        }
        if let Some(age) = config.max_age {
            options = options.with_max_age(age);
        }
        if let Some(limit) = config.confirm_within {
            options = options.with_confirm_within(limit);
        }
        if let Some(ca) = &config.ca {
            options = options.with_root_certificates(ca);
        }
        if let Some((certificate, key)) = identity(config)? {
            options = options.with_client_certificate(certificate, key);
        }
        options
    }};
}

#[cfg(feature = "nats")]
async fn nats(
    config: &BusConfig,
    url: &BackendUrl,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn EventBus>, BackendsError> {
    use crate::nats::{NatsBus, NatsOptions, NatsOptionsError};

    let refused = |error: NatsOptionsError| ConfigError::refused("bus.url", error);
    let options = NatsOptions::new(url.reveal(), bus_name(config)?).map_err(refused)?;
    let options = broker_options!(options, config);
    Ok(Arc::new(NatsBus::connect(options, clock.clone()).await.map_err(BackendsError::Bus)?))
}

#[cfg(not(feature = "nats"))]
fn nats(
    _: &BusConfig,
    _: &BackendUrl,
    _: &Arc<dyn Clock>,
) -> Ready<Result<Arc<dyn EventBus>, BackendsError>> {
    ready(Err(ConfigError::Feature { key: "bus.url", feature: "nats" }.into()))
}

#[cfg(feature = "rabbitmq")]
async fn rabbitmq(
    config: &BusConfig,
    url: &BackendUrl,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn EventBus>, BackendsError> {
    use crate::rabbitmq::{RabbitBus, RabbitOptions, RabbitOptionsError};

    let refused = |error: RabbitOptionsError| ConfigError::refused("bus.url", error);
    let options = RabbitOptions::new(url.reveal(), bus_name(config)?).map_err(refused)?;
    let options = broker_options!(options, config);
    Ok(Arc::new(RabbitBus::connect(options, clock.clone()).await.map_err(BackendsError::Bus)?))
}

#[cfg(not(feature = "rabbitmq"))]
fn rabbitmq(
    _: &BusConfig,
    _: &BackendUrl,
    _: &Arc<dyn Clock>,
) -> Ready<Result<Arc<dyn EventBus>, BackendsError>> {
    ready(Err(ConfigError::Feature { key: "bus.url", feature: "rabbitmq" }.into()))
}

/// What processes share for a while.
struct Shared {
    cache: Arc<dyn Cache>,
    leases: Arc<dyn Leases>,
    limiter: Arc<dyn RateLimiter>,
}

type Probed<T> = (T, Option<Arc<dyn Probe>>);

fn shared(config: &CacheConfig, clock: &Arc<dyn Clock>) -> Result<Probed<Shared>, ConfigError> {
    let key = "cache.url";
    let url = url(config.url.as_ref(), config.url_file.as_ref(), [key, "cache.url_file"])?
        .unwrap_or_else(|| BackendUrl::new("memory:"));
    let keys = Keys(&url);
    match url.scheme() {
        "memory" => {
            keys.refuse(&[
                ("cache.namespace", config.namespace.is_some()),
                ("cache.timeout", config.timeout.is_some()),
                ("cache.ca", config.ca.is_some()),
            ])?;
            let capacity = config.capacity.unwrap_or(CAPACITY);
            let shared = Shared {
                cache: Arc::new(MemoryCache::new(capacity, clock.clone())),
                leases: Arc::new(MemoryLeases::new(clock.clone())),
                limiter: Arc::new(MemoryRateLimiter::new(clock.clone())),
            };
            Ok((shared, None))
        }
        "redis" | "rediss" => {
            keys.refuse(&[("cache.capacity", config.capacity.is_some())])?;
            redis(config, &url, clock)
        }
        scheme => Err(ConfigError::Scheme { key, scheme: scheme.to_owned(), known: "memory, redis, rediss" }),
    }
}

#[cfg(feature = "redis")]
fn redis(
    config: &CacheConfig,
    url: &BackendUrl,
    clock: &Arc<dyn Clock>,
) -> Result<Probed<Shared>, ConfigError> {
    use crate::redis::{Redis, RedisCache, RedisLeases, RedisOptions, RedisRateLimiter};

    let mut options =
        RedisOptions::new(url.reveal()).map_err(|error| ConfigError::refused("cache.url", error))?;
    if let Some(namespace) = &config.namespace {
        let refused = |error| ConfigError::refused("cache.namespace", error);
        options = options.with_namespace(namespace).map_err(refused)?;
    }
    if let Some(limit) = config.timeout {
        options = options.with_timeout(limit);
    }
    if let Some(ca) = &config.ca {
        options = options.with_root_certificates(read_file(ca)?);
    }
    let redis = Redis::connect(options).map_err(|error| ConfigError::refused("cache.ca", error))?;
    let shared = Shared {
        cache: Arc::new(RedisCache::new(redis.clone())),
        leases: Arc::new(RedisLeases::new(redis.clone(), clock.clone())),
        limiter: Arc::new(RedisRateLimiter::new(redis.clone())),
    };
    Ok((shared, Some(Arc::new(super::probes::RedisProbe::new(redis)))))
}

#[cfg(not(feature = "redis"))]
fn redis(_: &CacheConfig, _: &BackendUrl, _: &Arc<dyn Clock>) -> Result<Probed<Shared>, ConfigError> {
    Err(ConfigError::Feature { key: "cache.url", feature: "redis" })
}

fn artifacts(
    config: &ArtifactsConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn NamedArtifacts>, BackendsError> {
    let key = "artifacts.url";
    let url = url(config.url.as_ref(), config.url_file.as_ref(), [key, "artifacts.url_file"])?
        .unwrap_or_else(|| BackendUrl::new("memory:"));
    let of_buckets = [
        ("artifacts.settings", !config.settings.0.is_empty()),
        ("artifacts.plain_http", config.plain_http.is_some()),
    ];
    match url.scheme() {
        "memory" => {
            Keys(&url).refuse(&of_buckets)?;
            Ok(Arc::new(MemoryArtifacts::with_clock(clock.clone())))
        }
        "folder" => {
            Keys(&url).refuse(&of_buckets)?;
            Ok(Arc::new(FolderArtifacts::open(url.path()).map_err(BackendsError::Artifacts)?))
        }
        "s3" | "gs" | "az" => Ok(bucket(config, &url)?),
        scheme => {
            let known = "memory, folder, s3, gs, az";
            Err(ConfigError::Scheme { key, scheme: scheme.to_owned(), known }.into())
        }
    }
}

#[cfg(feature = "cloud")]
fn bucket(config: &ArtifactsConfig, url: &BackendUrl) -> Result<Arc<dyn NamedArtifacts>, ConfigError> {
    use crate::object::Bucket;

    let refused = |error: crate::object::BucketError| ConfigError::refused("artifacts.url", error);
    let mut bucket = Bucket::from_env(url.reveal()).map_err(refused)?;
    for (name, value) in &config.settings.0 {
        bucket = bucket.with_setting(name, value);
    }
    if config.plain_http.unwrap_or_default() {
        bucket = bucket.with_plain_http();
    }
    let refused = |error: crate::object::BucketError| ConfigError::refused("artifacts.settings", error);
    Ok(Arc::new(bucket.open().map_err(refused)?))
}

#[cfg(not(feature = "cloud"))]
fn bucket(_: &ArtifactsConfig, _: &BackendUrl) -> Result<Arc<dyn NamedArtifacts>, ConfigError> {
    Err(ConfigError::Feature { key: "artifacts.url", feature: "cloud" })
}
