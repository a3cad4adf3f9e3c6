//! A witness that is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daa_core::fault::{Fault, Reaction, Retry};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use tokio::time::timeout;

use super::{ADD_CHECKPOINT, SIZE_TYPE};
use crate::audit::key::{KeyUse, NoteVerifier, PublicKey};
use crate::audit::note::KeyName;
use crate::audit::witness::CosignRequest;

/// The most bytes of an answer: some signatures.
const MAX_ANSWER: usize = 64 << 10;
/// How long an answer may take, all of it, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// A witness of C2SP tlog-witness, as a log reaches it.
///
/// TLS is that of `rustls`, with the roots that the machine trusts. What a witness says is believed for its signature, so
/// plain HTTP is no danger to what is signed; it is one to whether it arrives.
#[derive(Clone, Debug)]
pub struct HttpWitness {
    key: PublicKey,
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    patience: Duration,
}

/// A witness that cannot be asked, or did not answer as one does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpWitnessError {
    /// The key of a log.
    #[error("the key {key} is not one of a witness")]
    OtherUse {
        /// The key.
        key: String,
    },
    /// An address that is none.
    #[error("{url} is not the submission prefix of a witness: an http or https URL without a query")]
    Url {
        /// The address.
        url: String,
    },
    /// TLS is not to be had.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// It could not be reached, or the connection broke.
    #[error("the witness {witness} cannot be reached")]
    Unreachable {
        /// Its name.
        witness: KeyName,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("the witness {witness} did not answer within {patience:?}")]
    Late {
        /// Its name.
        witness: KeyName,
        /// How long it had.
        patience: Duration,
    },
    /// Another status than those that mean something here.
    #[error("the witness {witness} answered {status}")]
    Status {
        /// Its name.
        witness: KeyName,
        /// The status.
        status: u16,
    },
    /// Not what the specification has.
    #[error("the witness {witness} answered what is no answer")]
    Answer {
        /// Its name.
        witness: KeyName,
    },
}

impl Reaction for HttpWitnessError {
    fn fault(&self) -> Fault {
        match self {
            Self::OtherUse { .. } | Self::Url { .. } => Fault::Caller,
            Self::Tls(_) | Self::Unreachable { .. } | Self::Late { .. } => Fault::Environment,
            Self::Status { .. } | Self::Answer { .. } => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Unreachable { .. } | Self::Late { .. } => Retry::Later,
            Self::Status { status, .. } if *status == 429 || *status >= 500 => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// What a witness answers.
#[derive(Debug)]
pub(super) enum Said {
    /// Lines of signatures; not verified.
    Signed(String),
    /// That it signed this size last.
    LastSize(u64),
}

impl HttpWitness {
    /// The witness of this key, behind its submission prefix, such as `https://witness.example/w1`.
    ///
    /// # Errors
    /// [`HttpWitnessError::OtherUse`], [`HttpWitnessError::Url`], [`HttpWitnessError::Tls`].
    pub fn new(key: PublicKey, prefix: &str) -> Result<Self, HttpWitnessError> {
        if key.usage() != KeyUse::Witness {
            return Err(HttpWitnessError::OtherUse { key: key.to_string() });
        }
        let wrong = || HttpWitnessError::Url { url: prefix.to_owned() };
        let url: Uri =
            format!("{}/{ADD_CHECKPOINT}", prefix.trim_end_matches('/')).parse().map_err(|_| wrong())?;
        let reachable = matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some();
        if !reachable || url.query().is_some() {
            return Err(wrong());
        }
        Ok(Self { key, url, client: client()?, patience: PATIENCE })
    }

    /// How long an answer may take; ten seconds unless said otherwise.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    fn name(&self) -> KeyName {
        NoteVerifier::name(&self.key).clone()
    }

    /// Asks once.
    pub(super) async fn add(&self, request: &CosignRequest) -> Result<Said, HttpWitnessError> {
        let late = |_| HttpWitnessError::Late { witness: self.name(), patience: self.patience };
        timeout(self.patience, self.exchange(request)).await.map_err(late)?
    }

    async fn exchange(&self, request: &CosignRequest) -> Result<Said, HttpWitnessError> {
        let unreachable = |source| HttpWitnessError::Unreachable { witness: self.name(), source };
        let answer = || HttpWitnessError::Answer { witness: self.name() };
        let mut post = Request::new(Full::from(request.to_string()));
        (*post.method_mut(), *post.uri_mut()) = (Method::POST, self.url.clone());
        let answered = self.client.request(post).await.map_err(|error| unreachable(error.into()))?;
        let (head, body) = answered.into_parts();
        let sized =
            head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == SIZE_TYPE.as_bytes());
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(unreachable)?.to_bytes();
        let text = String::from_utf8(body.to_vec()).map_err(|_| answer())?;
        match head.status {
            StatusCode::OK => Ok(Said::Signed(text)),
            StatusCode::CONFLICT if sized => {
                text.trim_end().parse().map(Said::LastSize).map_err(|_| answer())
            }
            status => Err(HttpWitnessError::Status { witness: self.name(), status: status.as_u16() }),
        }
    }
}

fn client() -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(tls))
}
