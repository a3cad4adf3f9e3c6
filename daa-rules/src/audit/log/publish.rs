//! What a log shows: its checkpoint, and the statements by which it got its keys.

use bytes::Bytes;
use daa_core::event::PageSize;

use super::{AuditError, AuditLog};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::note::Note;
use crate::audit::reader::rotation_path;
use crate::audit::tile::CHECKPOINT;
use crate::audit::tiles::LogFile;

/// What others have been shown of the head.
#[derive(Debug)]
pub(super) enum Shown {
    /// Its checkpoint is not there, or not known to be.
    Nothing,
    /// Neither is the statement of the key that the log has just got.
    NotEvenKey(String),
    /// This is its checkpoint, which was published and kept.
    Checkpoint(Bytes),
}

impl AuditLog {
    /// Publishes the checkpoint of the head, and has it kept; the statement of a new key first, since without it nobody
    /// believes the checkpoint. Where both are there, it is seen to that they still are.
    ///
    /// A write that was on its way when its writer was replaced may come last, and show an older checkpoint. The owner
    /// sees that here, at his next step, and shows his own again.
    pub(super) async fn publish(&mut self) -> Result<(), AuditError> {
        if self.lost {
            return Err(AuditError::Lost);
        }
        let there = self.parts.tiles.read(CHECKPOINT).await?;
        if matches!(&self.shown, Shown::Checkpoint(own) if there.as_ref() == Some(own)) {
            return Ok(());
        }
        self.still_owns().await?;
        if let Some(there) = there {
            self.is_not_behind(&there)?;
        }
        if let Shown::NotEvenKey(statement) = &self.shown {
            let path = rotation_path(self.head.rotations);
            self.parts.tiles.write(vec![LogFile::new(path, statement.clone().into())]).await?;
        }
        if self.head.size == 0 {
            // There is no checkpoint of nothing, and so nothing to be looked at again.
            self.shown = Shown::Nothing;
            return Ok(());
        }
        let note = self.checkpoint()?.to_string();
        let bytes = Bytes::from(note.clone());
        self.parts.tiles.write(vec![LogFile::new(CHECKPOINT.to_owned(), bytes.clone())]).await?;
        self.parts.keeper.keep(&note).await?;
        self.shown = Shown::Checkpoint(bytes);
        Ok(())
    }

    /// Whether nobody has taken the log over, as far as the store knows at this moment.
    async fn still_owns(&mut self) -> Result<(), AuditError> {
        let later = self.parts.store.read_stream(&self.stream, self.version, PageSize::new(1)).await?;
        if later.is_empty() {
            return Ok(());
        }
        self.lost = true;
        Err(AuditError::Superseded)
    }

    /// What is published is never replaced by what is older. What is no checkpoint says nothing, and is replaced.
    fn is_not_behind(&self, published: &[u8]) -> Result<(), AuditError> {
        let Ok(note) = Note::parse(published) else { return Ok(()) };
        let Ok(given) = Checkpoint::parse(note.text()) else { return Ok(()) };
        if given.origin != *self.origin() {
            return Err(AuditError::OtherLog { expected: self.origin().clone(), actual: given.origin });
        }
        if given.size > self.head.size {
            return Err(AuditError::RolledBack { given: given.size, size: self.head.size });
        }
        if given.size == self.head.size && given.root != self.head.root {
            let (size, given, actual) = (given.size, given.root, self.head.root);
            return Err(AuditError::Forked { size, given, actual });
        }
        Ok(())
    }
}
