//! What is declared: DAA's own schema and the program's, and what of a request each action may look at.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{EntityId, EntityNamespace, EntityTypeName, EntityUid, Schema, SchemaFragment};
use daa_core::id::ActionKind;
use daa_core::suggest::nearest;
use serde_json::Value;

use super::limits::AuthorisationLimits;
use super::problem::{PolicyProblem, told};
use super::scan::Scan;
use super::shape::{CommonTypes, Shape};
use crate::diagnostic::{Diagnostic, Severity};
use crate::document::Lines;
use crate::problem::Problem;

/// The schema of what DAA itself knows; see [`Policies`](super::Policies).
pub const SHIPPED_SCHEMA: &str = include_str!("daa.cedarschema");

/// What an action is done to, where no parameter says it.
const SYSTEM: &str = "DAA::System";
const SYSTEM_ID: &str = "daa";

/// Everything that is declared.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) schema: Schema,
    /// By kind.
    actions: HashMap<String, ActionForm>,
    /// The types of those who act.
    principals: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

/// How requests for an action are put to its policies.
#[derive(Debug)]
pub(super) struct ActionForm {
    pub(super) uid: EntityUid,
    pub(super) target: Target,
    pub(super) context: Shape,
}

/// What says what an action is done to.
#[derive(Debug)]
pub(super) enum Target {
    /// It is always the same.
    System(EntityUid),
    /// A parameter: the id of an entity of the only type, or type and id of one of several.
    Param(String, Vec<EntityTypeName>),
}

impl Declared {
    /// Reads the program's own schema beside the shipped one.
    pub(super) fn read(own: &str) -> Result<Self, Vec<Diagnostic>> {
        let lines = Lines::of(own);
        let error = |error: &dyn miette::Diagnostic| told(error, Severity::Error, &lines, 0);
        if let Some(at) = Scan::schema(own, AuthorisationLimits::NESTING).too_deep {
            let (what, limit) = ("levels of brackets in a schema", AuthorisationLimits::NESTING);
            return Err(vec![Diagnostic::error(lines.location(at), Problem::Limit { what, limit })]);
        }
        let fragment = |text| match SchemaFragment::from_cedarschema_str(text) {
            Ok((fragment, _)) => Ok(fragment),
            Err(why) => Err(vec![error(&why)]),
        };
        let fragments = [fragment(SHIPPED_SCHEMA)?, fragment(own)?];
        let schema = Schema::from_schema_fragments(fragments.clone()).map_err(|why| vec![error(&why)])?;
        let json = |fragment: SchemaFragment| fragment.to_json_value().map_err(|why| vec![error(&why)]);
        let [shipped, program] = fragments.clone().map(json);
        let documents = [shipped?, program?];
        let principals = schema.principals().map(ToString::to_string).collect();
        let kinds = schema.entity_types().map(ToString::to_string).collect();
        let mut declared = Self { schema, actions: HashMap::new(), principals, kinds };
        let common = CommonTypes::of(&documents);
        let mut problems = Vec::new();
        for (fragment, document) in fragments.iter().zip(&documents) {
            for (namespace, name, action) in actions(document) {
                if let Err(problem) = declared.add(fragment, namespace, name, action, &common) {
                    let at = own.find(&format!("\"{name}\"")).or_else(|| own.find(name)).unwrap_or(0);
                    problems.push(Diagnostic::error(lines.location(at), problem.into()));
                }
            }
        }
        problems.truncate(AuthorisationLimits::PROBLEMS);
        if problems.is_empty() { Ok(declared) } else { Err(problems) }
    }

    fn add(
        &mut self,
        fragment: &SchemaFragment,
        namespace: &str,
        name: &str,
        action: &Value,
        common: &CommonTypes<'_>,
    ) -> Result<(), PolicyProblem> {
        let invalid = |error| PolicyProblem::Kind { action: name.to_owned(), error };
        ActionKind::new(name).map_err(invalid)?;
        // Cedar has accepted these names.
        let cedars = |message: String| PolicyProblem::Cedar { message, help: None };
        let qualified =
            if namespace.is_empty() { "Action".to_owned() } else { format!("{namespace}::Action") };
        let kind: EntityTypeName = qualified.parse().map_err(|why| cedars(format!("{why}")))?;
        let id = EntityId::new(name);
        let uid = EntityUid::from_type_name_and_id(kind, id.clone());
        let resources: Vec<EntityTypeName> =
            self.schema.resources_for_action(&uid).into_iter().flatten().cloned().collect();
        let within: Option<EntityNamespace> = namespace.parse().ok();
        let target = match fragment.action_annotation(within, &id, "resource") {
            Some(param) => Target::Param(param.to_owned(), resources),
            None if matches!(&*resources, [only] if only.to_string() == SYSTEM) => {
                let only = resources.into_iter().next().ok_or_else(|| cedars("no resource".to_owned()))?;
                Target::System(EntityUid::from_type_name_and_id(only, EntityId::new(SYSTEM_ID)))
            }
            None => {
                let types = resources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(PolicyProblem::Resource { action: name.to_owned(), types });
            }
        };
        let context = action.get("appliesTo").and_then(|applies| applies.get("context"));
        let context = context.map_or_else(Shape::nothing, |context| common.shape(namespace, context));
        if let Some(first) = self.actions.get(name) {
            let (first, second) = (first.uid.to_string(), uid.to_string());
            return Err(PolicyProblem::DuplicateAction { action: name.to_owned(), first, second });
        }
        self.actions.insert(name.to_owned(), ActionForm { uid, target, context });
        Ok(())
    }

    /// How requests of a kind are put; or the nearest kind that is declared.
    pub(super) fn action(&self, kind: &ActionKind) -> Result<&ActionForm, Option<String>> {
        let nearest = || nearest(kind.as_str(), self.actions.keys().map(String::as_str));
        self.actions.get(kind.as_str()).ok_or_else(nearest)
    }

    /// Whether entities of this type act.
    pub(super) fn acts(&self, kind: &str) -> bool {
        self.principals.contains(kind)
    }

    /// Whether there are entities of this type; or the nearest type of which there are.
    pub(super) fn knows(&self, kind: &str) -> Result<(), Option<String>> {
        let nearest = || nearest(kind, self.kinds.iter().map(String::as_str));
        if self.kinds.contains(kind) { Ok(()) } else { Err(nearest()) }
    }
}

/// The actions of a schema that can be asked for, each with its namespace; groups of actions cannot.
fn actions(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let namespaces = document.as_object().into_iter().flatten();
    let actions = namespaces.flat_map(|(namespace, content)| {
        let actions = content.get("actions").and_then(Value::as_object).into_iter().flatten();
        actions.map(move |(name, action)| (namespace.as_str(), name.as_str(), action))
    });
    actions.filter(|(_, _, action)| {
        let types = action.get("appliesTo").and_then(|applies| applies.get("resourceTypes"));
        types.and_then(Value::as_array).is_some_and(|types| !types.is_empty())
    })
}

/// What is declared of the context of an action, by name.
pub(super) fn facts(shape: &Shape) -> impl Iterator<Item = (&str, &Shape)> {
    let fields = match shape {
        Shape::Record(fields) => Some(fields),
        _ => None,
    };
    fields.into_iter().flatten().map(|(name, shape)| (name.as_str(), shape))
}
