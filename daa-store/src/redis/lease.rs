//! Leases.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::clock::Clock;
use daa_core::id::{HolderId, LeaseName};
use daa_core::lease::{FencingToken, Lease, LeaseError, LeaseHolder, Leases, check_ttl};
use redis::{FromRedisValue, Script, Value, from_redis_value};

use super::error::RedisUnavailable;
use super::server::Redis;

static ACQUIRE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/acquire.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/renew.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/release.lua")));
static HOLDER: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/holder.lua")));

/// [`Leases`] on Redis, for all processes that use the same name space. They end by the server's clock.
///
/// A lease of one server is a hint: it does not survive a server that loses what it acknowledged last, see
/// [the module](super). Its token is what fences. A token is the server's time in microseconds, or one more than the
/// last one if that is higher; so it rises also when the server forgot the last one, unless its clock went back as
/// well. The last token of a name is remembered for a week.
#[derive(Clone, Debug)]
pub struct RedisLeases {
    redis: Redis,
    clock: Arc<dyn Clock>,
}

impl RedisLeases {
    /// The leases of `redis`'s name space. `clock` is this process's, for [`Lease::until`].
    #[must_use]
    pub fn new(redis: Redis, clock: Arc<dyn Clock>) -> Self {
        Self { redis, clock }
    }

    fn key(&self, name: &LeaseName) -> Vec<u8> {
        self.redis.namespace().key("lease", name.as_str().as_bytes())
    }

    fn token_key(&self, name: &LeaseName) -> Vec<u8> {
        self.redis.namespace().key("token", name.as_str().as_bytes())
    }
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

/// What a script answered, in the form that it has.
fn parsed<T: FromRedisValue>(value: Value) -> Result<T, LeaseError> {
    from_redis_value(value)
        .map_err(|_| LeaseError::unavailable(RedisUnavailable::Unexpected { what: "an answer of a lease" }))
}

fn holder_id(text: &str) -> Result<HolderId, LeaseError> {
    HolderId::new(text)
        .map_err(|_| LeaseError::unavailable(RedisUnavailable::Unexpected { what: "a holder" }))
}

#[async_trait]
impl Leases for RedisLeases {
    async fn acquire(&self, name: &LeaseName, holder: &HolderId, ttl: Duration) -> Result<Lease, LeaseError> {
        check_ttl(ttl)?;
        let mut acquire = ACQUIRE.prepare_invoke();
        acquire.key(self.key(name)).key(self.token_key(name)).arg(holder.as_str()).arg(millis(ttl));
        let asked = self.clock.now();
        let answer: Vec<Value> = self.redis.run(&acquire).await.map_err(LeaseError::unavailable)?;
        let mut answer = answer.into_iter();
        let mut next = || answer.next().unwrap_or(Value::Nil);
        if parsed::<u64>(next())? == 1 {
            let token = FencingToken::new(parsed(next())?);
            return Ok(Lease::new(name.clone(), holder.clone(), token, asked + ttl));
        }
        let by = holder_id(&parsed::<String>(next())?)?;
        let remaining = Duration::from_millis(parsed(next())?);
        Err(LeaseError::Held { name: name.clone(), by, remaining })
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Lease, LeaseError> {
        check_ttl(ttl)?;
        let mut renew = RENEW.prepare_invoke();
        renew.key(self.key(lease.name())).arg(lease.token().get()).arg(millis(ttl));
        let asked = self.clock.now();
        let renewed: bool = self.redis.run(&renew).await.map_err(LeaseError::unavailable)?;
        if !renewed {
            return Err(LeaseError::Lost { name: lease.name().clone(), token: lease.token() });
        }
        Ok(Lease::new(lease.name().clone(), lease.holder().clone(), lease.token(), asked + ttl))
    }

    async fn release(&self, lease: &Lease) -> Result<bool, LeaseError> {
        let mut release = RELEASE.prepare_invoke();
        release.key(self.key(lease.name())).arg(lease.token().get());
        self.redis.run(&release).await.map_err(LeaseError::unavailable)
    }

    async fn holder(&self, name: &LeaseName) -> Result<Option<LeaseHolder>, LeaseError> {
        let mut holder = HOLDER.prepare_invoke();
        holder.key(self.key(name));
        let answer: Option<(String, u64, u64)> =
            self.redis.run(&holder).await.map_err(LeaseError::unavailable)?;
        let Some((holder, token, remaining)) = answer else { return Ok(None) };
        let (token, remaining) = (FencingToken::new(token), Duration::from_millis(remaining));
        Ok(Some(LeaseHolder::new(holder_id(&holder)?, token, remaining)))
    }
}
