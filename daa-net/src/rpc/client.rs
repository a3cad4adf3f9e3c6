//! Who asks.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::wire::{self, Answer, Ask};
use super::{CallError, CallOptions, MAX_BODY, Refusal, Status};
use crate::stream::PeerStream;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks over streams that `open` opens, until there is an answer or the deadline has passed.
pub(crate) async fn call<F>(
    open: impl Fn() -> F,
    method: &str,
    body: Bytes,
    options: CallOptions,
) -> Result<Bytes, CallError>
where
    F: Future<Output = Result<PeerStream, CallError>>,
{
    if body.len() > MAX_BODY {
        return Err(CallError::TooLong { len: body.len() });
    }
    let deadline = Instant::now() + options.deadline;
    let attempts = async {
        let mut pause = PAUSE;
        loop {
            let asked = ask(open().await, method, &body, deadline, options).await;
            match asked {
                Err(error) if options.key.is_some() && error.is_passing() => {
                    tracing::debug!(%error, method, "asked again");
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                asked => return asked,
            }
        }
    };
    timeout_at(deadline, attempts).await.unwrap_or(Err(CallError::Expired))
}

async fn ask(
    stream: Result<PeerStream, CallError>,
    method: &str,
    body: &Bytes,
    deadline: Instant,
    options: CallOptions,
) -> Result<Bytes, CallError> {
    let mut stream = stream?;
    let left = deadline.saturating_duration_since(Instant::now());
    let ask = Ask {
        method: method.to_owned(),
        body: body.clone(),
        millis: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        key: options.key.map(|key| Bytes::copy_from_slice(key.as_bytes())).unwrap_or_default(),
    };
    wire::send(&mut stream, &ask).await.map_err(CallError::Lost)?;
    let answer: Answer = wire::receive(&mut stream, |_| true).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => CallError::Garbage,
        _ => CallError::Lost(error),
    })?;
    match answer.status {
        0 => Ok(answer.body),
        number => Err(Refusal::new(Status::from_number(number), answer.reason).into()),
    }
}
