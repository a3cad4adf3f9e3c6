//! The policies and entities of a store, as the policy of a gate.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use daa_core::action::{
    Decision, Ended, Hold, Policy, PolicyChange, PolicyError, PolicyMemory, Request, Standing, Verdict,
};
use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, StreamWrite, Version,
};
use daa_core::id::AgentId;
use tokio::sync::{Mutex as Turns, OwnedRwLockReadGuard, RwLock};

use super::entity::EntityChange;
use super::error::AuthorisationError;
use super::event::{AuthorisationEvent, stream};
use super::fold::{Fold, RefusedPolicies};
use super::policies::Policies;
use super::snapshot::Authorisation;

/// How often an append is tried again when another writer was faster.
const MAX_CONFLICTS: u32 = 32;

/// Decides by the policies on the entities of an event store, as the [`Policy`] of a gate.
///
/// The gate asks it as one that [remembers](Policy::memory): each decision looks first whether anything has changed, so it is made by what
/// was durable when it began, whoever changed it, in whatever process. A decision uses one version of policies and entities,
/// and its verdict says which.
///
/// A permission that was given earlier is [asked for again](PolicyMemory::uphold) when it is to be used. After
/// [`change`](Self::change) and [`install`](Self::install) have returned, nothing is permitted here any more by what was before,
/// and no attempt begins that what governs now would deny. Where another process makes the change, a permission that was being
/// decided meanwhile, or used, may still be appended behind it; its verdict says on which version it rests.
///
/// Cheap to clone; all clones are the same.
///
/// ```
/// # use std::sync::Arc;
/// # use daa_core::action::{AllOf, Gate, Policy};
/// # use daa_core::clock::{Clock, SystemClock};
/// # use daa_core::event::{EventStore, MemoryEventStore};
/// # use daa_rules::{RulesEngine, authorisation::*};
/// # async fn example(rules: RulesEngine) -> Result<(), Box<dyn std::error::Error>> {
/// let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
/// let authoriser = Authoriser::open(store.clone()).await?;
/// let (root, treasurer) = ("root".parse()?, EntityId::role("treasurer")?);
/// let policies = Policies::from_files("authorisation.cedar", None)?;
/// authoriser.install(policies, &root, clock.now()).await?;
/// let alice = Entity::new(EntityId::person(&"alice".parse()?)).in_group(treasurer.clone());
/// let changes = vec![EntityChange::Put(Entity::new(treasurer)), EntityChange::Put(alice)];
/// authoriser.change(changes, &root, clock.now()).await?;
///
/// let both = AllOf::new()
///     .and(RulesEngine::PART, Arc::new(rules))
///     .and(Authoriser::PART, Arc::new(authoriser));
/// let gate = Gate::builder(store, clock).with_policy(Arc::new(both)).build();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Authoriser {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn EventStore>,
    governing: ArcSwap<Epoch>,
    /// What was read of the stream; whoever has it reads on, and alone lets another epoch govern.
    read: Turns<Fold>,
}

/// The time in which one version governs here.
#[derive(Debug)]
struct Epoch {
    authorisation: Authorisation,
    refused: Option<Arc<RefusedPolicies>>,
    /// Held by every decision of this epoch, and by everybody who uses one, until that is durable or was in vain.
    deciding: Arc<RwLock<()>>,
    /// The same of the epochs before it in which somebody may still be at that. With the epoch itself it is one value, so
    /// whoever sees an epoch govern knows what it has to wait for.
    before: Vec<Arc<RwLock<()>>>,
}

impl Epoch {
    fn of(fold: &Fold, before: Vec<Arc<RwLock<()>>>) -> Arc<Self> {
        let (authorisation, refused) = (fold.authorisation.clone(), fold.refused.clone());
        Arc::new(Self { authorisation, refused, deciding: Arc::default(), before })
    }

    /// The epoch behind this one. Nobody begins in those before this one any more: whoever finds one of them free finds
    /// another one governing.
    fn then(&self, fold: &Fold) -> Arc<Self> {
        let mut before = self.before.clone();
        before.retain(|deciding| deciding.try_write().is_err());
        before.push(self.deciding.clone());
        Self::of(fold, before)
    }

    /// Waits until nobody is at anything any more that rests on an epoch before this one.
    async fn settled(&self) {
        for deciding in &self.before {
            drop(deciding.write().await);
        }
    }
}

impl Authoriser {
    /// What it is called among [several policies](daa_core::action::AllOf), by convention.
    pub const PART: &str = "authorisation";

    /// Reads policies and entities from a store, which must be the gate's own. Where there are none yet, everything is denied.
    ///
    /// # Errors
    /// [`AuthorisationError`] when the store cannot be read.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn open(store: Arc<dyn EventStore>) -> Result<Self, AuthorisationError> {
        let mut fold = Fold::new()?;
        fold.read(&*store, None).await?;
        let governing = ArcSwap::new(Epoch::of(&fold, Vec::new()));
        let shared = Shared { store, governing, read: Turns::new(fold) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What governs, as far as it was read.
    #[must_use]
    pub fn authorisation(&self) -> Authorisation {
        self.shared.governing.load().authorisation.clone()
    }

    /// Why the policies that were installed last do not govern here; `None` where they do. Those before them govern
    /// then.
    #[must_use]
    pub fn refused(&self) -> Option<Arc<RefusedPolicies>> {
        self.shared.governing.load().refused.clone()
    }

    /// Reads what has happened since, and returns what governs.
    ///
    /// # Errors
    /// [`AuthorisationError`] when the store cannot be read.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn refresh(&self) -> Result<Authorisation, AuthorisationError> {
        Ok(self.current().await?.authorisation.clone())
    }

    /// Changes entities, all of them together, in somebody's name, and returns the version from which that is so.
    ///
    /// # Errors
    /// [`AuthorisationError::Entity`] for a change that is not accepted: nothing changes then. Otherwise the store is not
    /// available; after [`AuthorisationError::Append`] or [`AuthorisationError::Read`] the change may be on record.
    ///
    /// # Cancel safety
    /// A dropped call has changed everything or nothing.
    pub async fn change(
        &self,
        changes: Vec<EntityChange>,
        by: &AgentId,
        now: Timestamp,
    ) -> Result<Version, AuthorisationError> {
        let event = AuthorisationEvent::Changed { changes: changes.clone(), by: by.clone() };
        let event = event.to_new(now)?;
        self.append(|authorisation| {
            authorisation.entities().after(&changes, &authorisation.policies().inner().declared)?;
            Ok(vec![event.clone()])
        })
        .await
    }

    /// Lets other policies govern, and another schema, in somebody's name, and returns the version from which they do.
    ///
    /// # Errors
    /// [`AuthorisationError::Schema`] when the entities do not fit their schema: the old ones keep governing then. Otherwise as
    /// [`Self::change`].
    ///
    /// # Cancel safety
    /// A dropped call has installed everything or nothing.
    pub async fn install(
        &self,
        policies: Policies,
        by: &AgentId,
        now: Timestamp,
    ) -> Result<Version, AuthorisationError> {
        let events = AuthorisationEvent::installing(&policies, by, now)?;
        self.append(|authorisation| {
            let under = authorisation.entities().under(&policies.inner().declared);
            under.map_err(AuthorisationError::Schema)?;
            Ok(events.clone())
        })
        .await
    }

    /// Appends what is right to append to what governs, and waits until nothing is decided any more by what did before.
    async fn append(
        &self,
        events: impl Fn(&Authorisation) -> Result<Vec<NewEvent>, AuthorisationError> + Send + Sync,
    ) -> Result<Version, AuthorisationError> {
        let stream = stream()?;
        for _ in 0..MAX_CONFLICTS {
            let epoch = self.current().await?;
            let authorisation = &epoch.authorisation;
            if let Some(why) = authorisation.unreadable() {
                let why = why.to_owned();
                return Err(AuthorisationError::Unreadable { version: authorisation.version(), why });
            }
            let events = events(authorisation)?;
            let version = Version::new(authorisation.version().get() + events.len() as u64);
            let expected = ExpectedVersion::Exact(authorisation.version());
            let write = StreamWrite::new(stream.clone(), expected, events);
            drop(epoch);
            match self.shared.store.append(Batch::new().with(write)).await {
                Ok(_) => {
                    self.current().await?.settled().await;
                    return Ok(version);
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AuthorisationError::Contended { tries: MAX_CONFLICTS })
    }

    /// What governs now, with everything that is durable.
    async fn current(&self) -> Result<Arc<Epoch>, AuthorisationError> {
        let shared = &*self.shared;
        let known = shared.governing.load_full();
        // Mostly nothing has happened, and nobody has to wait for anybody.
        let page =
            shared.store.read_stream(&stream()?, known.authorisation.version(), PageSize::new(1)).await?;
        if page.is_empty() {
            return Ok(known);
        }
        let mut fold = shared.read.lock().await;
        // A dropped call leaves what was read as it was.
        let mut ahead = fold.clone();
        ahead.read(&*shared.store, None).await?;
        let before = shared.governing.load_full();
        if ahead.authorisation.version() > before.authorisation.version() {
            shared.governing.store(before.then(&ahead));
        }
        *fold = ahead;
        Ok(shared.governing.load_full())
    }

    /// What governs now, held: it does not end for those who change it before the guard is gone.
    async fn held(&self) -> Result<(Authorisation, OwnedRwLockReadGuard<()>), AuthorisationError> {
        loop {
            let epoch = self.current().await?;
            // Somebody waits for the end of this epoch: there is another one.
            let Ok(guard) = Arc::clone(&epoch.deciding).try_read_owned() else { continue };
            // Whoever ended it has looked for us before we were there.
            if Arc::ptr_eq(&epoch, &self.shared.governing.load()) {
                return Ok((epoch.authorisation.clone(), guard));
            }
        }
    }
}

impl Policy for Authoriser {
    /// Decides by what governs as far as it was read.
    fn decide(&self, request: &Request<'_>) -> Verdict {
        self.shared.governing.load().authorisation.decide(request)
    }

    fn memory(&self) -> Option<&dyn PolicyMemory> {
        Some(self)
    }
}

#[async_trait]
impl PolicyMemory for Authoriser {
    async fn begin(&self) -> Result<Box<dyn PolicyChange>, PolicyError> {
        let (authorisation, epoch) = self.held().await?;
        Ok(Box::new(Deciding { authorisation, _epoch: epoch }))
    }

    /// Nothing is made anew here: what governs is read on, as for a decision.
    async fn begin_ending(&self) -> Result<Box<dyn PolicyChange>, PolicyError> {
        self.begin().await
    }

    /// What was permitted is asked again, of what governs now: what is forbidden since is not attempted any more.
    async fn uphold(&self, request: &Request<'_>) -> Result<Standing, PolicyError> {
        let (authorisation, epoch) = self.held().await?;
        let verdict = authorisation.decide(request);
        if verdict.decision == Decision::Permit {
            return Ok(Standing::Stands(Hold::of(epoch)));
        }
        Ok(Standing::Withdrawn(Box::new(verdict)))
    }
}

/// Decisions by one version.
#[derive(Debug)]
struct Deciding {
    authorisation: Authorisation,
    _epoch: OwnedRwLockReadGuard<()>,
}

#[async_trait]
impl PolicyChange for Deciding {
    fn decides(&self) -> bool {
        true
    }

    async fn decide(&mut self, request: &Request<'_>) -> Result<Verdict, PolicyError> {
        Ok(self.authorisation.decide(request))
    }

    fn permitted(&mut self, _: &Request<'_>, _: &Verdict) -> Result<(), PolicyError> {
        Ok(())
    }

    async fn ended(&mut self, _: &Ended<'_>) -> Result<(), PolicyError> {
        Ok(())
    }

    fn writes(&self) -> Vec<StreamWrite> {
        Vec::new()
    }

    fn confirm(self: Box<Self>) {}
}
