//! One connection: the handshake first, then streams.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{
    ConnectionEvent, ConnectionHandlerEvent, DialUpgradeError, FullyNegotiatedInbound,
    FullyNegotiatedOutbound, ProtocolSupport, StreamUpgradeError,
};
use libp2p::swarm::{ConnectionHandler, Stream, StreamProtocol, SubstreamProtocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Sleep, sleep};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

use super::gate::Gate;
use super::offer::{AUTH, Offer, STREAM, TRIES};
use crate::auth::{Auth, AuthError, Ends, HandshakeError, Session};
use crate::node_id::NodeId;
use crate::stream::{Carrier, PeerStream, Protocol, StreamError, StreamOptions};
use crate::transport::TransportError;
use crate::transport::bandwidth::Metering;
use crate::transport::session::{Live, MAX_STREAMS};

/// How many streams of a peer that is proving itself wait, unread.
const EARLY: usize = 32;
/// How long the peer may take to agree to a stream.
const OPENING: Duration = Duration::from_secs(10);
/// How long a stranger may stay without beginning the handshake. libp2p keeps a connection for as long as anything is under way on it,
/// so who always begins something would stay for ever.
const STRANGER: Duration = Duration::from_secs(30);
/// What a node that relays for others says when it is ready.
const RELAYS: u8 = 1;

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type AuthStream = Compat<Stream>;

/// A stream that is to be opened.
pub(super) struct Ask {
    pub(super) place: OwnedSemaphorePermit,
    pub(super) protocol: Protocol,
    pub(super) options: StreamOptions,
    pub(super) reply: oneshot::Sender<Result<PeerStream, TransportError>>,
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// What the behaviour tells a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum ToHandler {
    /// The rest of the node knows that the peer is there.
    Go,
    /// There is a better connection to the same node: end when nothing needs this one.
    Superseded,
}

/// What a connection tells the behaviour.
#[derive(Debug)]
pub(super) enum FromHandler {
    /// The peer has proved itself.
    Proved { live: Live, asks: mpsc::Sender<Ask> },
    /// It has not, and will not.
    Failed(HandshakeError),
    /// All protocols are spoken from now on.
    Opened { is_relay: bool },
    /// It has broken the protocol since.
    Condemned(StreamError),
}

/// Where the streams of a connection tell that their peer breaks the protocol.
#[derive(Debug, Default)]
pub(super) struct Verdict(Mutex<(Option<StreamError>, Option<Waker>)>);

impl Carrier for Verdict {
    fn condemn(&self, why: StreamError) {
        let waker = {
            let mut verdict = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            verdict.0.get_or_insert(why);
            verdict.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Verdict {
    fn poll(&self, cx: &Context<'_>) -> Option<StreamError> {
        let mut verdict = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.1 = Some(cx.waker().clone());
        verdict.0
    }
}

enum State {
    /// The stream of the handshake is to be asked for.
    Begin,
    /// It was asked for, or the peer is to ask for it.
    Wait,
    /// The handshake is under way.
    Prove(Task<(Result<Session, HandshakeError>, AuthStream)>),
    /// The peer has proved itself, and the rest of the node is being told.
    Tell(AuthStream),
    /// Both sides are being told that all protocols may be spoken. Each says that it answers everything, and whether it relays, and asks for
    /// nothing before the other one has said the same; who answered the handshake begins.
    Ready(Task<io::Result<(AuthStream, bool)>>),
    /// All is spoken.
    Open,
    Failed,
}

pub(super) struct Handler {
    auth: Auth,
    ours: Vec<u8>,
    theirs: Vec<u8>,
    is_initiator: bool,
    /// Whether this node relays for others.
    is_relay: bool,
    expected: Option<NodeId>,
    gate: Arc<Gate>,
    verdict: Arc<Verdict>,
    state: State,
    live: Option<Live>,
    asks: Option<mpsc::Receiver<Ask>>,
    early: Vec<Stream>,
    accepting: FuturesUnordered<Task<()>>,
    streams: mpsc::Sender<PeerStream>,
    metering: Metering,
    events: VecDeque<Event>,
    is_superseded: bool,
    /// When who has not begun the handshake has been here for long enough, whatever else it does.
    deadline: Pin<Box<Sleep>>,
    waker: Option<Waker>,
}

impl Handler {
    pub(super) fn new(
        auth: Auth,
        (ours, theirs): (Vec<u8>, Vec<u8>),
        (is_initiator, is_relay): (bool, bool),
        expected: Option<NodeId>,
        gate: Arc<Gate>,
        (streams, metering): (mpsc::Sender<PeerStream>, Metering),
    ) -> Self {
        Self {
            auth,
            ours,
            theirs,
            is_initiator,
            is_relay,
            expected,
            gate,
            verdict: Arc::default(),
            state: if is_initiator { State::Begin } else { State::Wait },
            live: None,
            asks: None,
            early: Vec::new(),
            accepting: FuturesUnordered::new(),
            streams,
            metering,
            events: VecDeque::new(),
            is_superseded: false,
            deadline: Box::pin(sleep(STRANGER)),
            waker: None,
        }
    }

    fn prove(&mut self, stream: Stream) {
        let (auth, ours, theirs) = (self.auth.clone(), self.ours.clone(), self.theirs.clone());
        let (is_initiator, expected) = (self.is_initiator, self.expected);
        let mut stream = stream.compat();
        self.state = State::Prove(Box::pin(async move {
            let ends = Ends { ours: &ours, theirs: &theirs };
            let session = if is_initiator {
                auth.initiate_over(&mut stream, ends, expected).await
            } else {
                auth.respond_over(&mut stream, ends).await
            };
            (session, stream)
        }));
    }

    fn fail(&mut self, error: HandshakeError) {
        self.state = State::Failed;
        self.early.clear();
        self.tell(FromHandler::Failed(error));
    }

    fn tell(&mut self, event: FromHandler) {
        self.events.push_back(ConnectionHandlerEvent::NotifyBehaviour(event));
    }

    fn proved(&mut self, session: &Session, stream: AuthStream) {
        let live = Live::new(session, self.verdict.clone(), self.metering.clone());
        let (asks, asked) = mpsc::channel(MAX_STREAMS);
        self.live = Some(live.clone());
        self.asks = Some(asked);
        self.state = State::Tell(stream);
        self.tell(FromHandler::Proved { live, asks });
    }

    /// The rest of the node knows the peer.
    fn go(&mut self) {
        match std::mem::replace(&mut self.state, State::Open) {
            State::Tell(mut stream) => {
                let (is_initiator, ours) = (self.is_initiator, u8::from(self.is_relay));
                self.state = State::Ready(Box::pin(async move {
                    let theirs = if is_initiator {
                        let theirs = stream.read_u8().await?;
                        stream.write_u8(ours).await?;
                        stream.flush().await?;
                        theirs
                    } else {
                        stream.write_u8(ours).await?;
                        stream.flush().await?;
                        stream.read_u8().await?
                    };
                    Ok((stream, theirs == RELAYS))
                }));
                for stream in std::mem::take(&mut self.early) {
                    self.accept(stream);
                }
                self.gate.answer();
            }
            state => self.state = state,
        }
    }

    fn accept(&self, stream: Stream) {
        let (Some(live), streams) = (self.live.clone(), self.streams.clone()) else { return };
        if self.accepting.len() >= MAX_STREAMS {
            return;
        }
        self.accepting.push(Box::pin(async move {
            match live.accept(Box::new(stream.compat())).await {
                Ok(stream) => drop(streams.send(stream).await),
                Err(error) => {
                    tracing::debug!(peer = %live.peer(), %error, "a stream of a peer came to nothing")
                }
            }
        }));
    }

    /// A stream that the peer opened.
    fn came(&mut self, protocol: &StreamProtocol, stream: Stream) {
        if *protocol == AUTH {
            match self.state {
                State::Wait if !self.is_initiator => self.prove(stream),
                // A second handshake, or one by who is not to begin it.
                _ => self.verdict.condemn(StreamError::Unexpected),
            }
        } else {
            match self.state {
                State::Prove(_) | State::Tell(_) if self.early.len() < EARLY => self.early.push(stream),
                State::Ready(_) | State::Open => self.accept(stream),
                // Dropped, which resets it.
                _ => {}
            }
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) {
        loop {
            match &mut self.state {
                State::Prove(task) => {
                    let Poll::Ready((session, stream)) = task.as_mut().poll(cx) else { return };
                    match session {
                        Ok(session) => self.proved(&session, stream),
                        Err(error) => self.fail(error),
                    }
                }
                State::Ready(task) => {
                    let Poll::Ready(done) = task.as_mut().poll(cx) else { return };
                    self.state = State::Open;
                    match done {
                        Ok((stream, is_relay)) => {
                            self.gate.open();
                            // All that is behind the gate is the same in all nodes. What identify says was perhaps said before it opened, and
                            // a push that overtakes it is lost (libp2p-identify 0.48).
                            let answers = ProtocolSupport::Added(HashSet::from([TRIES]));
                            self.events.push_back(ConnectionHandlerEvent::ReportRemoteProtocols(answers));
                            self.tell(FromHandler::Opened { is_relay });
                            drop(stream);
                        }
                        // The connection is about to be lost.
                        Err(error) => tracing::debug!(%error, "the peer did not say that it is ready"),
                    }
                }
                _ => return,
            }
        }
    }
}

/// What was asked of the connection.
pub(super) enum Purpose {
    Auth,
    Stream(Ask),
}

type Event = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, Purpose, FromHandler>;

impl ConnectionHandler for Handler {
    type FromBehaviour = ToHandler;
    type ToBehaviour = FromHandler;
    type InboundProtocol = Offer;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Purpose;

    fn listen_protocol(&self) -> SubstreamProtocol<Offer, ()> {
        let offer = match self.state {
            State::Begin | State::Failed => Offer::NOTHING,
            State::Wait if self.is_initiator => Offer::NOTHING,
            State::Wait => Offer::AUTH,
            _ => Offer::STREAM,
        };
        SubstreamProtocol::new(offer, ())
    }

    fn connection_keep_alive(&self) -> bool {
        match self.state {
            State::Prove(_) | State::Tell(_) => true,
            State::Ready(_) | State::Open => !self.is_superseded,
            // Who does not begin with the handshake may stay as long as any stranger.
            State::Begin | State::Wait | State::Failed => false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.waker = Some(cx.waker().clone());
        if matches!(self.state, State::Begin) {
            self.state = State::Wait;
            let protocol =
                SubstreamProtocol::new(ReadyUpgrade::new(AUTH), Purpose::Auth).with_timeout(OPENING);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if matches!(self.state, State::Wait) && self.deadline.as_mut().poll(cx).is_ready() {
            self.fail(HandshakeError::Slow);
        }
        self.poll_state(cx);
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        if !matches!(self.state, State::Failed)
            && let Some(why) = self.verdict.poll(cx)
        {
            self.state = State::Failed;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(FromHandler::Condemned(why)));
        }
        while let Poll::Ready(Some(())) = self.accepting.poll_next_unpin(cx) {}
        if let Some(Poll::Ready(Some(ask))) = self.asks.as_mut().map(|asks| asks.poll_recv(cx)) {
            let protocol =
                SubstreamProtocol::new(ReadyUpgrade::new(STREAM), Purpose::Stream(ask)).with_timeout(OPENING);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: ToHandler) {
        match event {
            ToHandler::Go => self.go(),
            ToHandler::Superseded => self.is_superseded = true,
        }
        self.wake();
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Offer, ReadyUpgrade<StreamProtocol>, (), Purpose>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (name, stream),
                ..
            }) => {
                self.came(&name, stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: Purpose::Auth,
            }) => {
                self.prove(stream);
                self.wake();
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: Purpose::Stream(Ask { place, protocol, options, reply }),
            }) => {
                let Some(live) = &self.live else { return };
                let opened = live.open(Box::new(stream.compat()), place, protocol, options);
                // Who asked may have gone.
                let _ = reply.send(opened.map_err(TransportError::Lost));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => io::ErrorKind::TimedOut.into(),
                    StreamUpgradeError::NegotiationFailed => io::ErrorKind::Unsupported.into(),
                    StreamUpgradeError::Io(error) => error,
                    StreamUpgradeError::Apply(never) => match never {},
                };
                match info {
                    Purpose::Auth if error.kind() == io::ErrorKind::Unsupported => {
                        self.fail(AuthError::Unexpected.into());
                    }
                    Purpose::Auth => self.fail(HandshakeError::Lost(error)),
                    Purpose::Stream(ask) => drop(ask.reply.send(Err(TransportError::Lost(error)))),
                }
                self.wake();
            }
            // Of what a peer offered, or of addresses: nothing depends on it.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use daa_crypto::CryptoSuite;
    use tokio::time::Instant;

    use super::*;
    use crate::testing::{identity, network};

    #[tokio::test(start_paused = true)]
    async fn who_does_not_begin_the_handshake_is_given_up_whatever_else_it_does() {
        let auth = Auth::new(CryptoSuite::new(), identity(0).clone(), network());
        let ends = (vec![1], vec![2]);
        let streams = (mpsc::channel(1).0, Metering::default());
        let mut handler = Handler::new(auth, ends, (false, false), None, Arc::default(), streams);
        let began = Instant::now();
        let event = poll_fn(|cx| handler.poll(cx)).await;
        let ConnectionHandlerEvent::NotifyBehaviour(FromHandler::Failed(HandshakeError::Slow)) = event else {
            panic!("it is to be told that the peer was slow");
        };
        assert_eq!(began.elapsed(), STRANGER);
    }
}
