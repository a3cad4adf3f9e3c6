//! All entities at one moment, and what they are after a change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::EntityUid;
use daa_core::id::AgentId;
use daa_core::suggest::nearest;

use super::entity::{Entity, EntityChange, EntityId};
use super::error::EntityError;
use super::limits::AuthorisationLimits;
use super::schema::Declared;

/// All entities at one moment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Entities(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    by_id: ById,
    cedar: cedar_policy::Entities,
    /// Those who act, by the name that actions give.
    actors: HashMap<AgentId, EntityUid>,
}

type ById = BTreeMap<EntityId, Arc<Checked>>;

/// An entity that is as the schema says.
#[derive(Debug)]
struct Checked {
    entity: Entity,
    bytes: usize,
    cedar: cedar_policy::Entity,
}

impl Checked {
    fn new(entity: Entity, declared: &Declared) -> Result<Arc<Self>, EntityError> {
        let kind = entity.id().kind();
        let unknown = |suggestion| EntityError::UnknownType { kind: kind.to_owned(), suggestion };
        declared.knows(kind).map_err(unknown)?;
        if entity.groups().len() > AuthorisationLimits::PARENTS {
            let (what, limit) =
                ("roles and teams that an entity is directly in", AuthorisationLimits::PARENTS);
            return Err(EntityError::Limit { what, limit });
        }
        let json = entity.json();
        let bytes = json.to_string().len();
        if bytes > AuthorisationLimits::ENTITY {
            return Err(EntityError::Limit {
                what: "bytes of an entity",
                limit: AuthorisationLimits::ENTITY,
            });
        }
        let misfit = |source: cedar_policy::entities_errors::EntitiesError| {
            let mut why = source.to_string();
            let mut cause = std::error::Error::source(&source);
            while let Some(deeper) = cause {
                why = format!("{why}: {deeper}");
                cause = deeper.source();
            }
            EntityError::Misfit { entity: entity.id().clone(), why, source: Box::new(source) }
        };
        let cedar = cedar_policy::Entity::from_json_value(json, Some(&declared.schema)).map_err(misfit)?;
        Ok(Arc::new(Self { entity, bytes, cedar }))
    }
}

impl Entities {
    /// An entity; `None` where there is none of this name.
    #[must_use]
    pub fn entity(&self, id: &EntityId) -> Option<&Entity> {
        self.0.by_id.get(id).map(|known| &known.entity)
    }

    /// All entities, by type and id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entity> {
        self.0.by_id.values().map(|known| &known.entity)
    }

    pub(super) fn cedar(&self) -> &cedar_policy::Entities {
        &self.0.cedar
    }

    /// Who acts under this name.
    pub(super) fn actor(&self, id: &AgentId) -> Option<&EntityUid> {
        self.0.actors.get(id)
    }

    /// What they are after these changes, all of them or none.
    pub(super) fn after(&self, changes: &[EntityChange], declared: &Declared) -> Result<Self, EntityError> {
        let mut draft = self.draft();
        draft.change(changes, declared)?;
        let removed = changes.iter().filter_map(|change| match change {
            EntityChange::Remove(id) => Some(id),
            _ => None,
        });
        draft.built(declared, &removed.collect())
    }

    /// The same under another schema.
    pub(super) fn under(&self, declared: &Declared) -> Result<Self, EntityError> {
        self.draft().under(declared)?.built(declared, &BTreeSet::new())
    }

    fn draft(&self) -> Draft {
        let by_id = self.0.by_id.clone();
        Draft { bytes: by_id.values().map(|known| known.bytes).sum(), by_id }
    }
}

/// Entities in the making. Each is as the schema says, and they are not too many; what concerns several of them together is
/// looked at when all changes are made. So as many changes as one likes cost what they are, and not all entities each time.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    by_id: ById,
    /// Bytes of all of them.
    bytes: usize,
}

impl Draft {
    /// Makes these changes, all of them or none.
    pub(super) fn change(
        &mut self,
        changes: &[EntityChange],
        declared: &Declared,
    ) -> Result<(), EntityError> {
        match changes.len() {
            0 => return Err(EntityError::Nothing),
            count if count > AuthorisationLimits::CHANGES => {
                return Err(EntityError::Limit { what: "changes", limit: AuthorisationLimits::CHANGES });
            }
            _ => {}
        }
        let mut before = Vec::with_capacity(changes.len());
        let mut made = changes.iter().try_for_each(|change| {
            let (id, after) = changed(&self.by_id, change, declared)?;
            before.push((id.clone(), self.put(id, after)));
            Ok(())
        });
        if made.is_ok() {
            made = self.bounded();
        }
        if made.is_err() {
            for (id, known) in before.into_iter().rev() {
                self.put(id, known);
            }
        }
        made
    }

    /// The same under another schema.
    pub(super) fn under(&self, declared: &Declared) -> Result<Self, EntityError> {
        let mut draft = Self::default();
        for (id, known) in &self.by_id {
            draft.put(id.clone(), Some(Checked::new(known.entity.clone(), declared)?));
        }
        draft.bounded().map(|()| draft)
    }

    /// All of them together, if they can be; `removed` are those that have just gone.
    pub(super) fn built(
        &self,
        declared: &Declared,
        removed: &BTreeSet<&EntityId>,
    ) -> Result<Entities, EntityError> {
        #[cfg(test)]
        tests::BUILT.set(tests::BUILT.get() + 1);
        hierarchy(&self.by_id, removed)?;
        let actors = actors(&self.by_id, declared)?;
        let all = self.by_id.values().map(|known| known.cedar.clone());
        let cedar = cedar_policy::Entities::from_entities(all, Some(&declared.schema))
            .map_err(|source| EntityError::Together { source: Box::new(source) })?;
        Ok(Entities(Arc::new(Known { by_id: self.by_id.clone(), cedar, actors })))
    }

    /// Puts what is so in place of what was, and returns that.
    fn put(&mut self, id: EntityId, after: Option<Arc<Checked>>) -> Option<Arc<Checked>> {
        self.bytes += after.as_ref().map_or(0, |known| known.bytes);
        let before = match after {
            Some(known) => self.by_id.insert(id, known),
            None => self.by_id.remove(&id),
        };
        self.bytes -= before.as_ref().map_or(0, |known| known.bytes);
        before
    }

    fn bounded(&self) -> Result<(), EntityError> {
        if self.by_id.len() > AuthorisationLimits::ENTITIES {
            return Err(EntityError::Limit { what: "entities", limit: AuthorisationLimits::ENTITIES });
        }
        if self.bytes > AuthorisationLimits::ENTITIES_BYTES {
            let limit = AuthorisationLimits::ENTITIES_BYTES;
            return Err(EntityError::Limit { what: "bytes of all entities", limit });
        }
        Ok(())
    }
}

fn unknown(by_id: &ById, id: &EntityId) -> EntityError {
    let same_kind = by_id.keys().filter(|known| known.kind() == id.kind());
    let suggestion = nearest(id.id(), same_kind.map(EntityId::id));
    let suggestion = suggestion.map(|near| format!("{}::{near:?}", id.kind()));
    EntityError::Unknown { entity: id.clone(), suggestion }
}

/// Which entity a change is of, and what that is then; nothing where it is removed.
fn changed(
    by_id: &ById,
    change: &EntityChange,
    declared: &Declared,
) -> Result<(EntityId, Option<Arc<Checked>>), EntityError> {
    let known = |id: &EntityId| by_id.get(id).map(Arc::clone).ok_or_else(|| unknown(by_id, id));
    let after = match change {
        EntityChange::Put(entity) => entity.clone(),
        EntityChange::Remove(id) => {
            known(id)?;
            return Ok((id.clone(), None));
        }
        EntityChange::Grant { to, group } => {
            known(group)?;
            known(to)?.entity.clone().in_group(group.clone())
        }
        EntityChange::Revoke { from, group } => {
            known(group)?;
            known(from)?.entity.clone().out_of(group)
        }
    };
    Ok((after.id().clone(), Some(Checked::new(after, declared)?)))
}

/// Refuses groups that are not there, entities in themselves, and hierarchies that are too deep.
fn hierarchy(by_id: &ById, removed: &BTreeSet<&EntityId>) -> Result<(), EntityError> {
    // How many groups stand above an entity, the longest way; none yet while it is looked at.
    let mut heights: HashMap<&EntityId, Option<usize>> = HashMap::new();
    for start in by_id.keys() {
        // The way up to here, with the groups that are still to be looked at; no recursion, whatever stands there.
        let mut way: Vec<(&EntityId, Vec<&EntityId>, usize)> = Vec::new();
        let mut next = Some(start);
        while next.is_some() || !way.is_empty() {
            if let Some(id) = next.take() {
                match heights.get(id) {
                    Some(Some(height)) => raise(&mut way, *height),
                    Some(None) => return Err(EntityError::Cycle { entity: id.clone() }),
                    None => {
                        let member = way.last().map(|(member, ..)| *member);
                        let known = by_id.get(id).ok_or_else(|| match member {
                            Some(member) if removed.contains(id) => {
                                EntityError::InUse { entity: id.clone(), member: member.clone() }
                            }
                            _ => unknown(by_id, id),
                        })?;
                        heights.insert(id, None);
                        way.push((id, known.entity.groups().iter().collect(), 0));
                    }
                }
            }
            let Some((id, groups, height)) = way.last_mut() else { continue };
            match groups.pop() {
                Some(group) => next = Some(group),
                None => {
                    let (id, height) = (*id, *height);
                    if height > AuthorisationLimits::DEPTH {
                        let (what, limit) = ("roles and teams above each other", AuthorisationLimits::DEPTH);
                        return Err(EntityError::Limit { what, limit });
                    }
                    heights.insert(id, Some(height));
                    way.pop();
                    raise(&mut way, height);
                }
            }
        }
    }
    Ok(())
}

/// The entity at the end of the way is in a group of this height.
fn raise(way: &mut [(&EntityId, Vec<&EntityId>, usize)], height: usize) {
    if let Some((_, _, own)) = way.last_mut() {
        *own = (*own).max(height + 1);
    }
}

fn actors(by_id: &ById, declared: &Declared) -> Result<HashMap<AgentId, EntityUid>, EntityError> {
    let mut actors: HashMap<AgentId, (&EntityId, EntityUid)> = HashMap::new();
    for (id, known) in by_id.iter().filter(|(id, _)| declared.acts(id.kind())) {
        let named = |source| EntityError::Actor { entity: id.clone(), source };
        let name = AgentId::new(id.id()).map_err(named)?;
        if let Some((first, _)) = actors.get(&name) {
            return Err(EntityError::SameActor { first: (*first).clone(), second: id.clone() });
        }
        actors.insert(name, (id, known.cedar.uid()));
    }
    Ok(actors.into_iter().map(|(name, (_, uid))| (name, uid)).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    thread_local! {
        /// How often all entities were looked at together.
        pub(in crate::authorisation) static BUILT: Cell<usize> = const { Cell::new(0) };
    }
}
