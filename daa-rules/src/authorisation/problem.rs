//! What can be wrong with policies and schemas, beside what rulesets have too.

use daa_core::id::IdError;
use miette::Diagnostic as Told;

use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::document::Lines;
use crate::problem::Problem;

/// What is wrong at one place of a file of policies, or of a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// What Cedar finds: of the grammar, of names that nothing declares, of types that do not fit.
    #[error("{message}{}", help.as_ref().map_or_else(String::new, |help| format!("; {help}")))]
    Cedar {
        /// What.
        message: String,
        /// What would be right, where Cedar knows.
        help: Option<String>,
    },
    /// A template: nothing here links any.
    #[error("policy {id} is a template, and nothing links it; say ?principal or ?resource by name")]
    Template {
        /// Its name.
        id: String,
    },
    /// An `@id` that is no name.
    #[error("invalid policy id: {0}")]
    Id(IdError),
    /// Two policies of one name.
    #[error("policy {id:?} exists already, at {first}")]
    DuplicatePolicy {
        /// The name.
        id: String,
        /// The other policy.
        first: Location,
    },
    /// An action whose name is no kind of action.
    #[error("action {action:?} can never be asked for: {error}")]
    Kind {
        /// The action.
        action: String,
        /// Why it is no kind.
        error: IdError,
    },
    /// An action that two namespaces declare.
    #[error("action {action:?} is declared in two namespaces, {first} and {second}")]
    DuplicateAction {
        /// The action.
        action: String,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// An action that is done to something, without a parameter that says to what.
    #[error(
        "action {action:?} is done to {types}: say with @resource(\"NAME\") which of its parameters names that"
    )]
    Resource {
        /// The action.
        action: String,
        /// What it is done to.
        types: String,
    },
}

impl From<PolicyProblem> for Problem {
    fn from(problem: PolicyProblem) -> Self {
        Self::Authorisation(Box::new(problem))
    }
}

impl PolicyProblem {
    /// What would be right, where that can be told.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::Cedar { help, .. } => help.as_deref(),
            _ => None,
        }
    }
}

/// Characters of what Cedar says that are told.
const MESSAGE: usize = 500;

/// What Cedar says, and where; at `otherwise`, where it does not say.
pub(super) fn told(error: &dyn Told, severity: Severity, lines: &Lines<'_>, otherwise: usize) -> Diagnostic {
    let label = error.labels().and_then(|mut labels| labels.next());
    let at = lines.location(label.as_ref().map_or(otherwise, miette::LabeledSpan::offset));
    let mut message = error.to_string();
    if let Some(more) = label.as_ref().and_then(miette::LabeledSpan::label) {
        message = format!("{message}: {more}");
    }
    let help = error.help().map(|help| short(&help.to_string(), MESSAGE));
    let problem = PolicyProblem::Cedar { message: short(&message, MESSAGE), help };
    Diagnostic { severity, at, problem: problem.into() }
}

/// The first line of a text, and no more of it than allowed.
pub(super) fn short(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= most {
        return line.to_owned();
    }
    line.chars().take(most).chain(['\u{2026}']).collect()
}
