//! Policies and entities at one moment, and what they decide. Pure.

use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context as CedarContext, Decision as CedarDecision, EntityUid, EvaluationError,
    RequestValidationError,
};
use daa_core::action::{Action, Context, Decision, Request, Verdict};
use daa_core::digest::Digest;
use daa_core::event::Version;
use daa_core::id::RuleId;
use serde_json::{Map, Value, json};

use super::cache::{Decided, DecisionCache};
use super::entities::Entities;
use super::limits::AuthorisationLimits;
use super::policies::Policies;
use super::problem::short;
use super::schema::{ActionForm, Target, facts};

/// Under which name a verdict says on which version of policies and entities it rests.
pub(super) const VERSION: &str = "authorisation.version";

/// The policies and the entities of one moment: of one version of their stream.
///
/// What it decides depends on nothing else. Cheap to clone; clones share what was decided before.
#[derive(Clone, Debug)]
pub struct Authorisation {
    policies: Policies,
    entities: Entities,
    version: Version,
    /// Why nobody knows what is so.
    unreadable: Option<Arc<str>>,
    decided: Arc<DecisionCache>,
}

/// A request, as policies see it.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) form: &'a ActionForm,
    pub(super) principal: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) context: Value,
}

/// What policies answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) decision: Decision,
    /// The policies that determine it, as the set has them.
    pub(super) policies: Vec<cedar_policy::PolicyId>,
    /// Those that could not be decided, and why.
    pub(super) undecided: Vec<(cedar_policy::PolicyId, EvaluationError)>,
    /// Why there is no such question, as Cedar tells it: with the values.
    pub(super) misfit: Option<String>,
}

impl Authorisation {
    /// Before anything is known: everything is denied.
    pub(super) fn new(policies: Policies) -> Self {
        let entities = Entities::default();
        Self { policies, entities, version: Version::EMPTY, unreadable: None, decided: Arc::default() }
    }

    /// The same as of a later version, with these policies and entities, where they are known. Nothing that was decided before
    /// is known to it.
    pub(super) fn then(
        &self,
        version: Version,
        policies: Policies,
        entities: Entities,
        unreadable: Option<Arc<str>>,
    ) -> Self {
        Self { policies, entities, version, unreadable, decided: Arc::default() }
    }

    /// The policies that govern.
    #[must_use]
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The entities.
    #[must_use]
    pub const fn entities(&self) -> &Entities {
        &self.entities
    }

    /// The version of the stream that this is as of.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Why everything is denied, where a change on record cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }

    /// How many decisions are kept; at most [`AuthorisationLimits::CACHED`].
    #[must_use]
    pub fn cached(&self) -> usize {
        self.decided.len()
    }

    /// Decides by the policies on the entities of this moment: a pure function of the request.
    ///
    /// What is not permitted is denied: where no policy permits or one forbids; where one cannot be evaluated; where the actor is no
    /// entity, the action is not declared, or the request is not as the schema says.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Verdict {
        let Decided { decision, policies } = self.decided(request);
        let mut verdict = Verdict::new(decision, self.policies.digest(), policies);
        verdict.given = Context::new().with(VERSION, self.version.get());
        verdict
    }

    fn decided(&self, request: &Request<'_>) -> Decided {
        let question = match self.question(request) {
            Ok(question) => question,
            Err(reason) => return Decided { decision: deny(&reason), policies: Vec::new() },
        };
        let key = question.key(request.action);
        if let Some(known) = self.decided.get(&key) {
            return known;
        }
        let answer = self.answer(&question);
        let decided = Decided { decision: answer.decision, policies: self.names(&answer.policies) };
        self.decided.keep(key, decided.clone());
        decided
    }

    /// What decisions call policies.
    pub(super) fn names(&self, policies: &[cedar_policy::PolicyId]) -> Vec<RuleId> {
        let known = policies.iter().filter_map(|id| self.policies.policy(id));
        let mut names: Vec<_> = known.map(|policy| policy.id.clone()).collect();
        // Cedar has them in no order.
        names.sort_unstable();
        names
    }

    /// The request as policies see it, or why there is no such question.
    pub(super) fn question(&self, request: &Request<'_>) -> Result<Question<'_>, String> {
        let action = request.action;
        if let Some(why) = &self.unreadable {
            return Err(format!("policies or entities are not known: {why}"));
        }
        let asked_of = request.given.and_then(|given| given.fact(VERSION));
        if asked_of.is_some_and(|version| version.as_u64() != Some(self.version.get())) {
            return Err(format!(
                "policies and entities are those of version {}, not of another",
                self.version
            ));
        }
        let form = self.policies.inner().declared.action(action.kind()).map_err(|near| {
            let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            format!("the schema declares no action {}{near}", action.kind())
        })?;
        let principal = self.entities.actor(action.actor());
        let principal = principal.ok_or_else(|| format!("{} is no principal", action.actor()))?.clone();
        let resource = form.resource(action)?;
        let context = form.context(action, request.context);
        Ok(Question { form, principal, resource, context })
    }

    pub(super) fn answer(&self, question: &Question<'_>) -> Answer {
        let schema = &self.policies.inner().declared.schema;
        let uid = &question.form.uid;
        let context = match CedarContext::from_json_value(question.context.clone(), Some((schema, uid))) {
            Ok(context) => context,
            Err(why) => return Answer::misfit("its context does not fit", chain(&why)),
        };
        let request = cedar_policy::Request::new(
            question.principal.clone(),
            uid.clone(),
            question.resource.clone(),
            context,
            Some(schema),
        );
        let request = match request {
            Ok(request) => request,
            Err(why) => return Answer::misfit(unfit(&why), chain(&why)),
        };
        let set = &self.policies.inner().set;
        let response = Authorizer::new().is_authorized(&request, set, self.entities.cedar());
        let mut policies: Vec<_> = response.diagnostics().reason().cloned().collect();
        let undecided = response.diagnostics().errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => {
                (error.policy_id().clone(), error.inner().clone())
            }
        });
        let undecided: Vec<_> = undecided.collect();
        let decision = match response.decision() {
            // A policy that cannot be evaluated might have forbidden it.
            CedarDecision::Allow if undecided.is_empty() => Decision::Permit,
            CedarDecision::Deny if undecided.is_empty() => self.denied(question, &policies),
            _ => {
                policies = undecided.iter().map(|(id, _)| id.clone()).collect();
                self.indeterminate(&undecided)
            }
        };
        Answer { decision, policies, undecided, misfit: None }
    }

    fn denied(&self, question: &Question<'_>, policies: &[cedar_policy::PolicyId]) -> Decision {
        let mut forbidding: Vec<_> = policies.iter().filter_map(|id| self.policies.policy(id)).collect();
        forbidding.sort_unstable_by_key(|policy| policy.at);
        let Question { form, principal, .. } = question;
        deny(&match &*forbidding {
            // Not what it would be done to: that may be a parameter that nobody is to see.
            [] => format!("no policy permits {principal} to do {}", form.uid),
            [first, ..] => {
                first.reason.clone().unwrap_or_else(|| format!("{} forbids {}", first.id, form.uid))
            }
        })
    }

    fn indeterminate(&self, undecided: &[(cedar_policy::PolicyId, EvaluationError)]) -> Decision {
        let told = undecided.iter().map(|(id, why)| {
            let name =
                self.policies.policy(id).map_or_else(|| id.to_string(), |policy| policy.id.to_string());
            format!("{name} is indeterminate: {}", unevaluated(why))
        });
        let mut told: Vec<_> = told.collect();
        told.sort_unstable();
        deny(&told.join("; "))
    }
}

impl Answer {
    fn misfit(what: &str, why: String) -> Self {
        let decision = deny(&format!("the request is not as the schema says: {what}"));
        Self { decision, policies: Vec::new(), undecided: Vec::new(), misfit: Some(why) }
    }
}

/// What does not fit, without the values: a reason is on record, and nobody who reads it may need to know them.
const fn unfit(error: &RequestValidationError) -> &'static str {
    match error {
        RequestValidationError::InvalidPrincipalType(_)
        | RequestValidationError::UndeclaredPrincipalType(_) => "it is none for an actor of this type",
        RequestValidationError::InvalidResourceType(_)
        | RequestValidationError::UndeclaredResourceType(_) => "it is not done to anything of this type",
        RequestValidationError::InvalidContext(_) | RequestValidationError::TypeOfContext(_) => {
            "its context does not fit"
        }
        _ => "it does not fit",
    }
}

/// Why a policy cannot be evaluated, without the values.
const fn unevaluated(error: &EvaluationError) -> &'static str {
    match error {
        EvaluationError::EntityDoesNotExist(_) => "an entity that it looks at does not exist",
        EvaluationError::EntityAttrDoesNotExist(_) => "an entity does not have an attribute that it looks at",
        EvaluationError::RecordAttrDoesNotExist(_) => "a record does not have an attribute that it looks at",
        EvaluationError::TypeError(_) => "operands are not of the types that they have to be",
        EvaluationError::IntegerOverflow(_) => "integer overflow",
        EvaluationError::FailedExtensionFunctionExecution(_) => "an extension function failed",
        EvaluationError::RecursionLimit(_) => "recursion limit reached",
        _ => "it cannot be evaluated",
    }
}

fn deny(reason: &str) -> Decision {
    Decision::Deny { reason: short(reason, AuthorisationLimits::REASON) }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let deeper_told = deeper.to_string();
        if !told.contains(&deeper_told) {
            told = format!("{told}: {deeper_told}");
        }
        cause = deeper.source();
    }
    told
}

impl Question<'_> {
    /// Names the question: everything that an answer can depend on, given policies and entities.
    fn key(&self, action: &Action) -> Digest {
        let mut key = Digest::builder("daa authorisation question v1");
        key.add(action.kind().as_str().as_bytes());
        key.add(action.actor().as_str().as_bytes());
        key.add(self.resource.to_string().as_bytes());
        key.add(self.context.to_string().as_bytes());
        key.finish()
    }
}

impl ActionForm {
    /// What an action is done to.
    fn resource(&self, action: &Action) -> Result<EntityUid, String> {
        let (param, types) = match &self.target {
            Target::System(uid) => return Ok(uid.clone()),
            Target::Param(param, types) => (param, types),
        };
        let missing = || format!("the parameter {param} names nothing that {} is done to", self.uid);
        let found = action.params().get(param).ok_or_else(missing)?;
        let named = |kind: &cedar_policy::EntityTypeName, id: &str| {
            EntityUid::from_type_name_and_id(kind.clone(), cedar_policy::EntityId::new(id))
        };
        match (found, &**types) {
            (Value::String(id), [kind]) => Ok(named(kind, id)),
            (Value::Object(entity), _) => {
                let text = |key| entity.get(key).and_then(Value::as_str).ok_or_else(missing);
                let (wanted, id) = (text("type")?, text("id")?);
                let kind = types.iter().find(|kind| kind.to_string() == wanted).ok_or_else(missing)?;
                Ok(named(kind, id))
            }
            _ => Err(missing()),
        }
    }

    /// What is declared of the context: of the parameters, of the cost, of where data came from, and the facts.
    fn context(&self, action: &Action, context: &Context) -> Value {
        let mut taken = Map::new();
        for (name, shape) in facts(&self.context) {
            let value = match name {
                "params" => shape.taken(action.params()),
                "cost" => action.max_cost().and_then(|cost| {
                    let currency = cost.currency();
                    let cost = json!({
                        "units": units(cost.amount().units()),
                        "currency": currency.code(),
                        "decimals": currency.decimals(),
                    });
                    shape.taken(&cost)
                }),
                "plan" => {
                    let sources: Vec<_> = context.sources().map(ToString::to_string).collect();
                    shape.taken(&json!({ "tainted": !sources.is_empty(), "sources": sources }))
                }
                name => context.fact(name).and_then(|value| shape.taken(value)),
            };
            taken.extend(value.map(|value| (name.to_owned(), value)));
        }
        Value::Object(taken)
    }
}

/// An amount as Cedar counts; one of more than 64 bits stays text, which is no number there.
fn units(units: u128) -> Value {
    i64::try_from(units).map_or_else(|_| Value::from(units.to_string()), Value::from)
}
