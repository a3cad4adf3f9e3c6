//! A witness that listens.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daa_core::clock::Clock;
use daa_core::shutdown::Shutdown;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{ADD_CHECKPOINT, SIZE_TYPE};
use crate::audit::witness::{CosignRequest, MAX_REQUEST, Witness, WitnessError, WitnessMemory};

/// How long the listener rests when the system has no connection to give, such as for want of file descriptors.
const REST: Duration = Duration::from_millis(100);
/// The most bytes of the head of a request.
const MAX_HEAD: usize = 16 << 10;

/// How many are served at once, and how long.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    connections: usize,
    patience: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { connections: 256, patience: Duration::from_secs(10) }
    }
}

impl ServeOptions {
    /// 256 connections at once, and ten seconds for a head, for a body, and for those that are left at the end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many connections there are at once; those that come later wait for one to end.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How long the head of a request may take, or a connection be silent; how long its body may take; and how long, when
    /// it is over, requests on their way are waited for.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// Answers `POST /add-checkpoint`, in plain HTTP/1.1: TLS, and a path before it, are for the proxy in front.
///
/// Comes back when a shutdown is requested, and the requests that are on their way are answered, or have had their time.
///
/// # Errors
/// [`io::Error`] when the listener has no address any more. A connection that cannot be accepted is none.
///
/// # Cancel safety
/// A dropped call drops its connections. What was signed was remembered before.
pub async fn serve_witness<M: WitnessMemory + 'static>(
    witness: Arc<Witness<M>>,
    clock: Arc<dyn Clock>,
    listener: TcpListener,
    options: ServeOptions,
    mut shutdown: Shutdown,
) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, key = %witness.public_key(), "a witness listens");
    let seats = Arc::new(Semaphore::new(options.connections));
    let mut served = JoinSet::new();
    loop {
        // Whoever has ended is forgotten, so that there are never more than there are seats.
        while served.try_join_next().is_some() {}
        let next = async {
            let seat = seats.clone().acquire_owned().await;
            (seat, listener.accept().await)
        };
        let (seat, stream) = tokio::select! {
            () = shutdown.requested() => break,
            (seat, accepted) = next => match accepted {
                Ok((stream, _)) => (seat, stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(REST).await;
                    continue;
                }
            },
        };
        let (witness, clock, shutdown) = (witness.clone(), clock.clone(), shutdown.clone());
        served.spawn(async move {
            let _seat = seat;
            connection(witness, clock, stream, options.patience, shutdown).await;
        });
    }
    let _ = timeout(options.patience, async { while served.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn connection<M: WitnessMemory>(
    witness: Arc<Witness<M>>,
    clock: Arc<dyn Clock>,
    stream: TcpStream,
    patience: Duration,
    mut shutdown: Shutdown,
) {
    let answered = service_fn(|request| {
        let (witness, clock) = (witness.clone(), clock.clone());
        async move { Ok::<_, Infallible>(answer(&witness, &*clock, request, patience).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(MAX_HEAD);
    let serving = builder.serve_connection(TokioIo::new(stream), answered);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.requested() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the witness ended early");
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer<M: WitnessMemory>(
    witness: &Witness<M>,
    clock: &dyn Clock,
    request: Request<Incoming>,
    patience: Duration,
) -> Answer {
    if request.uri().path().strip_prefix('/') != Some(ADD_CHECKPOINT) {
        return said(StatusCode::NOT_FOUND, "there is add-checkpoint, and nothing else");
    }
    if request.method() != Method::POST {
        let refused = said(StatusCode::METHOD_NOT_ALLOWED, "a checkpoint is added by POST");
        return with(refused, ALLOW, "POST");
    }
    let body = match timeout(patience, Limited::new(request.into_body(), MAX_REQUEST).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return said(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("a request has at most {MAX_REQUEST} bytes"),
            );
        }
        Ok(Err(_)) => return said(StatusCode::BAD_REQUEST, "the body ended early"),
        Err(_) => return said(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let request = match CosignRequest::parse(&body) {
        Ok(request) => request,
        Err(error) => return said(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match witness.cosign(&request, clock.now()).await {
        Ok(line) => respond(StatusCode::OK, line),
        Err(error) => refused(&error),
    }
}

/// The answer that tlog-witness has for it.
fn refused(error: &WitnessError) -> Answer {
    let status = match error {
        WitnessError::UnknownLog { .. } => StatusCode::NOT_FOUND,
        WitnessError::Checkpoint(_) | WitnessError::Shrunk { .. } => StatusCode::BAD_REQUEST,
        WitnessError::Untrusted(_) => StatusCode::FORBIDDEN,
        WitnessError::OtherSize { seen, .. } | WitnessError::Forked { seen, .. } => {
            return with(respond(StatusCode::CONFLICT, format!("{seen}\n")), CONTENT_TYPE, SIZE_TYPE);
        }
        WitnessError::Inconsistent { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        WitnessError::Memory(_) | WitnessError::OtherUse { .. } => {
            tracing::error!(%error, "the witness does not sign");
            return said(StatusCode::SERVICE_UNAVAILABLE, "the witness does not sign now");
        }
    };
    said(status, &error.to_string())
}

fn said(status: StatusCode, text: &str) -> Answer {
    respond(status, format!("{text}\n"))
}

fn respond(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    with(answer, CONTENT_TYPE, "text/plain; charset=utf-8")
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
