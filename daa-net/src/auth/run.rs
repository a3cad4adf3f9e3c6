//! The handshake over a connection: messages with their length before them, within the time limit.

use std::io;
use std::time::Duration;

use daa_core::fault::{Fault, Reaction, Retry};
use rand::rngs::StdRng;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{Auth, AuthError, Ends, MAX_MESSAGE, Session, TIME_LIMIT};
use crate::node_id::NodeId;

/// How long a peer that is refused may take to hang up.
const LINGER: Duration = Duration::from_secs(1);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer is not who it has to be, or breaks the protocol.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The connection was lost, or the peer hung up: perhaps it does not let this node in.
    #[error("the connection was lost before the peer had proved itself")]
    Lost(#[source] io::Error),
    /// It took longer than [`TIME_LIMIT`].
    #[error("the peer did not prove itself within {} s", TIME_LIMIT.as_secs())]
    Slow,
}

impl Reaction for HandshakeError {
    fn fault(&self) -> Fault {
        match self {
            Self::Auth(error) => error.fault(),
            Self::Lost(_) => Fault::Environment,
            Self::Slow => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Auth(error) => error.retry(),
            Self::Lost(_) | Self::Slow => Retry::Later,
        }
    }
}

impl Auth {
    /// Proves this node to the one at the other end, and has that prove itself, as the one who begins. With `expected`, no
    /// other node will do. What follows on `io` is the caller's.
    ///
    /// # Errors
    /// [`HandshakeError`]: the connection is to be closed.
    ///
    /// # Cancel safety
    /// To drop the future is to give the connection up.
    pub async fn initiate_over(
        &self,
        io: &mut (impl AsyncRead + AsyncWrite + Unpin + ?Sized),
        ends: Ends<'_>,
        expected: Option<NodeId>,
    ) -> Result<Session, HandshakeError> {
        let handshake = async {
            let (initiator, hello) = self.initiate(ends, expected, &mut rand::make_rng::<StdRng>())?;
            send(io, &hello).await?;
            let reply = receive(io).await?;
            let (session, finish) = match initiator.reply(&reply).await {
                Ok(done) => done,
                Err(error) => return Err(refuse(io, error).await),
            };
            send(io, &finish).await?;
            Ok(session)
        };
        timeout(TIME_LIMIT, handshake).await.unwrap_or(Err(HandshakeError::Slow))
    }

    /// The same as the one who answers.
    ///
    /// # Errors
    /// [`HandshakeError`]: the connection is to be closed.
    ///
    /// # Cancel safety
    /// To drop the future is to give the connection up.
    pub async fn respond_over(
        &self,
        io: &mut (impl AsyncRead + AsyncWrite + Unpin + ?Sized),
        ends: Ends<'_>,
    ) -> Result<Session, HandshakeError> {
        let handshake = async {
            let hello = receive(io).await?;
            let answered = self.respond(ends, &hello, &mut rand::make_rng::<StdRng>()).await;
            let (responder, reply) = match answered {
                Ok(answered) => answered,
                Err(error) => return Err(refuse(io, error).await),
            };
            send(io, &reply).await?;
            Ok(responder.finish(&receive(io).await?)?)
        };
        timeout(TIME_LIMIT, handshake).await.unwrap_or(Err(HandshakeError::Slow))
    }
}

/// Tells the peer why, if that may help whoever runs it.
async fn refuse(io: &mut (impl AsyncRead + AsyncWrite + Unpin + ?Sized), error: AuthError) -> HandshakeError {
    if let Some(message) = error.to_message() {
        // It is a courtesy. What is still on its way when a connection is closed is lost, so the peer may hang up first.
        if send(io, &message).await.is_ok() {
            let _ = timeout(LINGER, io.read_u8()).await;
        }
    }
    error.into()
}

async fn send(io: &mut (impl AsyncWrite + Unpin + ?Sized), message: &[u8]) -> Result<(), HandshakeError> {
    let len = u16::try_from(message.len()).map_err(|_| AuthError::TooLong { len: message.len() })?;
    let framed = [&len.to_be_bytes(), message].concat();
    io.write_all(&framed).await.map_err(HandshakeError::Lost)?;
    io.flush().await.map_err(HandshakeError::Lost)
}

async fn receive(io: &mut (impl AsyncRead + Unpin + ?Sized)) -> Result<Vec<u8>, HandshakeError> {
    let len = usize::from(io.read_u16().await.map_err(HandshakeError::Lost)?);
    if len > MAX_MESSAGE {
        return Err(AuthError::TooLong { len }.into());
    }
    let mut message = vec![0; len];
    io.read_exact(&mut message).await.map_err(HandshakeError::Lost)?;
    Ok(message)
}
