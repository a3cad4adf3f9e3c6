//! What holds of leases, limits and tags on this server beyond the contract.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use daa_core::cache::{Cache, CacheEntry, CacheKey};
use daa_core::clock::SystemClock;
use daa_core::lease::{Fence, LeaseError, Leases};
use daa_core::limiter::{Quota, RateLimiter};
use daa_store::redis::{Redis, RedisCache, RedisLeases, RedisOptions, RedisRateLimiter};

use super::server::Server;
use super::support::Space;

const LONG: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_everything_gives_the_lease_away_and_a_higher_token_with_it() {
    let mut server = Server::start();
    let redis = Redis::connect(RedisOptions::new(&server.url()).unwrap()).unwrap();
    redis.ready().await;
    let leases = RedisLeases::new(redis.clone(), Arc::new(SystemClock::new()));
    let (name, fence) = ("a".try_into().unwrap(), Fence::new());
    let mut last = leases.acquire(&name, &"first".try_into().unwrap(), LONG).await.unwrap();
    fence.admit(last.token()).unwrap();
    for round in 0..3 {
        server.kill();
        server.start_again();
        let holder = format!("round/{round}").try_into().unwrap();
        let next = loop {
            match leases.acquire(&name, &holder, LONG).await {
                Ok(lease) => break lease,
                Err(LeaseError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error:?}"),
            }
        };
        assert!(next.token() > last.token(), "{} after {}", next.token(), last.token());
        fence.admit(next.token()).unwrap();
        // Who held it before still believes so; what it does is refused.
        fence.admit(last.token()).unwrap_err();
        assert!(matches!(leases.renew(&last, LONG).await, Err(LeaseError::Lost { .. })));
        last = next;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_left_on_the_server_ends_by_itself() {
    let space = Space::new();
    let redis = space.redis().await;
    let cache = RedisCache::new(redis.clone());
    for n in 0..20_u64 {
        let entry = CacheEntry::new("x", Duration::from_millis(100 + n)).with_tag("t".try_into().unwrap());
        cache.put(&CacheKey::new(format!("{n}")).unwrap(), entry).await.unwrap();
    }
    let limiter = RedisRateLimiter::new(redis.clone());
    let quota = Quota::new(10, Duration::from_millis(200));
    limiter.take(&"a".try_into().unwrap(), quota, NonZeroU32::new(10).unwrap()).await.unwrap();
    let leases = RedisLeases::new(redis, Arc::new(SystemClock::new()));
    leases
        .acquire(&"a".try_into().unwrap(), &"me".try_into().unwrap(), Duration::from_millis(100))
        .await
        .unwrap();
    assert_eq!(space.keys().await.len(), 20 + 1 + 1 + 2);
    let began = std::time::Instant::now();
    // The last token is remembered for longer.
    let token = format!("{}:token:a", space.name);
    while space.keys().await != [token.clone()] {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", space.keys().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_does_not_grow_with_entries_that_have_ended() {
    let space = Space::new();
    let cache = RedisCache::new(space.redis().await);
    let tagged = |ttl| CacheEntry::new("x", ttl).with_tag("t".try_into().unwrap());
    cache.put(&CacheKey::new("long").unwrap(), tagged(LONG)).await.unwrap();
    for n in 0..300_u64 {
        let key = CacheKey::new(format!("{n}")).unwrap();
        cache.put(&key, tagged(Duration::from_millis(1))).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    cache.put(&CacheKey::new("last").unwrap(), tagged(LONG)).await.unwrap();
    let mut bare = super::support::bare(&space.url).await;
    let keys: u64 =
        redis::cmd("ZCARD").arg(format!("{}:tag:t", space.name)).query_async(&mut bare).await.unwrap();
    assert_eq!(keys, 2);
    assert_eq!(cache.invalidate(&"t".try_into().unwrap()).await.unwrap(), 2);
}
