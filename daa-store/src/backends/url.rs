//! Where a backend is.

use std::fmt;

use serde::Deserialize;

/// The URL of a backend. It may have a password in it, so that its `Debug` form has only what is no secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct BackendUrl(String);

impl BackendUrl {
    /// A URL; whether it makes sense is known when it is opened.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// What stands before the first colon.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// What stands behind the first colon; slashes that a scheme without a host has are left out.
    pub(super) fn path(&self) -> &str {
        let rest = self.0.split_once(':').map_or("", |(_, rest)| rest);
        rest.strip_prefix("//").unwrap_or(rest)
    }

    /// The whole, for the library that connects.
    #[cfg(any(
        feature = "postgres",
        feature = "nats",
        feature = "rabbitmq",
        feature = "redis",
        feature = "cloud"
    ))]
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whatever may be a secret goes: the user, the parameters, and all of what has no known form.
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return write!(f, "{}:***", self.scheme());
        };
        let rest = rest.split_once(['?', '#']).map_or(rest, |(rest, _)| rest);
        match rest.rsplit_once('@') {
            Some((_, place)) => write!(f, "{scheme}://***@{place}"),
            None => write!(f, "{scheme}://{rest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_has_no_secret() {
        let printed = |url: &str| format!("{:?}", BackendUrl::new(url));
        assert_eq!(printed("postgres://a:s3cret@db:5432/x?sslmode=require"), "postgres://***@db:5432/x");
        assert_eq!(printed("postgres://db/x?user=a&password=s3cret"), "postgres://db/x");
        assert_eq!(printed("redis://:s3c@ret@cache/0"), "redis://***@cache/0");
        assert_eq!(printed("host=db password=s3cret"), ":***");
        assert_eq!(printed("sqlite:data/events.db"), "sqlite:***");
    }

    #[test]
    fn a_path_needs_no_slashes() {
        for url in ["sqlite:data/events.db", "sqlite://data/events.db"] {
            assert_eq!(BackendUrl::new(url).path(), "data/events.db");
        }
        assert_eq!(BackendUrl::new("sqlite:///var/events.db").path(), "/var/events.db");
        assert_eq!(BackendUrl::new("memory:").path(), "");
    }
}
