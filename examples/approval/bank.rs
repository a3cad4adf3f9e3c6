//! What pays, and remembers what it paid.

use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use daa::core::action::Reconciled;
use daa::core::id::ActionId;
use daa::prelude::*;

/// Pays: the file named after the payment is the payment.
pub(crate) struct Bank {
    pub(crate) folder: PathBuf,
}

impl Bank {
    fn file(&self, id: &ActionId) -> PathBuf {
        self.folder.join(id.as_str().replace('/', "-"))
    }
}

#[async_trait]
impl Executor for Bank {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let file = self.file(action.id());
        fs::create_dir_all(&self.folder).map_err(ExecuteError::unavailable)?;
        fs::write(&file, action.params().to_string()).map_err(ExecuteError::interrupted)?;
        Ok(receipt(&file))
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let file = self.file(action.id());
        Ok(if file.exists() { Reconciled::Completed(receipt(&file)) } else { Reconciled::NotFound })
    }
}

fn receipt(file: &Path) -> Outcome {
    Outcome::new(file.display().to_string())
}
