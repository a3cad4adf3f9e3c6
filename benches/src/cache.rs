//! Reads of the cache: in the process, and on Redis beside the bare client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daa_core::cache::cached::{Cached, CachedOptions, load_with};
use daa_core::cache::{Cache, CacheEntry, CacheKey};
use daa_core::clock::SystemClock;
use daa_core::seed::Seed;
use daa_store::redis::{Redis, RedisCache, RedisOptions};
use redis::AsyncConnectionConfig;

use crate::line::{Better, Line};

const KEYS: u64 = 1_000;
const ROUNDS: usize = 5_000;
const READS: usize = 2_000;
const TURNS: usize = 15;
const VALUE: usize = 256;

pub(crate) fn run() -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut lines = vec![first_level().await];
        lines.extend(second_level().await);
        lines
    })
}

async fn first_level() -> Line {
    let clock = Arc::new(SystemClock::new());
    let options = CachedOptions::new(Duration::from_secs(3_600), Seed::from_u64(7), clock);
    let source = load_with(|n: &u64| std::future::ready(Ok(Some(n * n))));
    let cached = Cached::new(source, options);
    for n in 0..KEYS {
        cached.get(&n).await.expect("a value");
    }
    let mut nanos = Vec::new();
    // Rounds shorter than a turn of the scheduler: the median is of those that nothing interrupted.
    for _ in 0..ROUNDS {
        let (began, mut sum) = (Instant::now(), 0_u64);
        for n in 0..KEYS {
            let value = cached.get(&n).await.expect("a value");
            sum = sum.wrapping_add(value.unwrap_or_default());
        }
        nanos.push(began.elapsed().as_nanos() as f64 / KEYS as f64);
        assert!(std::hint::black_box(sum) > 0);
    }
    assert_eq!(cached.stats().loads, KEYS, "only hits were measured");
    Line::alone("cache", "hit in the first level", "ns", median(nanos))
}

async fn second_level() -> Option<Line> {
    let url = std::env::var("DAA_TEST_REDIS").unwrap_or_else(|_| "redis://127.0.0.1:6379/".to_owned());
    // As ours has it: with a limit for each answer.
    let limit = Some(Duration::from_secs(1));
    let config = AsyncConnectionConfig::new().set_response_timeout(limit);
    let client = redis::Client::open(url.as_str()).expect("a URL");
    let Ok(mut bare) = client.get_multiplexed_async_connection_with_config(&config).await else {
        eprintln!("skipped: cache on Redis: no server at DAA_TEST_REDIS");
        return None;
    };
    let namespace = format!("bench-{}", std::process::id());
    let options = RedisOptions::new(&url).expect("a URL").with_namespace(&namespace).expect("a name");
    let redis = Redis::connect(options).expect("a client");
    redis.ready().await;
    let cache = RedisCache::new(redis);
    let key = CacheKey::new("key").expect("a key");
    let entry = CacheEntry::new(vec![7; VALUE], Duration::from_secs(600));
    cache.put(&key, entry).await.expect("an entry");
    let bare_key = format!("{namespace}:cache:key");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        // Taken in turns read by read: what disturbs the machine disturbs both.
        let (mut our_turn, mut their_turn) = (Vec::new(), Vec::new());
        for _ in 0..READS {
            let began = Instant::now();
            let get = redis::cmd("GET").arg(&bare_key).query_async(&mut bare).await;
            let value: Option<bytes::Bytes> = get.expect("an answer");
            their_turn.push(began.elapsed().as_nanos() as f64 / 1e3);
            assert_eq!(value.map(|value| value.len()), Some(VALUE));
            let began = Instant::now();
            let value = cache.get(&key).await.expect("an answer");
            our_turn.push(began.elapsed().as_nanos() as f64 / 1e3);
            assert_eq!(value.map(|value| value.len()), Some(VALUE));
        }
        ours.push(median(our_turn));
        theirs.push(median(their_turn));
    }
    cache.remove(&key).await.expect("an answer");
    let line = Line::alone("cache", "hit in Redis", "µs", median(ours));
    Some(line.beside("bare redis", median(theirs), Better::Lower))
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
