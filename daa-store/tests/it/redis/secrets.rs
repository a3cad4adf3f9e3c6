//! TLS, passwords, and that neither is told to anyone.

use std::time::Duration;

use daa_core::cache::{Cache, CacheKey};
use daa_core::limiter::{Quota, RateLimiter};
use daa_store::redis::{Redis, RedisCache, RedisOptions, RedisRateLimiter, RedisState};

use super::server::{Server, certify, free_port};

const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until a connection has failed; why.
async fn failure(redis: &Redis) -> String {
    let began = std::time::Instant::now();
    loop {
        if let RedisState::Unavailable { reason } = redis.health().state
            && !reason.contains("being connected")
        {
            return reason;
        }
        assert!(began.elapsed() < PATIENCE, "{:?}", redis.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_opens_and_is_never_printed() {
    let server = Server::start_with(&["--requirepass", "s3cret"]);
    let options = |password: &str| {
        RedisOptions::new(&format!("redis://:{password}@127.0.0.1:{}/", server.port())).unwrap()
    };
    let redis = Redis::connect(options("s3cret")).unwrap();
    tokio::time::timeout(PATIENCE, redis.ready()).await.unwrap();
    let limiter = RedisRateLimiter::new(redis.clone());
    let quota = Quota::new(1, Duration::from_secs(1));
    assert!(limiter.take(&"a".try_into().unwrap(), quota, std::num::NonZeroU32::MIN).await.is_ok());
    let wrong = Redis::connect(options("wr0ng")).unwrap();
    let reason = failure(&wrong).await;
    let cache = RedisCache::new(wrong.clone());
    let error = cache.get(&CacheKey::new("a").unwrap()).await.unwrap_err();
    let printed = format!("{redis:?} {wrong:?} {cache:?} {error:?} {error} {reason} {:?}", wrong.health());
    assert!(!printed.contains("s3cret") && !printed.contains("wr0ng"), "{printed}");
    assert!(printed.contains("127.0.0.1"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_used_and_the_certificate_is_checked() {
    let certificates = tempfile::tempdir().unwrap();
    certify(certificates.path());
    let file = |name: &str| certificates.path().join(name).to_str().unwrap().to_owned();
    let (tls_port, cert, key) = (free_port(), file("cert.pem"), file("key.pem"));
    let flags = ["--tls-port", &tls_port.to_string(), "--tls-cert-file", &cert, "--tls-key-file", &key]
        .map(str::to_owned);
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend(["--tls-auth-clients", "no", "--save", ""]);
    let _server = Server::start_with(&flags);
    let pem = std::fs::read(&cert).unwrap();
    let options = |host: &str| RedisOptions::new(&format!("rediss://{host}:{tls_port}/")).unwrap();

    let redis = Redis::connect(options("localhost").with_root_certificates(pem.clone())).unwrap();
    tokio::time::timeout(PATIENCE, redis.ready()).await.expect("TLS with the right root");
    let cache = RedisCache::new(redis);
    assert_eq!(cache.get(&CacheKey::new("a").unwrap()).await.unwrap(), None);

    // Neither another host of the same certificate nor a root that did not sign it.
    for refused in [options("127.0.0.1").with_root_certificates(pem), options("localhost")] {
        let redis = Redis::connect(refused).unwrap();
        let reason = failure(&redis).await.to_lowercase();
        assert!(reason.contains("certificate"), "{reason}");
        assert!(!redis.health().is_ready());
    }
}
