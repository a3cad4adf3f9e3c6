//! Finding nodes, those who offer a service, and what names lead to.

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::control::{Command, Find, Reply};
use super::error::NodeError;
use super::{Node, locked};
use crate::discovery::{
    BootstrapList, Busy, Candidate, Discovered, Found, RankOptions, Sighting, Standing, rank,
};
use crate::membership::MemberState;
use crate::names::{DarkAddress, Name, Resolution, SignedName};
use crate::node_id::NodeId;
use crate::record::{Service, SignedRecord};

/// Finding who offers a service.
#[async_trait]
pub trait NodeDiscovery {
    /// Those who offer a service, the best first: who can be reached and is healthy before who is not, the nearer before the
    /// farther. What the network keeps, what this node knows and what its members say is one list.
    ///
    /// # Errors
    /// [`NodeError::Busy`] when too much is being looked for, [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// The answer is passed over.
    async fn discover_nodes_with(
        &self,
        service: &Service,
        options: RankOptions,
    ) -> Result<Vec<Discovered>, NodeError>;

    /// The same, 20 at most.
    ///
    /// # Errors
    /// As [`discover_nodes_with`](Self::discover_nodes_with).
    ///
    /// # Cancel safety
    /// The answer is passed over.
    async fn discover_nodes(&self, service: &Service) -> Result<Vec<Discovered>, NodeError> {
        self.discover_nodes_with(service, RankOptions::default()).await
    }
}

#[async_trait]
impl NodeDiscovery for Node {
    async fn discover_nodes_with(
        &self,
        service: &Service,
        options: RankOptions,
    ) -> Result<Vec<Discovered>, NodeError> {
        let found = match self.find(Find::Providers(service.clone())).await? {
            Found::Providers(found) => found,
            _ => Vec::new(),
        };
        let (reply, known) = oneshot::channel();
        self.command(Command::Candidates { service: service.clone(), reply }).await?;
        let known = known.await.map_err(|_| NodeError::Closed)?;
        let found =
            found.into_iter().map(|found| Candidate::new(found.record().clone(), Sighting::Providers));
        let all: Vec<Candidate> = found.chain(known).chain(self.candidates()).collect();
        Ok(rank(self.id(), service, all, options, self.inner.shared.clock.now()))
    }
}

impl Node {
    /// What the members say, and how they are.
    fn candidates(&self) -> Vec<Candidate> {
        let view = locked(&self.inner.shared.view);
        let candidate = |(node, record): (&NodeId, &SignedRecord)| {
            let standing = match view.members.get(node).map(|member| member.state) {
                Some(MemberState::Alive) => Standing::Healthy,
                Some(MemberState::Suspect) => Standing::Suspect,
                Some(MemberState::Dead | MemberState::Left) => Standing::Gone,
                None => Standing::Unknown,
            };
            Candidate::new(record.clone(), Sighting::Gossip).with_standing(standing)
        };
        view.records.iter().map(candidate).collect()
    }

    /// Looks for a node in the network: what it says of itself, if it is found.
    ///
    /// # Errors
    /// [`NodeError::Busy`], [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// The answer is passed over.
    pub async fn look_up(&self, node: NodeId) -> Result<Option<SignedRecord>, NodeError> {
        match self.find(Find::Node(node)).await? {
            Found::Nodes(found) => Ok(found.into_iter().find(|record| record.node() == node)),
            _ => Ok(None),
        }
    }

    /// The node that a `.dark` address leads to: at once where it certifies itself, else as the network says. See
    /// [`names`](crate::names) for what that does not guarantee.
    ///
    /// # Errors
    /// [`NodeError::NoSuchName`] where nobody knows it, or not all agree; [`NodeError::Busy`], [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// The answer is passed over.
    pub async fn resolve(&self, address: &DarkAddress) -> Result<NodeId, NodeError> {
        match address {
            DarkAddress::Node(node) => Ok(*node),
            DarkAddress::Name(name) => match self.resolve_name(name.clone()).await? {
                Resolution::Found(found) => Ok(found.record().target),
                _ => Err(NodeError::NoSuchName { name: name.clone() }),
            },
        }
    }

    /// What became of looking for a registered name.
    ///
    /// # Errors
    /// [`NodeError::Busy`], [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// The answer is passed over.
    pub async fn resolve_name(&self, name: Name) -> Result<Resolution, NodeError> {
        match self.find(Find::Name(name)).await? {
            Found::Name(resolution) => Ok(resolution),
            _ => Ok(Resolution::NotFound),
        }
    }

    /// Has the network keep a name, from now on and until it expires; a newer record takes the place of an older one. When two
    /// thirds of its time are over, [`NodeEvent::RenewName`](super::NodeEvent::RenewName) says so.
    ///
    /// # Errors
    /// [`NodeError::Busy`] when it keeps too many, [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// The name may be kept all the same.
    pub async fn register(&self, name: SignedName) -> Result<(), NodeError> {
        let (reply, done) = oneshot::channel();
        self.answer_to(Command::Register { name: Box::new(name), reply }, done).await
    }

    /// Has the network keep a name no longer than it does already.
    ///
    /// # Errors
    /// [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// It may happen all the same.
    pub async fn unregister(&self, name: Name) -> Result<(), NodeError> {
        self.command(Command::Unregister { name }).await
    }

    /// The peers to begin with when this node runs again: to be saved, and given to
    /// [`NodeOptions::knowing`](super::NodeOptions::knowing).
    ///
    /// # Errors
    /// [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn known_peers(&self) -> Result<BootstrapList, NodeError> {
        let (reply, known) = oneshot::channel();
        self.command(Command::KnownPeers { reply }).await?;
        known.await.map_err(|_| NodeError::Closed)
    }

    async fn find(&self, what: Find) -> Result<Found, NodeError> {
        let (reply, found) = oneshot::channel();
        self.answer_to(Command::Find { what, reply }, found).await
    }

    async fn answer_to<T>(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<T, Busy>>,
    ) -> Result<T, NodeError> {
        self.command(command).await?;
        answer.await.map_err(|_| NodeError::Closed)?.map_err(|Busy| NodeError::Busy)
    }

    pub(super) async fn command(&self, command: Command) -> Result<(), NodeError> {
        self.inner.commands.send(command).await.map_err(|_| NodeError::Closed)
    }
}

/// What a reply is made of, so that who asks can be told later.
pub(super) type Finding = Reply<Found, Busy>;
