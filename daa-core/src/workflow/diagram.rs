//! A workflow as a picture: Mermaid for documents, SVG for everything else.

mod layout;
mod mermaid;
mod svg;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use super::definition::{Step, Workflow};
use crate::id::StepName;

/// How far a step of a run is, for the colour of its box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StepMark {
    /// It has not begun.
    Waiting,
    /// It is being done.
    Running,
    /// It is done.
    Succeeded,
    /// Its condition did not hold.
    Skipped,
    /// It failed.
    Failed,
    /// It was done, and undone again.
    Undone,
}

impl StepMark {
    const ALL: [Self; 6] =
        [Self::Waiting, Self::Running, Self::Succeeded, Self::Skipped, Self::Failed, Self::Undone];

    const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Undone => "undone",
        }
    }

    /// The colours of the box and of its border.
    const fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Waiting => ("#ffffff", "#94a3b8"),
            Self::Running => ("#eff6ff", "#2563eb"),
            Self::Succeeded => ("#f0fdf4", "#16a34a"),
            Self::Skipped => ("#f8fafc", "#94a3b8"),
            Self::Failed => ("#fef2f2", "#dc2626"),
            Self::Undone => ("#faf5ff", "#9333ea"),
        }
    }
}

/// A picture of a workflow, and of how far a run of it is.
///
/// The same definition and marks give the same text, byte for byte. Names and parameters are escaped and shortened:
/// whatever a definition has in it, the picture stays one. Dependencies that follow from others are not drawn, and at
/// most 1,000 steps are.
///
/// ```
/// # use daa_core::workflow::{Diagram, Step, StepMark, Workflow};
/// # use serde_json::json;
/// let ping = Step::action("ping".try_into()?, "icmp.ping".try_into()?, json!({}));
/// let workflow = Workflow::new("watch".try_into()?).with_step(ping);
/// let diagram = Diagram::of(&workflow).with_state("ping".try_into()?, StepMark::Running);
/// assert!(diagram.to_mermaid().contains("class s0 running"));
/// assert!(diagram.to_svg().starts_with("<svg "));
/// # Ok::<(), daa_core::id::IdError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Diagram<'w> {
    workflow: &'w Workflow,
    marks: BTreeMap<StepName, StepMark>,
}

/// The most steps that are drawn.
const MAX_STEPS: usize = 1_000;

impl<'w> Diagram<'w> {
    /// The picture of a workflow that does not run.
    #[must_use]
    pub const fn of(workflow: &'w Workflow) -> Self {
        Self { workflow, marks: BTreeMap::new() }
    }

    /// Says how far a step is.
    #[must_use]
    pub fn with_state(mut self, step: StepName, mark: StepMark) -> Self {
        self.marks.insert(step, mark);
        self
    }

    /// The picture as a Mermaid flowchart.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        mermaid::render(self)
    }

    /// The picture as an SVG document, from left to right, with a background of its own.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::render(self)
    }

    fn steps(&self) -> &'w [Step] {
        self.workflow.steps.get(..MAX_STEPS).unwrap_or(&self.workflow.steps)
    }

    fn mark(&self, step: &Step) -> Option<StepMark> {
        self.marks.get(&step.name).copied()
    }
}

impl Workflow {
    /// The workflow as a Mermaid flowchart; see [`Diagram`].
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        Diagram::of(self).to_mermaid()
    }

    /// The workflow as an SVG document; see [`Diagram`].
    #[must_use]
    pub fn to_svg(&self) -> String {
        Diagram::of(self).to_svg()
    }
}
