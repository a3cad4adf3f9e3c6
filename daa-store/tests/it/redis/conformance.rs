//! The suites that every backend runs, and what the keys on the server look like.

mod cache {
    use std::sync::Arc;

    use daa_core::cache::Cache;
    use daa_store::redis::RedisCache;

    use crate::redis::support::Space;

    async fn fresh() -> (Space, Arc<dyn Cache>) {
        let space = Space::new();
        let cache = RedisCache::new(space.redis().await);
        (space, Arc::new(cache))
    }

    daa_core::cache_conformance!(fresh().await);
}

mod lease {
    use std::sync::Arc;

    use daa_core::clock::SystemClock;
    use daa_core::lease::Leases;
    use daa_store::redis::RedisLeases;

    use crate::redis::support::Space;

    async fn fresh() -> (Space, Arc<dyn Leases>) {
        let space = Space::new();
        let leases = RedisLeases::new(space.redis().await, Arc::new(SystemClock::new()));
        (space, Arc::new(leases))
    }

    daa_core::lease_conformance!(fresh().await);
}

mod limiter {
    use std::sync::Arc;

    use daa_core::limiter::RateLimiter;
    use daa_store::redis::RedisRateLimiter;

    use crate::redis::support::Space;

    async fn fresh() -> (Space, Arc<dyn RateLimiter>) {
        let space = Space::new();
        let limiter = RedisRateLimiter::new(space.redis().await);
        (space, Arc::new(limiter))
    }

    daa_core::limiter_conformance!(fresh().await);
}
