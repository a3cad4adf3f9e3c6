//! Runs as they stand.

use serde_json::Value;

use super::WorkflowEngine;
use crate::id::RunId;
use crate::workflow::definition::{Path, Workflow};
use crate::workflow::diagram::Diagram;
use crate::workflow::error::WorkflowError;
use crate::workflow::explain;
use crate::workflow::listing::{RunPage, RunQuery};
use crate::workflow::run::RunView;

impl WorkflowEngine {
    /// A run as it stands.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownRun`], or a store that cannot be read.
    pub async fn view(&self, run: &RunId) -> Result<RunView, WorkflowError> {
        Ok(self.load(run).await?.view())
    }

    /// A value that a run knows, by the path that its templates would use: `charge.receipt`, `input.amount`,
    /// `vars.ceiling`. What is not there is null.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownRun`], or a store that cannot be read.
    pub async fn query(&self, run: &RunId, path: &str) -> Result<Value, WorkflowError> {
        let state = self.load(run).await?;
        Ok(Path::parse(path).map(|path| state.lookup(&path)).unwrap_or_default())
    }

    /// The definition that a run follows.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownRun`], or a store that cannot be read.
    pub async fn definition(&self, run: &RunId) -> Result<Workflow, WorkflowError> {
        Ok(self.load(run).await?.workflow().clone())
    }

    /// The picture of a run: its workflow, with the state of each step. As SVG.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub async fn svg(&self, run: &RunId) -> Result<String, WorkflowError> {
        self.picture(run, |diagram| diagram.to_svg()).await
    }

    /// The picture of a run as Mermaid.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub async fn mermaid(&self, run: &RunId) -> Result<String, WorkflowError> {
        self.picture(run, |diagram| diagram.to_mermaid()).await
    }

    async fn picture(
        &self,
        run: &RunId,
        draw: impl FnOnce(&Diagram<'_>) -> String,
    ) -> Result<String, WorkflowError> {
        let state = self.load(run).await?;
        let diagram = Diagram::of(state.workflow());
        let marks = explain::marks(&state.view());
        Ok(draw(&marks.into_iter().fold(diagram, |diagram, (step, mark)| diagram.with_state(step, mark))))
    }

    /// The runs of the store that a query asks for, the one that began last first, page by page; the plans of agents
    /// among them, those that were archived not.
    ///
    /// The engine keeps a summary of each run in memory once this was called: the first call reads the log, later ones
    /// only what is new in it.
    ///
    /// ```
    /// # use daa_core::workflow::*;
    /// # async fn example(engine: &WorkflowEngine) -> Result<(), Box<dyn std::error::Error>> {
    /// // What waits for an answer?
    /// let mut query = RunQuery::new().with_workflow("payment".try_into()?).waiting_for(WaitKind::Approval);
    /// loop {
    ///     let page = engine.runs(&query).await?;
    ///     for run in &page.runs {
    ///         println!("{}, of {}", run.run, run.actor);
    ///     }
    ///     let Some(next) = page.next else { break };
    ///     query = query.after(next);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A store that cannot be read.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn runs(&self, query: &RunQuery) -> Result<RunPage, WorkflowError> {
        let mut roster = self.roster.lock().await;
        roster.catch_up(&*self.parts.store).await?;
        Ok(roster.page(query))
    }
}
