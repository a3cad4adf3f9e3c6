//! Buckets in the clouds.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use daa_core::fault::{Fault, Reaction, Retry};
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::http::Reach;
use super::{ObjectArtifacts, ObjectOptions};

/// A bucket, and how it is reached: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.
///
/// Each request has a time limit, and is tried again with growing, random delays when the server fails, is overloaded
/// or away; so connections recover by themselves. The `Debug` form has no values of settings.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use daa_core::artifact::Artifacts;
/// use daa_store::object::Bucket;
///
/// let bucket = Bucket::from_env("s3://models/team-a")?.with_setting("region", "eu-central-1");
/// let artifacts = bucket.open()?;
/// artifacts.check().await?;
/// let digest = artifacts.put("weights".into()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bucket {
    cloud: Cloud,
    /// Without the prefix.
    url: String,
    environment: bool,
    settings: Vec<(String, String)>,
    reach: Reach,
    patience: Duration,
    options: ObjectOptions,
}

#[derive(Clone, Copy, Debug)]
enum Cloud {
    #[cfg(feature = "s3")]
    S3,
    #[cfg(feature = "gcs")]
    Gcs,
    #[cfg(feature = "azure")]
    Azure,
}

impl Bucket {
    /// The bucket of a URL, with the settings that it is given, and no others.
    ///
    /// The defaults: HTTPS only, five seconds to connect, thirty for an answer, a minute of patience, and the
    /// [defaults](ObjectOptions) for the rest.
    ///
    /// # Errors
    /// [`BucketError::Url`].
    pub fn new(url: &str) -> Result<Self, BucketError> {
        let wrong = |reason| BucketError::Url { url: without_secrets(url), reason };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let cloud = match scheme {
            #[cfg(feature = "s3")]
            "s3" => Cloud::S3,
            #[cfg(feature = "gcs")]
            "gs" => Cloud::Gcs,
            #[cfg(feature = "azure")]
            "az" => Cloud::Azure,
            _ => return Err(wrong("no cloud that this was built with has this scheme")),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if bucket.is_empty() || !bucket.bytes().all(letters) {
            return Err(wrong("there is no bucket in it"));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(letters);
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            return Err(wrong("its prefix has other signs than letters, digits, `.`, `_`, `-` and slashes"));
        }
        let (connect, answer) = (Duration::from_secs(5), Duration::from_secs(30));
        let reach = Reach { allow_http: false, roots: None, connect, answer };
        Ok(Self {
            cloud,
            url: format!("{scheme}://{bucket}"),
            environment: false,
            settings: Vec::new(),
            reach,
            patience: Duration::from_secs(60),
            options: ObjectOptions::default().with_prefix(prefix).with_ordered_listing(),
        })
    }

    /// The bucket of a URL, with the settings in the environment: `AWS_…`, `GOOGLE_…` or `AZURE_…`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_env(url: &str) -> Result<Self, BucketError> {
        Ok(Self { environment: true, ..Self::new(url)? })
    }

    /// A setting of the cloud, by the names that [`object_store`](https://docs.rs/object_store/0.14) knows:
    /// `access_key_id`, `secret_access_key`, `region`, `endpoint` and so on.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets connections be without TLS: for servers on the same machine.
    #[must_use]
    pub const fn with_plain_http(mut self) -> Self {
        self.reach.allow_http = true;
        self
    }

    /// The certificates that the server's may be signed by, in the PEM format, instead of those of the system.
    ///
    /// # Errors
    /// [`BucketError::Certificates`] where there are none, or what is there is none.
    pub fn with_root_certificates(mut self, pem: &[u8]) -> Result<Self, BucketError> {
        let mut roots = RootCertStore::empty();
        let no = |reason: String| BucketError::Certificates { reason };
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| no(error.to_string()))?;
            roots.add(certificate).map_err(|error| no(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(no("there are none".to_owned()));
        }
        self.reach.roots = Some(Arc::new(roots));
        Ok(self)
    }

    /// How long it may take to connect; and until the answer to a request begins, whose part is sent by then, and
    /// between any two parts of an answer.
    #[must_use]
    pub const fn with_timeouts(mut self, connect: Duration, answer: Duration) -> Self {
        self.reach.connect = connect;
        self.reach.answer = answer;
        self
    }

    /// How long after it began a request is tried again.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Changes the options of the artefacts in it, whose prefix is that of the URL.
    #[must_use]
    pub fn with_options(mut self, change: impl FnOnce(ObjectOptions) -> ObjectOptions) -> Self {
        self.options = change(self.options);
        self
    }

    /// The artefacts in it. Nothing is sent yet: see [`ObjectArtifacts::check`].
    ///
    /// # Errors
    /// [`BucketError`]: a setting is unknown, wrong or missing.
    pub fn open(&self) -> Result<ObjectArtifacts, BucketError> {
        Ok(ObjectArtifacts::new(self.store()?, &self.options))
    }

    fn store(&self) -> Result<Arc<dyn ObjectStore>, BucketError> {
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: usize::MAX,
            retry_timeout: self.patience,
        };
        macro_rules! store {
            ($builder:ty) => {{
                let mut builder = if self.environment { <$builder>::from_env() } else { <$builder>::new() };
                for (name, value) in &self.settings {
                    let known = FromStr::from_str(name);
                    let known = known
                        .map_err(|_: object_store::Error| BucketError::Setting { name: name.clone() })?;
                    builder = builder.with_config(known, value);
                }
                let reach = self.reach.clone();
                let builder = builder.with_url(&self.url).with_retry(retry).with_http_connector(reach);
                Arc::new(builder.build().map_err(|error| BucketError::Settings { source: error.into() })?)
            }};
        }
        Ok(match self.cloud {
            #[cfg(feature = "s3")]
            Cloud::S3 => store!(object_store::aws::AmazonS3Builder),
            #[cfg(feature = "gcs")]
            Cloud::Gcs => store!(object_store::gcp::GoogleCloudStorageBuilder),
            #[cfg(feature = "azure")]
            Cloud::Azure => store!(object_store::azure::MicrosoftAzureBuilder),
        })
    }
}

/// What stands before a password in a URL is not worth the risk.
fn without_secrets(url: &str) -> String {
    let end = url.find(['@', '?']).map_or(url, |at| url.get(..at).unwrap_or_default());
    if end.len() == url.len() { url.to_owned() } else { "(not shown)".to_owned() }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<_> = self.settings.iter().map(|(name, _)| name).collect();
        f.debug_struct("Bucket")
            .field("url", &self.url)
            .field("environment", &self.environment)
            .field("settings", &settings)
            .field("reach", &self.reach)
            .field("patience", &self.patience)
            .field("options", &self.options)
            .finish()
    }
}

/// Why a bucket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// The URL is not that of a bucket.
    #[error("{url:?} is not a bucket: {reason}")]
    Url {
        /// The URL; not shown where it may have a secret.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No setting of this cloud has that name.
    #[error("there is no setting {name:?}")]
    Setting {
        /// The name.
        name: String,
    },
    /// The certificates are none.
    #[error("not certificates in PEM: {reason}")]
    Certificates {
        /// What is wrong with them.
        reason: String,
    },
    /// A setting is wrong, or one is missing.
    #[error("the settings of the bucket do not fit")]
    Settings {
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Reaction for BucketError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

#[cfg(all(test, feature = "s3"))]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        for url in ["s3://models", "s3://models/", "s3://models/a/b", "s3://my.models-2/a_b/"] {
            assert!(Bucket::new(url).is_ok(), "{url}");
        }
        for url in [
            "models",
            "ftp://models",
            "s3://",
            "s3:///a",
            "s3://a/../b",
            "s3://a//b",
            "s3://a/b?c",
            "s3://a b",
        ] {
            assert!(matches!(Bucket::new(url), Err(BucketError::Url { .. })), "{url}");
        }
    }

    #[test]
    fn what_is_printed_has_no_secrets() {
        let bucket = Bucket::new("s3://models").unwrap();
        let bucket = bucket.with_setting("secret_access_key", "s3cret").with_setting("access_key_id", "a");
        let printed = format!("{bucket:?} {:?}", bucket.open().unwrap());
        assert!(printed.contains("secret_access_key"), "{printed}");
        assert!(!printed.contains("s3cret"), "{printed}");
        let error = Bucket::new("s3://alice:s3cret@models").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn certificates_are_checked() {
        for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let refused = Bucket::new("s3://models").unwrap().with_root_certificates(pem.as_bytes());
            assert!(matches!(refused, Err(BucketError::Certificates { .. })), "{pem}");
        }
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let opened = Bucket::new("s3://models").unwrap().with_setting("colour", "blue").open();
        let Err(BucketError::Setting { name }) = opened else { panic!("{opened:?}") };
        assert_eq!(name, "colour");
    }
}
