//! What can be wrong with a ruleset, and what would be right.

use daa_core::id::IdError;

use crate::diagnostic::Location;
use crate::ruleset::Effect;

/// What is wrong at one place of a ruleset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is not valid TOML or YAML.
    #[error("invalid {language}: {message}")]
    Syntax {
        /// The language of the file.
        language: &'static str,
        /// What the parser says.
        message: String,
    },
    /// A key that means nothing here.
    #[error("unknown key {found:?}, expected one of {expected}{}", hint(suggestion))]
    UnknownKey {
        /// The key.
        found: String,
        /// The keys that mean something.
        expected: String,
        /// The nearest of them.
        suggestion: Option<String>,
    },
    /// A key that stands there twice.
    #[error("key {key:?} stands there twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A key that must be there.
    #[error("a {what} needs the key {key:?}")]
    MissingKey {
        /// What needs it.
        what: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A rule that denies, and binds what it does not permit.
    #[error("a rule that denies binds nothing; limit and log are for those that permit or escalate")]
    Idle,
    /// A text that is no span of time.
    #[error("{text:?} is not a span of time such as \"24h\" or \"7 days\", of at most {days} days")]
    Span {
        /// The text.
        text: String,
        /// The longest span, in days.
        days: u64,
    },
    /// A time zone that nobody knows.
    #[error("{name:?} is no time zone; expected a name such as \"UTC\" or \"Europe/Berlin\"")]
    Zone {
        /// What was found.
        name: String,
    },
    /// A window that counts over a span and over a calendar.
    #[error("a window has a span or a calendar, and a zone only with a calendar")]
    Extent,
    /// What has to do with the last step, said of the last step.
    #[error("the last step of a sequence is the action at hand: it has only on and when")]
    LastStep,
    /// A sequence of one step.
    #[error("a sequence has at least two steps, the last of which is the action at hand")]
    TooFewSteps,
    /// An agent that belongs to two owners.
    #[error("{agent} has an owner already")]
    Owned {
        /// The agent.
        agent: String,
    },
    /// A name that no agent can have.
    #[error("invalid name of an agent: {0}")]
    Agent(#[source] IdError),
    /// A fact that is told by a provider, and is not declared.
    #[error("{name:?} is no fact; [context] has to declare it, with its type")]
    Undeclared {
        /// The name.
        name: String,
    },
    /// A window that counts several things apart, where nothing says which of them is asked for.
    #[error(
        "{path} counts several things apart, by its per or by currency; without an action only a window without per can be asked for, and one of money only as the value of a threshold"
    )]
    NotToldApart {
        /// The window.
        path: String,
    },
    /// Something that does not fit what is declared.
    #[error("{what} is declared as {declared}, this is {found}")]
    Misfit {
        /// What it is for.
        what: String,
        /// The declared type.
        declared: String,
        /// The type of what stands there.
        found: String,
    },
    /// A declared value that is missing, and not optional.
    #[error("{what} needs {name:?}, which is declared and not optional")]
    Needs {
        /// What needs it.
        what: String,
        /// What is missing.
        name: String,
    },
    /// A value that can be none of a text.
    #[error("{found} cannot be written in a text")]
    NotText {
        /// The type of the value.
        found: String,
    },
    /// A template that does not end.
    #[error("a \"${{\" without its \"}}\"")]
    OpenTemplate,
    /// A schedule that is none.
    #[error("{message}")]
    Schedule {
        /// What is wrong with it.
        message: String,
    },
    /// A build that knows no schedules.
    #[error("this build knows no schedules: it lacks the feature \"schedule\"")]
    NoSchedules,
    /// A parameter of a type that has no bounds, or whose value is beyond them.
    #[error("{what}")]
    Parameter {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A threshold without an order of its values, or cleared where it is raised.
    #[error("{what}")]
    Threshold {
        /// What is wrong with it.
        what: &'static str,
    },
    /// An attribute that cannot be redacted.
    #[error("{path:?} is no attribute that can be redacted, such as \"action.params.to\"")]
    Redact {
        /// What stands there.
        path: String,
    },
    /// A value of the wrong type.
    #[error("{key} must be {expected}, found {found}")]
    WrongType {
        /// The key.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A name from a fixed list that is not on it.
    #[error("unknown {what} {found:?}, expected one of {expected}{}", hint(suggestion))]
    UnknownName {
        /// What it should name.
        what: &'static str,
        /// What stands there.
        found: String,
        /// The list.
        expected: &'static str,
        /// The nearest on it.
        suggestion: Option<String>,
    },
    /// A rule id that is not an id.
    #[error("invalid rule id: {0}")]
    Id(IdError),
    /// A source of data that is not an id.
    #[error("invalid name of a source: {0}")]
    Source(IdError),
    /// Two rules with one id.
    #[error("rule {id:?} exists already, at {first}")]
    DuplicateRule {
        /// The id.
        id: String,
        /// The other rule.
        first: Location,
    },
    /// A kind of action that is declared twice.
    #[error("{pattern} is declared already, at {first}")]
    DuplicateKind {
        /// The kind, or pattern.
        pattern: String,
        /// The other declaration.
        first: Location,
    },
    /// An attribute that is declared twice.
    #[error("attribute {name} is declared twice, once as optional")]
    DuplicateAttribute {
        /// Its name.
        name: String,
    },
    /// A type that makes no sense.
    #[error("{what}")]
    Type {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A pattern that makes no sense.
    #[error("{pattern:?} is not a kind of action: {message}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        message: String,
    },
    /// A declared attribute whose name cannot be written in a condition.
    #[error("{name:?} is not a name: letters, digits and _ are allowed, and no digit first")]
    Name {
        /// The name.
        name: String,
    },
    /// Too much of something.
    #[error("{what}: at most {limit} are allowed")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// A condition that is not CEL.
    #[error("the condition is not valid: {message}")]
    Expression {
        /// What the parser says.
        message: String,
    },
    /// A condition that uses what this engine leaves out.
    #[error("{what} cannot be used in a condition; {instead}")]
    Unsupported {
        /// What it uses.
        what: String,
        /// What can be used.
        instead: String,
    },
    /// A condition over something that does not exist.
    #[error("unknown attribute {path}: {expected}{}", hint(suggestion))]
    UnknownAttribute {
        /// The attribute.
        path: String,
        /// What exists.
        expected: String,
        /// The nearest name.
        suggestion: Option<String>,
    },
    /// A condition that can never be true or false.
    #[error("a condition is true or false, this one is {found}")]
    NotBool {
        /// The type of what it is.
        found: String,
    },
    /// Operands that do not fit each other.
    #[error("{expression}: {left} {operator} {right} is not defined{}", instead(suggestion))]
    Operands {
        /// The expression.
        expression: Box<str>,
        /// Its operator.
        operator: &'static str,
        /// The type of its left operand.
        left: Box<str>,
        /// The type of its right operand.
        right: Box<str>,
        /// What could stand for the operand that does not fit.
        suggestion: Option<String>,
    },
    /// An operand of the wrong type.
    #[error("{expression} is {found}, but {operator} takes {expected}{}", instead(suggestion))]
    Operand {
        /// The operand.
        expression: Box<str>,
        /// What is done with it.
        operator: Box<str>,
        /// What that takes.
        expected: &'static str,
        /// The type of the operand.
        found: Box<str>,
        /// What could stand there.
        suggestion: Option<String>,
    },
    /// A comparison with a text that the attribute never is.
    #[error("{attribute} is never {found:?}, only {expected}{}", hint(suggestion))]
    NotListed {
        /// The attribute.
        attribute: String,
        /// The text.
        found: String,
        /// What it can be.
        expected: String,
        /// The nearest of them.
        suggestion: Option<String>,
    },
    /// A test whose request makes no sense.
    #[error("{message}")]
    Case {
        /// What is wrong with it.
        message: String,
    },
    /// A test that names a rule that is not there.
    #[error("there is no rule {id:?}{}", hint(suggestion))]
    UnknownRule {
        /// The name.
        id: String,
        /// The nearest rule.
        suggestion: Option<String>,
    },
    /// A row of a table that has not one test for each input.
    #[error("a row has one test for each input: {expected}, found {found}")]
    Cells {
        /// How many tests it has.
        found: usize,
        /// How many inputs there are.
        expected: usize,
    },
    /// A rule that never matches.
    #[error("rule {rule} never matches: {}", never(contradiction))]
    NeverTrue {
        /// The rule.
        rule: String,
        /// Tests that are never true together; none where the condition is false by itself.
        contradiction: Vec<String>,
    },
    /// A rule about a kind of action that nothing declares, where kinds are declared.
    #[error("no declared kind of action is {pattern}{}", instead(suggestion))]
    UnknownKind {
        /// What the rule is about.
        pattern: String,
        /// The nearest declared kind.
        suggestion: Option<String>,
    },
    /// A rule that never counts.
    #[error(
        "rule {rule} ({effect}) never counts: rule {by} ({by_effect}), at {at}, matches whenever it does"
    )]
    Shadowed {
        /// The rule.
        rule: String,
        /// Its effect.
        effect: Effect,
        /// The stronger rule.
        by: String,
        /// The effect of that.
        by_effect: Effect,
        /// Where that stands.
        at: Location,
    },
    /// Two rules with different effects that match the same requests.
    #[error(
        "rule {rule} ({effect}) contradicts rule {by} ({by_effect}), at {at}, which matches the same requests"
    )]
    Contradictory {
        /// The rule, which never counts.
        rule: String,
        /// Its effect.
        effect: Effect,
        /// The stronger rule.
        by: String,
        /// The effect of that.
        by_effect: Effect,
        /// Where that stands.
        at: Location,
    },
    /// A rule that says the same as another one.
    #[error("rule {rule} says the same as rule {other}, at {at}")]
    Duplicate {
        /// The rule.
        rule: String,
        /// The other one.
        other: String,
        /// Where that stands.
        at: Location,
    },
    /// A condition that uses an optional attribute without asking for it.
    #[error(
        "{attribute} is optional: without it the condition can be indeterminate; test has({attribute}) first"
    )]
    Unprotected {
        /// The attribute.
        attribute: String,
    },
    /// There are more rules than are compared.
    #[error("rules from here on were not compared with others: {pairs} pairs are")]
    NotCompared {
        /// How many pairs of rules are compared.
        pairs: usize,
    },
    /// What is wrong with policies, and with no ruleset.
    #[cfg(feature = "cedar")]
    #[error(transparent)]
    Authorisation(Box<crate::authorisation::PolicyProblem>),
    /// A literal that is not money.
    #[error("{text:?} is not money, expected an amount and a currency such as \"12.50 USDC\"")]
    Money {
        /// The text.
        text: String,
    },
}

impl Problem {
    /// What would be right, where that can be told.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { suggestion, .. }
            | Self::UnknownName { suggestion, .. }
            | Self::UnknownAttribute { suggestion, .. }
            | Self::Operands { suggestion, .. }
            | Self::Operand { suggestion, .. }
            | Self::NotListed { suggestion, .. }
            | Self::UnknownKind { suggestion, .. }
            | Self::UnknownRule { suggestion, .. } => suggestion.as_deref(),
            Self::Unsupported { instead, .. } => Some(instead),
            #[cfg(feature = "cedar")]
            Self::Authorisation(problem) => problem.suggestion(),
            _ => None,
        }
    }
}

fn never(contradiction: &[String]) -> String {
    if contradiction.is_empty() {
        return "its condition is never true".to_owned();
    }
    format!("nothing is all of {}", contradiction.join(", "))
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

fn instead(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |text| format!("; did you mean {text}?"))
}
