//! What can be wrong with a definition.

use std::fmt;

use super::{Place, Type};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::StepName;

/// Something in a definition that cannot work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{place}: {cause}")]
#[non_exhaustive]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong.
    pub cause: Cause,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Nothing to do.
    #[error("a workflow has at least one step")]
    NoSteps,
    /// More steps than there may be.
    #[error("a workflow has at most {max} steps, this one has {found}")]
    TooManySteps {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// A definition whose JSON is too long.
    #[error("a definition has at most {max} bytes of JSON, this one has {found}")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The longest.
        max: usize,
    },
    /// Values in values in values.
    #[error("values are nested at most {max} deep")]
    TooDeep {
        /// How deep they may be.
        max: usize,
    },
    /// A name that cannot be written in a reference.
    #[error(
        "{name:?} is no name here: a name begins with a letter, has a-z, 0-9, _ and - only, and at most {max} bytes"
    )]
    Name {
        /// The name.
        name: String,
        /// The longest, in bytes.
        max: usize,
    },
    /// A name that references have another meaning for.
    #[error("{name:?} is taken: references begin with it")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// A name that another step has.
    #[error("another step is called {name:?}")]
    DuplicateStep {
        /// The name.
        name: StepName,
    },
    /// A field of a type whose name its written form would not keep.
    #[error("a field of a type cannot be called {name:?}: it would be empty, or end with a question mark")]
    FieldName {
        /// The name.
        name: String,
    },
    /// A step that does not exist.
    #[error("there is no step {name:?}{}", hint(.suggestion))]
    UnknownStep {
        /// What was written.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A step that waits for itself.
    #[error("a step cannot depend on itself")]
    DependsOnItself,
    /// Steps that wait for each other.
    #[error("steps wait for each other: {}", circle(.steps))]
    Cycle {
        /// The steps; each waits for the one behind it, and the last for the first.
        steps: Vec<StepName>,
    },
    /// A reference to a field that its type does not name.
    #[error("{of} has no field {field:?}{}", hint(.suggestion))]
    UnknownField {
        /// What was looked into.
        of: String,
        /// The field.
        field: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// Text with a reference that cannot be read.
    #[error(
        "{text:?} has a reference that cannot be read; one looks like ${{input.field}}, and $${{ stands for ${{"
    )]
    Reference {
        /// The text.
        text: String,
    },
    /// A reference to something that only a loop has.
    #[error("${{{root}}} has a meaning only {}", loops(.root))]
    OutsideLoop {
        /// The beginning of the reference.
        root: String,
    },
    /// A reference to a step where no step has run yet.
    #[error("no step has run when this is read: ${{{step}}} is not known")]
    TooEarly {
        /// The step.
        step: String,
    },
    /// A value that is not of the type it should be.
    #[error("this is {found}, expected {expected}")]
    Mismatch {
        /// What it is: a type, or a description.
        found: String,
        /// What it should be.
        expected: Type,
    },
    /// Two values that are never in the order, or the relation, that is asked for.
    #[error("{left} and {right} cannot be compared")]
    NotComparable {
        /// The first.
        left: Type,
        /// The second.
        right: Type,
    },
    /// An action that does not say how it is undone, in a workflow where each must.
    #[error("step {step:?} does not say how it is undone: undo: nothing, or undo: {{ action: … }}")]
    UndoUnsaid {
        /// The step.
        step: StepName,
    },
    /// An undo of what takes no effect.
    #[error("only actions are undone")]
    UndoOfNoAction,
    /// An undo that refers to a step that may not have run.
    #[error("an undo refers to its own step and to those before it, {step:?} is not one of them")]
    UndoReference {
        /// The step.
        step: String,
    },
    /// A loop that goes round more often than there may be items in a list.
    #[error("a step is done at most {max} times, not {found}")]
    TooManyTimes {
        /// How often it was to be done at most.
        found: u32,
        /// How often it can be.
        max: u32,
    },
    /// Two loops on one step.
    #[error("a step has each or repeat, not both")]
    TwoLoops,
    /// Something that only actions have.
    #[error("only actions have {what}")]
    OnlyActions {
        /// What it is.
        what: &'static str,
    },
    /// Something that means nothing for this kind of step.
    #[error("a step of kind {kind} has no {what}")]
    NotOfThisKind {
        /// What it is.
        what: &'static str,
        /// The kind.
        kind: &'static str,
    },
    /// A rate of more than are remembered.
    #[error("a rate counts to at most {max}, not to {found}")]
    RateTooLarge {
        /// How many were to be counted.
        found: u32,
        /// How many can be.
        max: u32,
    },
    /// A factor of waits that is not finite, or makes them shorter.
    #[error("the factor of waits is a number from 1, not {found}")]
    RetryFactor {
        /// The factor.
        found: f64,
    },
    /// A random part that is no part.
    #[error("jitter is a number from 0 to 1, not {found}")]
    RetryJitter {
        /// The part.
        found: f64,
    },
    /// A longest wait that is shorter than the first.
    #[error("the longest wait is shorter than the first")]
    RetryWaits,
    /// Tries without end and without a wait between them.
    #[error("tries without end need a wait between them")]
    RetryWithoutWait,
    /// A span of time of zero, where that makes no sense.
    #[error("a span of zero makes no sense here")]
    NoTime,
    /// A span of time that nobody waits for.
    #[error("a span of time is at most ten years")]
    TooLong,
    /// A limit that limits nothing.
    #[error("a limit has at_once, or rate, or both")]
    NoLimit,
}

/// What is wrong with a definition, all of it at once.
#[derive(Clone, Debug, PartialEq)]
pub struct DefinitionErrors {
    problems: Vec<Problem>,
    left_out: usize,
}

impl DefinitionErrors {
    /// The most problems that are listed.
    pub const MAX: usize = 50;

    /// The problems, at least one, at most [`MAX`](Self::MAX).
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many more there are.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }
}

impl fmt::Display for DefinitionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let line = if at == 0 { "" } else { "\n" };
            write!(f, "{line}{problem}")?;
        }
        if self.left_out > 0 {
            write!(f, "\nand {} more", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for DefinitionErrors {}

impl Reaction for DefinitionErrors {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Reaction for Problem {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// Collects problems, and keeps their number within bounds.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    pub(super) fn add(&mut self, place: &Place, cause: Cause) {
        if self.found.len() < DefinitionErrors::MAX {
            self.found.push(Problem { place: place.clone(), cause });
        } else {
            self.left_out += 1;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn finish(self) -> Result<(), DefinitionErrors> {
        if self.found.is_empty() {
            return Ok(());
        }
        Err(DefinitionErrors { problems: self.found, left_out: self.left_out })
    }
}

pub(super) fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

fn circle(steps: &[StepName]) -> String {
    let names: Vec<&str> = steps.iter().chain(steps.first()).map(StepName::as_str).collect();
    names.join(" -> ")
}

fn loops(root: &str) -> &'static str {
    match root {
        "item" => "in a step with each",
        "last" => "in a step with repeat",
        _ => "in a step with each or repeat",
    }
}
