//! Why policies decide as they do.

use std::fmt;

use daa_core::action::{Action, Obligation, Request, Verdict};
use daa_core::event::Version;
use daa_core::id::{ActionKind, RuleId};
use serde::Serialize;
use serde_json::Value;

use super::authoriser::Authoriser;
use super::policies::PolicyInfo;
use super::schema::Target;
use super::snapshot::{Authorisation, Question, VERSION};
use crate::diagnostic::Location;
use crate::explain::Told;

/// Why a request is decided as it is.
///
/// Shown it is a text for people; serialised it has the same as data.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuthorisationExplanation {
    /// What is asked for.
    pub kind: ActionKind,
    /// What is decided, and by which policies.
    pub verdict: Verdict,
    /// Who asks, what for and in which context, as policies see it; `None` where there is nothing that they could be asked.
    pub question: Option<ExplainedQuestion>,
    /// What of that is not as the schema says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit: Option<String>,
    /// The policies that determine the decision, as they stand in the source.
    pub policies: Vec<ExplainedPolicy>,
}

/// A request, as policies see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedQuestion {
    /// Who.
    pub principal: String,
    /// All that the principal is in, on whatever way.
    pub groups: Vec<String>,
    /// What it is done to.
    pub resource: String,
    /// What is known beside it.
    pub context: Value,
}

/// A policy that determines a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedPolicy {
    /// What decisions call it.
    pub id: RuleId,
    /// Whether it permits; else it forbids.
    pub permits: bool,
    /// Where it stands in the source.
    pub at: Location,
    /// As it is written.
    pub text: String,
    /// Why it could not be evaluated, where that is why it counts.
    pub undecided: Option<String>,
}

impl Authorisation {
    /// Why a request is decided as it is, as it may be shown under these obligations: those of the whole verdict, for what is to
    /// be [redacted](Obligation::Redact) is for rules to say. What is stands as `redacted`; so does what Cedar
    /// says of values, wherever anything is.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>, obligations: &[Obligation]) -> AuthorisationExplanation {
        let verdict = self.decide(request);
        let kind = request.action.kind().clone();
        let Ok(question) = self.question(request) else {
            let (question, misfit, policies) = (None, None, Vec::new());
            return AuthorisationExplanation { kind, verdict, question, misfit, policies };
        };
        let shown = Shown::under(obligations);
        let answer = self.answer(&question);
        let mut policies: Vec<_> = answer
            .policies
            .iter()
            .filter_map(|id| {
                let undecided = answer.undecided.iter().find(|(undecided, _)| undecided == id);
                let undecided = undecided.map(|(_, why)| shown.text(why.to_string()));
                Some(self.explained(self.policies().policy(id)?, undecided))
            })
            .collect();
        policies.sort_unstable_by_key(|policy| policy.at);
        let groups = self.entities().cedar().ancestors(&question.principal);
        let mut groups: Vec<_> = groups.into_iter().flatten().map(ToString::to_string).collect();
        groups.sort_unstable();
        let explained = ExplainedQuestion {
            principal: question.principal.to_string(),
            groups,
            resource: shown.resource(&question),
            context: shown.context(request.action, question.context),
        };
        let misfit = answer.misfit.map(|why| shown.text(why));
        AuthorisationExplanation { kind, verdict, question: Some(explained), misfit, policies }
    }

    fn explained(&self, policy: &PolicyInfo, undecided: Option<String>) -> ExplainedPolicy {
        let (id, permits, at) = (policy.id.clone(), policy.permits, policy.at);
        ExplainedPolicy { id, permits, at, text: self.policies().text(policy).to_owned(), undecided }
    }

    /// The version that a verdict says it rests on; `None` where no policies decided it.
    #[must_use]
    pub fn recorded_version(verdict: &Verdict) -> Option<Version> {
        let part = verdict.part(Authoriser::PART);
        part.given.fact(VERSION).and_then(Value::as_u64).map(Version::new)
    }
}

const REDACTED: &str = "redacted";

/// What of a request may be shown.
struct Shown<'o> {
    obligations: &'o [Obligation],
    /// The parameters that are not, by their dotted paths.
    hidden: Vec<&'o str>,
}

impl<'o> Shown<'o> {
    fn under(obligations: &'o [Obligation]) -> Self {
        let hidden = obligations.iter().flat_map(|obligation| match obligation {
            Obligation::Redact(paths) => paths.as_slice(),
            _ => &[],
        });
        Self { obligations, hidden: hidden.map(String::as_str).collect() }
    }

    /// What may quote any value.
    fn text(&self, text: String) -> String {
        if self.hidden.is_empty() { text } else { REDACTED.to_owned() }
    }

    fn resource(&self, question: &Question<'_>) -> String {
        let named = match &question.form.target {
            Target::System(_) => None,
            Target::Param(param, _) => Some(param.as_str()),
        };
        let is_of = |path: &&str| path.split('.').next() == named;
        if self.hidden.iter().any(is_of) { REDACTED.to_owned() } else { question.resource.to_string() }
    }

    /// The context, with its parameters as the action's may be shown.
    fn context(&self, action: &Action, mut context: Value) -> Value {
        if let Some(params) = context.get_mut("params").filter(|_| !self.hidden.is_empty()) {
            let shown = action.clone().with_params(params.take());
            *params = shown.map_or_else(
                |_| REDACTED.into(),
                |action| action.redacted(self.obligations, None).params().clone(),
            );
        }
        context
    }
}

impl fmt::Display for AuthorisationExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.kind, Told(&self.verdict))?;
        if let Some(ExplainedQuestion { principal, groups, resource, context }) = &self.question {
            writeln!(f, "  principal: {principal}")?;
            for group in groups {
                writeln!(f, "    in {group}")?;
            }
            writeln!(f, "  resource: {resource}")?;
            writeln!(f, "  context: {context}")?;
        }
        if let Some(misfit) = &self.misfit {
            writeln!(f, "  not as the schema says: {misfit}")?;
        }
        for ExplainedPolicy { id, permits, at, text, undecided } in &self.policies {
            let effect = if *permits { "permit" } else { "forbid" };
            match undecided {
                None => writeln!(f, "* policy {id} ({effect}, line {})", at.line)?,
                Some(why) => {
                    writeln!(f, "* policy {id} ({effect}, line {}) is indeterminate: {why}", at.line)?
                }
            }
            for line in text.lines() {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}
