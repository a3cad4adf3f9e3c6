//! The second terminal: what waits, and the answers to it.

use std::process::ExitCode;

use daa::core::id::RunId;
use daa::core::workflow::{Answer, Refused, RunQuery, Task, WaitKind, WorkflowError};
use daa::prelude::*;

use crate::{Failure, Terminal, show, what};

impl Terminal<'_> {
    pub(crate) async fn answer(&self, run: &RunId, approved: bool) -> Result<ExitCode, Failure> {
        let Some(by) = self.args.by.clone() else { return Err("--by NAME is missing".into()) };
        match self.try_answer(run, by, approved).await {
            Ok(task) => {
                println!("{run}: {task} {}", if approved { "approved" } else { "turned down" });
                Ok(ExitCode::SUCCESS)
            }
            Err(WorkflowError::Refused(refused)) => {
                eprintln!("refused: {}", self.reason(run, &refused).await?);
                Ok(ExitCode::from(4))
            }
            Err(WorkflowError::UnknownRun { run }) => {
                eprintln!(
                    "refused: there is no payment {run}; see what waits: {}",
                    self.args.command_line("--list")
                );
                Ok(ExitCode::from(4))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn try_answer(&self, run: &RunId, by: AgentId, approved: bool) -> Result<Task, WorkflowError> {
        let view = self.engine.view(run).await?;
        let waiting = view.approvals().next().map(|(task, request, _)| (task.clone(), request.subject));
        let answered = || {
            let mut steps = view.steps.iter().rev();
            steps.find_map(|step| Some((step.task.clone(), step.approval.as_ref()?.subject)))
        };
        let (task, subject) = waiting.or_else(answered).ok_or(Refused::Ended)?;
        let answer = if approved { Answer::approve } else { Answer::turn_down }(task.clone(), subject, by);
        let answer = answer.with_comment(self.args.because.clone().unwrap_or_default());
        self.engine.answer(run, answer).await?;
        Ok(task)
    }

    /// Why an answer is refused, and what would be right.
    async fn reason(&self, run: &RunId, refused: &Refused) -> Result<String, WorkflowError> {
        let again = self.args.command_line("--list");
        Ok(match refused {
            Refused::NotEntitled { by, reason, .. } => format!("{by} may not answer this: {reason}"),
            Refused::Answered { by } => format!("{by} has answered it already, and once is enough"),
            Refused::Expired => "it has expired; ask again".to_owned(),
            Refused::RulesChanged { .. } => {
                format!("the rules have changed since; look at it again: {again}")
            }
            Refused::Ended => {
                let view = self.engine.view(run).await?;
                let answers = view.steps.iter().filter_map(|step| step.approval.as_ref());
                let answers: Vec<String> = answers
                    .map(|answer| {
                        format!(
                            "{} {}",
                            answer.by,
                            if answer.approved { "approved it" } else { "turned it down" }
                        )
                    })
                    .collect();
                let how = if answers.is_empty() {
                    "nobody answered in time".to_owned()
                } else {
                    answers.join(", ")
                };
                format!("it is over: {how}")
            }
            other => other.to_string(),
        })
    }

    pub(crate) async fn list(&self) -> Result<ExitCode, Failure> {
        let mut waiting = 0;
        let asking = RunQuery::new().waiting_for(WaitKind::Approval).with_page(RunQuery::MAX_PAGE);
        for run in self.engine.runs(&asking).await?.runs {
            let view = self.engine.view(&run.run).await?;
            for (task, request, until) in view.approvals() {
                waiting += 1;
                println!("{} ({task}): {}", run.run, what(&view));
                show(request, until);
            }
        }
        if waiting == 0 {
            println!("nothing waits");
        }
        Ok(ExitCode::SUCCESS)
    }
}
