//! A name space of its own for each test.

use daa_store::redis::{Redis, RedisOptions};
use redis::aio::MultiplexedConnection;

/// Where the server is.
pub(super) fn url() -> String {
    std::env::var("DAA_TEST_REDIS").unwrap_or_else(|_| "redis://127.0.0.1:6379/".to_owned())
}

/// A name space whose keys are removed at the end.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) url: String,
    pub(super) name: String,
}

impl Space {
    pub(super) fn new() -> Self {
        Self { url: url(), name: format!("test-{:016x}", rand::random::<u64>()) }
    }

    pub(super) fn options(&self) -> RedisOptions {
        RedisOptions::new(&self.url).unwrap().with_namespace(&self.name).unwrap()
    }

    /// Connected.
    pub(super) async fn redis(&self) -> Redis {
        let redis = Redis::connect(self.options()).unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(10), redis.ready()).await.expect("no server");
        redis
    }

    /// The keys that are there.
    pub(super) async fn keys(&self) -> Vec<String> {
        keys(&mut bare(&self.url).await, &self.name).await
    }
}

/// A connection that looks into the server past what is tested.
pub(super) async fn bare(url: &str) -> MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn keys(bare: &mut MultiplexedConnection, name: &str) -> Vec<String> {
    let (mut cursor, mut all) = (0_u64, Vec::new());
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{name}:*")).arg("COUNT").arg(10_000);
        let (next, found): (u64, Vec<Vec<u8>>) = scan.query_async(bare).await.unwrap();
        all.extend(found.iter().map(|key| String::from_utf8_lossy(key).into_owned()));
        cursor = next;
        if cursor == 0 {
            return all;
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let script = redis::Script::new(
                    "local c = '0' repeat local r = redis.call('SCAN', c, 'MATCH', ARGV[1], 'COUNT', 10000) \
                     c = r[1] for _, k in ipairs(r[2]) do redis.call('UNLINK', k) end until c == '0'",
                );
                script.arg(format!("{name}:*")).invoke_async::<()>(&mut bare(&url).await).await.unwrap();
            });
        });
        if removed.join().is_err() {
            eprintln!("{} was not removed", self.name);
        }
    }
}
