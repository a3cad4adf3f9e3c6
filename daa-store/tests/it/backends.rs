//! All backends from one configuration.

#[cfg(feature = "live")]
mod live;

use std::sync::Arc;

use daa_core::clock::{Clock, SystemClock, Timestamp};
use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent};
use daa_core::fault::{Reaction, Retry};
use daa_store::backends::{BackendUrl, Backends, BackendsConfig, BackendsError, ConfigError};

fn read(toml: &str, environment: &[(&str, &str)]) -> Result<BackendsConfig, ConfigError> {
    let owned = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    BackendsConfig::read(Some(toml), owned)
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

async fn refused(toml: &str) -> ConfigError {
    match Backends::open(&read(toml, &[]).unwrap(), clock()).await {
        Err(BackendsError::Config(error)) => error,
        other => panic!("{toml}: {other:?}"),
    }
}

async fn append(store: &dyn EventStore, kind: &str) {
    let event = NewEvent::new(kind.parse().unwrap(), Timestamp::EPOCH, "".into());
    let batch = Batch::new().with_event("test/1".parse().unwrap(), ExpectedVersion::Any, event);
    store.append(batch).await.unwrap();
}

#[test]
fn the_environment_wins_over_the_file() {
    let toml = "[store]\nurl = \"sqlite:a.db\"\nshared = true\n\n[cache]\ncapacity = 1000\n";
    let config = read(toml, &[("DAA__STORE__URL", "sqlite:b.db"), ("DAA__CACHE__CAPACITY", "2000")]).unwrap();
    assert_eq!(config.store.url, Some(BackendUrl::new("sqlite:b.db")));
    assert_eq!((config.store.shared, config.cache.capacity), (Some(true), Some(2_000)));
}

#[test]
fn other_variables_are_left_alone() {
    let config = read("", &[("DAA_STORE", "x"), ("PATH", "/bin"), ("DAA", "y")]).unwrap();
    assert_eq!(config, BackendsConfig::default());
}

#[test]
fn durations_are_read_as_people_write_them() {
    let config = read("[store]\npatience = \"1m 30s\"\n", &[("DAA__BUS__CONFIRM_WITHIN", "250ms")]).unwrap();
    assert_eq!(config.store.patience.unwrap().as_secs(), 90);
    assert_eq!(config.bus.confirm_within.unwrap().as_millis(), 250);
    let error = read("[store]\npatience = \"soon\"\n", &[]).unwrap_err().to_string();
    assert!(error.contains("duration") && !error.contains("soon"), "{error}");
}

#[test]
fn a_key_that_does_not_exist_is_refused_by_name() {
    for (toml, variable) in [("[store]\nurll = \"x\"\n", None), ("", Some(("DAA__STORE__URLL", "x")))] {
        let error = read(toml, variable.as_slice()).unwrap_err();
        assert!(error.to_string().contains("urll"), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
    assert!(read("[stor]\nurl = \"x\"\n", &[]).unwrap_err().to_string().contains("stor"));
}

#[test]
fn errors_name_the_place_and_not_the_value() {
    let broken = "[cache]\nurl = \"redis://cache\"\n\n[store]\nurl = \"postgres://me:s3cret@db/x\n";
    let error = read(broken, &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Toml { line: 5, .. }), "{error:?}");
    let wrong = "[store]\nmax_connections = \"postgres://me:s3cret@db/x\"\n";
    let error_of_type = read(wrong, &[]).unwrap_err();
    assert!(error_of_type.to_string().contains("max_connections"), "{error_of_type}");
    let secret = [("DAA__STORE__SHARED", "s3cret")];
    for error in [error, error_of_type, read("", &secret).unwrap_err()] {
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[test]
fn what_is_printed_of_a_configuration_has_no_secret() {
    let toml = "
        [store]
        url = \"postgres://me:s3cret-1@db/agents?password=s3cret-2\"
        [bus]
        url = \"nats://me:s3cret-3@bus\"
        [artifacts]
        url = \"s3://models\"
        settings = { secret_access_key = \"s3cret-4\", region = \"eu-central-1\" }
    ";
    let printed = format!("{:?}", read(toml, &[]).unwrap());
    assert!(!printed.contains("s3cret"), "{printed}");
    assert!(printed.contains("@db/agents") && printed.contains("secret_access_key"), "{printed}");
}

#[tokio::test]
async fn a_store_has_to_be_chosen() {
    let error = refused("").await;
    assert!(matches!(error, ConfigError::Missing { key: "store.url", .. }), "{error:?}");
}

#[tokio::test]
async fn what_means_nothing_to_a_backend_is_refused() {
    let cases = [
        ("store", "sqlite:a.db", "schema = \"x\""),
        ("store", "sqlite:a.db", "partitions = 4"),
        ("store", "memory:", "min_connections = 1"),
        ("store", "sqlite:a.db", "max_connections = 1"),
        ("store", "memory:", "acquire_timeout = \"1s\""),
        ("store", "sqlite:a.db", "idle_timeout = \"1s\""),
        ("store", "memory:", "statement_timeout = \"1s\""),
        ("store", "sqlite:a.db", "patience = \"1s\""),
        ("store", "memory:", "ca = \"x.pem\""),
        ("store", "memory:", "shared = true"),
        ("store", "postgres://db/x", "shared = true"),
        ("bus", "memory:", "name = \"x\""),
        ("bus", "memory:", "partitions = 4"),
        ("bus", "memory:", "max_age = \"1h\""),
        ("bus", "memory:", "confirm_within = \"1s\""),
        ("bus", "memory:", "ca = \"x.pem\""),
        ("bus", "memory:", "client_certificate = \"x.pem\""),
        ("bus", "memory:", "client_key = \"x.pem\""),
        ("cache", "memory:", "namespace = \"x\""),
        ("cache", "memory:", "timeout = \"1s\""),
        ("cache", "memory:", "ca = \"x.pem\""),
        ("cache", "redis://cache", "capacity = 5"),
        ("artifacts", "memory:", "plain_http = true"),
        ("artifacts", "memory:", "settings = { region = \"x\" }"),
    ];
    for (section, url, key) in cases {
        let store = if section == "store" { "" } else { "[store]\nurl = \"memory:\"\n" };
        let error = refused(&format!("{store}[{section}]\nurl = \"{url}\"\n{key}\n")).await;
        let expected = format!("{section}.{}", key.split(' ').next().unwrap());
        match error {
            ConfigError::Misplaced { key, scheme } => {
                assert_eq!((key, scheme.as_str()), (expected.as_str(), url.split(':').next().unwrap()));
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_unknown_scheme_is_refused_with_those_that_there_are() {
    for (section, known) in
        [("store", "postgres"), ("bus", "nats"), ("cache", "redis"), ("artifacts", "folder")]
    {
        let store = if section == "store" { "" } else { "[store]\nurl = \"memory:\"\n" };
        let error = refused(&format!("{store}[{section}]\nurl = \"mysql://me:s3cret@x\"\n")).await;
        let text = error.to_string();
        assert!(text.contains("mysql") && text.contains(known) && !text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn a_file_without_a_name_is_refused() {
    let error = refused("[store]\nurl = \"sqlite:\"\n").await;
    assert!(matches!(error, ConfigError::NoFile { key: "store.url" }), "{error:?}");
}

#[cfg(all(feature = "postgres", feature = "nats", feature = "rabbitmq", feature = "redis"))]
#[tokio::test]
async fn what_a_backend_refuses_comes_with_its_reason() {
    use std::error::Error as _;

    let cases = [
        ("store", "postgres://me:s3cret@db/x", "schema = \"no schema\"", "store.schema"),
        ("store", "postgres://me:s3cret@db:port/x", "", "store.url"),
        ("bus", "nats://me:s3cret@bus", "name = \"no name\"", "bus.name"),
        ("bus", "amqp://me:s3cret@bus:port", "", "bus.url"),
        ("cache", "redis://me:s3cret@cache:port", "", "cache.url"),
    ];
    for (section, url, line, expected) in cases {
        let store = if section == "store" { "" } else { "[store]\nurl = \"memory:\"\n" };
        let error = refused(&format!("{store}[{section}]\nurl = \"{url}\"\n{line}\n")).await;
        let ConfigError::Refused { key, .. } = &error else { panic!("{expected}: {error:?}") };
        assert_eq!(*key, expected);
        let chain = std::iter::successors(error.source(), |&cause| cause.source());
        let said: Vec<String> = chain.map(ToString::to_string).collect();
        assert!(!said.is_empty() && !format!("{error} {error:?} {said:?}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_url_may_be_in_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (file, events) = (dir.path().join("url"), dir.path().join("events.db"));
    std::fs::write(&file, format!("sqlite:{}\n", events.display())).unwrap();
    let env = [("DAA__STORE__URL_FILE", file.to_str().unwrap())];
    Backends::open(&read("", &env).unwrap(), clock()).await.unwrap().close().await;
    assert!(events.exists());

    let both = [env[0], ("DAA__STORE__URL", "memory:")];
    let error = Backends::open(&read("", &both).unwrap(), clock()).await.unwrap_err();
    assert!(matches!(error, BackendsError::Config(ConfigError::Both { .. })), "{error:?}");
    let missing = read("", &[("DAA__STORE__URL_FILE", "/nowhere/url")]).unwrap();
    let error = Backends::open(&missing, clock()).await.unwrap_err();
    assert!(matches!(error, BackendsError::Config(ConfigError::File { .. })), "{error:?}");
    assert_eq!(error.retry(), Retry::Later);
}

#[tokio::test]
async fn embedded_backends_keep_what_they_were_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let toml = format!(
        "[store]\nurl = \"sqlite:{}\"\n[artifacts]\nurl = \"folder:{}\"\n",
        path("events.db"),
        path("artifacts")
    );
    let config = read(&toml, &[]).unwrap();
    let backends = Backends::open(&config, clock()).await.unwrap();
    append(&*backends.store, "test.one.v1").await;
    let digest = backends.artifacts.put("weights".into()).await.unwrap();
    let health = backends.health().await;
    assert!(health.is_ready() && !health.is_degraded(), "{health}");
    let parts: Vec<_> = health.parts.iter().map(|part| part.part.as_str()).collect();
    assert_eq!(parts, ["store", "bus", "artifacts"]);
    backends.close().await;

    let again = Backends::open(&config, clock()).await.unwrap();
    assert_eq!(again.store.head().await.unwrap().get(), 1);
    assert_eq!(again.artifacts.get(&digest).await.unwrap(), Some("weights".into()));
    // The file is open for one process at a time.
    let error = Backends::open(&config, clock()).await.unwrap_err();
    assert!(matches!(error, BackendsError::Artifacts(_) | BackendsError::Store(_)), "{error:?}");
    again.close().await;
}

#[tokio::test]
async fn a_store_that_is_shared_may_be_open_twice() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("events.db").display());
    let config = read("", &[("DAA__STORE__URL", &url), ("DAA__STORE__SHARED", "true")]).unwrap();
    let one = Backends::open(&config, clock()).await.unwrap();
    let other = Backends::open(&config, clock()).await.unwrap();
    append(&*one.store, "test.one.v1").await;
    append(&*other.store, "test.two.v1").await;
    assert_eq!(one.store.head().await.unwrap().get(), 2);
    one.close().await;
    other.close().await;
}

#[cfg(not(feature = "postgres"))]
#[tokio::test]
async fn what_was_not_built_in_is_named() {
    let error = refused("[store]\nurl = \"postgres://db/x\"\n").await;
    assert!(matches!(error, ConfigError::Feature { feature: "postgres", .. }), "{error:?}");
}
