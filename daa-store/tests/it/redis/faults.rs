//! The server is killed and the network fails, while readers read: they always get an answer, in bounded time, and the
//! server is used again within five seconds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daa_core::cache::cached::{Cached, CachedOptions, SecondLevel, load_with};
use daa_core::cache::{Cache, CacheEntry, CacheKey};
use daa_core::clock::SystemClock;
use daa_core::lease::{Fence, LeaseError, Leases};
use daa_core::seed::Seed;
use daa_store::redis::{Redis, RedisCache, RedisLeases, RedisOptions};
use tokio::task::JoinHandle;

use super::server::{Server, url_at};
use crate::proxy::Proxy;

fn connect(url: &str) -> Redis {
    let options = RedisOptions::new(url).unwrap().with_timeout(Duration::from_millis(500));
    Redis::connect(options).unwrap()
}

/// Readers of a cache with a second level, that go on whatever happens.
struct Load {
    redis: Redis,
    cache: RedisCache,
    cached: Cached<u64, u64>,
    stop: Arc<AtomicBool>,
    readers: Vec<JoinHandle<(u64, Duration)>>,
}

impl Load {
    fn begin(url: &str) -> Self {
        let redis = connect(url);
        let cache = RedisCache::new(redis.clone());
        let second = SecondLevel::new("faults", Arc::new(cache.clone()), u64::to_string);
        // Few fit into the first level, so that the second is asked all the time.
        let clock = Arc::new(SystemClock::new());
        let options = CachedOptions::new(Duration::from_secs(60), Seed::from_u64(7), clock).with_capacity(10);
        let squares = load_with(|n: &u64| std::future::ready(Ok(Some(n * n))));
        let cached = Cached::with_second_level(squares, options, second);
        let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let readers = (0..4)
            .map(|_| {
                let (cached, stop, next) = (cached.clone(), stop.clone(), next.clone());
                tokio::spawn(async move {
                    let (mut answers, mut longest) = (0, Duration::ZERO);
                    while !stop.load(Ordering::Acquire) {
                        let n = next.fetch_add(1, Ordering::Relaxed) * 7 % 1_000;
                        let asked = Instant::now();
                        assert_eq!(cached.get(&n).await.unwrap(), Some(n * n));
                        longest = longest.max(asked.elapsed());
                        answers += 1;
                        tokio::time::sleep(Duration::from_micros(200)).await;
                    }
                    (answers, longest)
                })
            })
            .collect();
        Self { redis, cache, cached, stop, readers }
    }

    /// Waits until the second level answers again; how long that took.
    async fn recovery(&self) -> Duration {
        let (began, before) = (Instant::now(), self.cached.stats().second_hits);
        while self.cached.stats().second_hits < before + 5 || !self.redis.health().is_ready() {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", self.redis.health());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    }

    async fn check(self) {
        self.stop.store(true, Ordering::Release);
        for reader in self.readers {
            let (answers, longest) = reader.await.unwrap();
            assert!(answers > 100, "a reader got {answers} answers");
            // At most one call of 50 ms, and what a busy machine adds; less than the server is away.
            assert!(longest < Duration::from_millis(2_000), "a reader waited for {longest:?}");
        }
        let stats = self.cached.stats();
        assert!(stats.second_errors + stats.second_skipped > 0, "nothing failed: {stats:?}");
        assert_eq!(stats.load_failures, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_go_on_while_the_server_is_killed_and_use_it_again_within_five_seconds() {
    let mut server = Server::start();
    let load = Load::begin(&server.url());
    for _ in 0..3 {
        load.recovery().await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let asked = Instant::now();
        let away = load.cache.get(&CacheKey::new("a").unwrap()).await;
        assert!(
            away.is_err() && asked.elapsed() < Duration::from_millis(1_000),
            "{away:?} {:?}",
            asked.elapsed()
        );
        assert!(!load.redis.health().is_ready());
        server.start_again();
        let recovery = load.recovery().await;
        assert!(recovery < Duration::from_secs(5), "{recovery:?} until it was used again");
    }
    // One more where the machine was too busy to answer a heartbeat.
    assert!(load.redis.health().connects >= 4);
    load.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_go_on_while_connections_are_cut_and_the_network_is_slow_or_away() {
    let server = Server::start();
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
    let load = Load::begin(&url_at(proxy.port()));
    load.recovery().await;
    for cut in 0..30_u64 {
        tokio::time::sleep(Duration::from_millis(15 + cut % 23)).await;
        proxy.cut();
    }
    assert!(load.recovery().await < Duration::from_secs(5));
    // Slower than readers wait for it: it counts as away.
    proxy.delay(Duration::from_millis(100));
    let slowed = Instant::now();
    while load.cached.second_level().unwrap().is_ready() {
        assert!(slowed.elapsed() < Duration::from_secs(30), "a slow level is used on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.delay(Duration::ZERO);
    assert!(load.recovery().await < Duration::from_secs(5));
    proxy.refuse(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.refuse(false);
    assert!(load.recovery().await < Duration::from_secs(5));
    load.check().await;
}

/// Nothing is answered any more, and nothing is closed: the heartbeat finds out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_is_made_anew() {
    let server = Server::start();
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
    let redis = connect(&url_at(proxy.port()));
    redis.ready().await;
    let cache = RedisCache::new(redis.clone());
    let key = CacheKey::new("a").unwrap();
    cache.put(&key, CacheEntry::new("1", Duration::from_secs(60))).await.unwrap();
    proxy.delay(Duration::from_secs(3_600));
    let began = Instant::now();
    while redis.health().is_ready() {
        assert!(began.elapsed() < Duration::from_secs(5), "nobody noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(cache.get(&key).await.is_err());
    proxy.delay(Duration::ZERO);
    let back = Instant::now();
    while cache.get(&key).await.ok().flatten().is_none() {
        assert!(back.elapsed() < Duration::from_secs(5), "{:?}", redis.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Holders that write to a fenced resource whatever happens to the server, and to the network.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_under_leases_stays_in_order_when_the_server_forgets_them() {
    let mut server = Server::start();
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
    let resource = Arc::new((Fence::new(), std::sync::Mutex::new(Vec::new())));
    let stop = Arc::new(AtomicBool::new(false));
    let holders: Vec<_> = (0..3)
        .map(|me| {
            // Some over a bad network.
            let url = if me == 0 { server.url() } else { url_at(proxy.port()) };
            let leases = RedisLeases::new(connect(&url), Arc::new(SystemClock::new()));
            let (resource, stop) = (resource.clone(), stop.clone());
            tokio::spawn(async move {
                let (name, holder) = ("a".try_into().unwrap(), format!("{me}").try_into().unwrap());
                let mut written = 0_u64;
                while !stop.load(Ordering::Acquire) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    let lease = match leases.acquire(&name, &holder, Duration::from_millis(200)).await {
                        Ok(lease) => lease,
                        Err(LeaseError::Held { .. } | LeaseError::Unavailable { .. }) => continue,
                        Err(error) => panic!("{error:?}"),
                    };
                    // Now and then for longer than the lease lasts.
                    let pause = if written % 10 == 9 { 300 } else { 5 };
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    {
                        let mut log = resource.1.lock().unwrap();
                        if resource.0.admit(lease.token()).is_ok() {
                            log.push((lease.token(), me));
                        }
                    }
                    written += 1;
                    let _ = leases.release(&lease).await;
                }
                written
            })
        })
        .collect();
    for round in 0..6 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        if round % 2 == 0 {
            server.kill();
            server.start_again();
        } else {
            proxy.cut();
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Release);
    for holder in holders {
        assert!(holder.await.unwrap() > 3);
    }
    let log = resource.1.lock().unwrap();
    assert!(log.len() > 20, "{} writes", log.len());
    assert!(log.is_sorted_by(|a, b| a.0 < b.0), "{log:?}");
}
