//! Policies that were read, checked against the schema, and are ready to decide.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode, Validator};
use daa_core::digest::Digest;
use daa_core::id::RuleId;

use super::error::{PoliciesError, Text};
use super::limits::AuthorisationLimits;
use super::problem::{PolicyProblem, told};
use super::scan::Scan;
use super::schema::{Declared, SHIPPED_SCHEMA};
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::document::Lines;
use crate::problem::Problem;

/// Policies in Cedar, with the schema that they were checked against.
///
/// The schema is [DAA's own](super::SHIPPED_SCHEMA), and beside it one of the program's: its actions, its resources, its own kinds of
/// principals. Every policy is validated against both: unknown types, actions and attributes, operands that do not fit and
/// optional attributes that nobody asks for with `has` are refused, all at once, each with its place.
///
/// `@id("NAME")` names a policy; without it, it is `policy-N`, where N is its place, from 1. Decisions name it
/// `cedar/NAME`. `@reason("...")` is what is told when a `forbid` decides.
///
/// Cheap to clone.
///
/// ```
/// use daa_rules::authorisation::Policies;
///
/// let schema = r#"
///     namespace Bank {
///         entity Account;
///         @resource("to")
///         action "payment.send" appliesTo {
///             principal: [DAA::Agent, DAA::Person],
///             resource: [Account],
///             context: { cost?: DAA::Cost, params: { to: Account } },
///         };
///     }"#;
/// let policies = r#"
///     @id("treasurers-pay")
///     permit (principal in DAA::Role::"treasurer", action == Bank::Action::"payment.send", resource)
///     when { context has cost && context.cost.units < 1000 };"#;
/// let policies = Policies::read(schema, policies)?;
/// assert_eq!(policies.iter().count(), 1);
///
/// let wrong = Policies::read("", "permit (principal in DAA::Rolle::\"treasurer\", action, resource);").unwrap_err();
/// assert_eq!((wrong.problems()[0].at.line, wrong.problems()[0].at.column), (1, 22));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Policies(Arc<Read>);

pub(super) struct Read {
    pub(super) declared: Declared,
    pub(super) set: PolicySet,
    policies: Vec<PolicyInfo>,
    places: HashMap<PolicyId, usize>,
    warnings: Vec<Diagnostic>,
    digest: Digest,
    schema: String,
    source: String,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyInfo {
    /// What decisions call it.
    pub id: RuleId,
    /// Whether it permits; else it forbids.
    pub permits: bool,
    /// Where it stands.
    pub at: Location,
    /// What is told when it forbids.
    pub reason: Option<String>,
    /// Its bytes in the source.
    text: Range<usize>,
}

/// What stands before a policy's name in a decision.
const PREFIX: &str = "cedar/";
/// The parsers recurse; how deep, is bounded.
const STACK: usize = 32 << 20;

impl Policies {
    /// Reads policies, and the program's own schema, which may be empty.
    ///
    /// # Errors
    /// [`PoliciesError`] with everything that is wrong: first with the schema, and if nothing is, with the policies.
    pub fn read(schema: &str, policies: &str) -> Result<Self, PoliciesError> {
        size(Text::Schema, schema.len() as u64, AuthorisationLimits::SCHEMA)?;
        size(Text::Policies, policies.len() as u64, AuthorisationLimits::SOURCE)?;
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("policies".to_owned()).stack_size(STACK);
            let thread = builder
                .spawn_scoped(scope, || read(schema, policies))
                .map_err(|source| PoliciesError::Thread { source })?;
            let gone = |_| PoliciesError::Thread { source: std::io::Error::other("the thread panicked") };
            thread.join().unwrap_or_else(|panic| Err(gone(panic)))
        })
    }

    /// Reads files: of policies, and of the program's own schema, where it has one. Blocks.
    ///
    /// # Errors
    /// [`PoliciesError`], as [`Self::read`], and where a file cannot be read.
    pub fn from_files(policies: impl AsRef<Path>, schema: Option<&Path>) -> Result<Self, PoliciesError> {
        let schema = match schema {
            Some(path) => file(Text::Schema, path, AuthorisationLimits::SCHEMA)?,
            None => String::new(),
        };
        Self::read(&schema, &file(Text::Policies, policies.as_ref(), AuthorisationLimits::SOURCE)?)
    }

    /// No policies, and no schema but the shipped one: everything is denied.
    ///
    /// # Errors
    /// [`PoliciesError::Thread`], as [`Self::read`].
    pub fn none() -> Result<Self, PoliciesError> {
        Self::read("", "")
    }

    /// The hash of the policies and of both schemas, as they are written.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The policies, as they stand in the source.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &PolicyInfo> {
        self.0.policies.iter()
    }

    /// What says what it says, but hardly what its author means, such as a policy that never applies.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.0.warnings
    }

    /// The program's own schema, as it is written.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.0.schema
    }

    /// The policies, as they are written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// A policy, as it is written.
    #[must_use]
    pub fn text(&self, policy: &PolicyInfo) -> &str {
        self.0.source.get(policy.text.clone()).unwrap_or_default()
    }

    pub(super) fn inner(&self) -> &Read {
        &self.0
    }

    /// The policy of this name in the set.
    pub(super) fn policy(&self, id: &PolicyId) -> Option<&PolicyInfo> {
        self.0.policies.get(*self.0.places.get(id)?)
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies")
            .field("digest", &self.0.digest)
            .field("policies", &self.0.policies)
            .finish()
    }
}

impl PartialEq for Policies {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

impl Eq for Policies {}

fn size(text: Text, actual: u64, limit: usize) -> Result<(), PoliciesError> {
    if actual > limit as u64 { Err(PoliciesError::TooLarge { text, actual, limit }) } else { Ok(()) }
}

fn file(text: Text, path: &Path, limit: usize) -> Result<String, PoliciesError> {
    let unread = |source| PoliciesError::Read { text, path: path.to_owned(), source };
    let mut read = Vec::new();
    // One byte more than allowed, so that a file that is too large is noticed and never held.
    let file = std::fs::File::open(path).map_err(unread)?;
    file.take(limit as u64 + 1).read_to_end(&mut read).map_err(unread)?;
    size(text, read.len() as u64, limit)?;
    String::from_utf8(read)
        .map_err(|error| unread(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}

fn read(schema: &str, source: &str) -> Result<Policies, PoliciesError> {
    let invalid = |text| move |problems| PoliciesError::Invalid { text, problems };
    let declared = Declared::read(schema).map_err(invalid(Text::Schema))?;
    let parsed = Parsed::of(source).map_err(invalid(Text::Policies))?;
    let lines = Lines::of(source);
    let result = Validator::new(declared.schema.clone()).validate(&parsed.set, ValidationMode::Strict);
    let place = |id: &PolicyId| {
        let policy = parsed.places.get(id).and_then(|at| parsed.policies.get(*at));
        policy.map_or(0, |policy| policy.text.start)
    };
    let errors = result.validation_errors();
    let mut problems: Vec<_> =
        errors.map(|e| told(e, Severity::Error, &lines, place(e.policy_id()))).collect();
    if !problems.is_empty() {
        problems.sort_by_key(|problem| problem.at);
        problems.truncate(AuthorisationLimits::PROBLEMS);
        return Err(invalid(Text::Policies)(problems));
    }
    let warnings = result.validation_warnings();
    let mut warnings: Vec<_> =
        warnings.map(|w| told(w, Severity::Warning, &lines, place(w.policy_id()))).collect();
    warnings.sort_by_key(|warning| warning.at);
    warnings.truncate(AuthorisationLimits::PROBLEMS);
    let Parsed { set, policies, places } = parsed;
    let digest = Digest::builder("daa authorisation v1").field(SHIPPED_SCHEMA.as_bytes());
    let digest = digest.field(schema.as_bytes()).field(source.as_bytes()).finish();
    let (schema, source) = (schema.to_owned(), source.to_owned());
    Ok(Policies(Arc::new(Read { declared, set, policies, places, warnings, digest, schema, source })))
}

/// Policies by their names, not yet checked against a schema.
struct Parsed {
    set: PolicySet,
    policies: Vec<PolicyInfo>,
    places: HashMap<PolicyId, usize>,
}

impl Parsed {
    fn of(source: &str) -> Result<Self, Vec<Diagnostic>> {
        let lines = Lines::of(source);
        let scan = Scan::policies(source, AuthorisationLimits::NESTING);
        bounded(&scan, &lines)?;
        let set: PolicySet = source.parse().map_err(|errors: cedar_policy::ParseErrors| {
            let errors = errors.iter().take(AuthorisationLimits::PROBLEMS);
            errors.map(|error| told(error, Severity::Error, &lines, 0)).collect::<Vec<_>>()
        })?;
        let mut problems = Vec::new();
        for template in set.templates() {
            let id = template.id().to_string();
            let start = scan.statements.get(ordinal(&id)).map_or(0, |at| at.start);
            problems.push(Diagnostic::error(lines.location(start), PolicyProblem::Template { id }.into()));
        }
        // Cedar numbers them as they stand in the source.
        let by_place: BTreeMap<usize, &Policy> =
            set.policies().map(|policy| (ordinal(policy.id().as_ref()), policy)).collect();
        let mut parsed = Self { set: PolicySet::new(), policies: Vec::new(), places: HashMap::new() };
        for (place, policy) in by_place {
            let text = scan.statements.get(place).cloned().unwrap_or_default();
            if let Err(problem) = parsed.add(policy, place, text.clone(), &lines) {
                problems.push(Diagnostic::error(lines.location(text.start), problem.into()));
            }
        }
        problems.sort_by_key(|problem| problem.at);
        problems.truncate(AuthorisationLimits::PROBLEMS);
        if problems.is_empty() { Ok(parsed) } else { Err(problems) }
    }

    fn add(
        &mut self,
        policy: &Policy,
        place: usize,
        text: Range<usize>,
        lines: &Lines<'_>,
    ) -> Result<(), PolicyProblem> {
        let name = policy.annotation("id").map_or_else(|| format!("policy-{}", place + 1), ToOwned::to_owned);
        let id = RuleId::joined(&[PREFIX, &name]).map_err(PolicyProblem::Id)?;
        let known = PolicyId::new(&name);
        if let Some(first) = self.places.get(&known).and_then(|at| self.policies.get(*at)) {
            return Err(PolicyProblem::DuplicatePolicy { id: name, first: first.at });
        }
        let named = self.set.add(policy.new_id(known.clone()));
        named.map_err(|why| PolicyProblem::Cedar { message: why.to_string(), help: None })?;
        self.places.insert(known, self.policies.len());
        let reason = policy.annotation("reason").filter(|reason| !reason.is_empty()).map(ToOwned::to_owned);
        let at = lines.location(text.start);
        let permits = policy.effect() == Effect::Permit;
        self.policies.push(PolicyInfo { id, permits, at, reason, text });
        Ok(())
    }
}

/// Cedar calls the policies of a text `policy0`, `policy1`, and so on.
fn ordinal(id: &str) -> usize {
    id.strip_prefix("policy").and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

/// Refuses what a parser that recurses should not see.
fn bounded(scan: &Scan, lines: &Lines<'_>) -> Result<(), Vec<Diagnostic>> {
    let limit =
        |at: usize, what, limit| vec![Diagnostic::error(lines.location(at), Problem::Limit { what, limit })];
    if let Some(at) = scan.too_deep {
        return Err(limit(at, "levels of brackets in a policy", AuthorisationLimits::NESTING));
    }
    if let Some(one) = scan.statements.get(AuthorisationLimits::POLICIES) {
        return Err(limit(one.start, "policies", AuthorisationLimits::POLICIES));
    }
    match scan.statements.iter().find(|one| one.len() > AuthorisationLimits::POLICY) {
        Some(long) => Err(limit(long.start, "bytes in a policy", AuthorisationLimits::POLICY)),
        None => Ok(()),
    }
}
