//! Dead letters, and driving them again.

use std::sync::PoisonError;

use daa_core::bus::{BusError, DeadLetter, DeadLetterId, MAX_PAGE, MAX_PAGE_BYTES, Message};

use super::connection::{Connection, Redriven};
use super::publish::{Address, Kept};
use super::stream::Record;
use super::wire::{payload, properties};
use crate::bus::{Agreement, Fields, Lane, Letter, Member, broker};

/// Whose letter it is.
const MEMBER: &str = "x-daa-member";
/// Marks a letter as driven again.
const REDRIVEN: &str = "x-daa-redriven";

impl Connection {
    /// Keeps a dead letter.
    pub(super) async fn bury(
        &self,
        member: &Member,
        agreement: &Agreement,
        message: &Message,
        attempts: u32,
        error: &str,
    ) -> Result<(), BusError> {
        let letter = Letter { agreement, attempts, error, at: self.clock.now() };
        let mut fields = letter.fields(message);
        fields.push(MEMBER, member.as_str());
        let to = Address::queue(self.names.dead());
        let kept = self.confirmed(message.topic(), &to, message.payload(), || properties(&fields, 0)).await?;
        match kept {
            Kept::Queued => Ok(()),
            Kept::Nowhere => Err(broker("keep a dead letter")("its stream is gone".into())),
        }
    }

    pub(super) async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, BusError> {
        let redriven = self.redriven().await?;
        let from = after.map_or(0, |after| after.value().saturating_add(1));
        let mut reader = self.read(&self.names.dead(), from).await?;
        let (mut letters, mut bytes) = (Vec::new(), 0);
        while letters.len() < limit.min(MAX_PAGE) && bytes < MAX_PAGE_BYTES {
            let Some(record) = reader.next().await? else { break };
            if record.fields.get(REDRIVEN).is_none() && !redriven.ids.contains(&record.offset) {
                let at = record.offset;
                match letter(record) {
                    Ok(letter) => {
                        bytes += letter.message.payload().len();
                        letters.push(letter);
                    }
                    Err(error) => tracing::warn!(letter = at, %error, "passed over among the dead letters"),
                }
            }
        }
        Ok(letters)
    }

    /// Which letters were driven again, by now.
    async fn redriven(&self) -> Result<Redriven, BusError> {
        let mut known = self.redriven.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut reader = self.read(&self.names.dead(), known.read_to).await?;
        while let Some(record) = reader.next().await? {
            known.read_to = record.offset.saturating_add(1);
            known.ids.extend(record.fields.get(REDRIVEN).and_then(|id| id.parse::<u64>().ok()));
        }
        let mut shared = self.redriven.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.read_to < known.read_to {
            shared.clone_from(&known);
        }
        Ok(known)
    }

    pub(super) async fn redrive(&self, id: DeadLetterId) -> Result<(), BusError> {
        self.open_or_closed()?;
        if self.redriven().await?.ids.contains(&id.value()) {
            return Err(BusError::NoDeadLetter { id });
        }
        let found = self.read(&self.names.dead(), id.value()).await?.next().await?;
        let found = found.filter(|found| found.offset == id.value() && found.fields.get(REDRIVEN).is_none());
        let found = found.ok_or(BusError::NoDeadLetter { id })?;
        let member = found.fields.get(MEMBER).map(Member::from_part).ok_or(BusError::NoDeadLetter { id })?;
        let message = letter(found)?.message;
        let again = || properties(&Fields::of(&message, true), 0);
        let to = Address::queue(self.names.queue(&member, Lane::Unkeyed));
        if self.confirmed(message.topic(), &to, message.payload(), again).await? == Kept::Nowhere {
            return Err(BusError::SubscriptionEnded { id });
        }
        let mut mark = Fields::default();
        mark.push(REDRIVEN, id.to_string());
        let to = Address::queue(self.names.dead());
        self.confirmed(message.topic(), &to, &[], || properties(&mark, 0)).await?;
        Ok(())
    }
}

fn letter(mut record: Record) -> Result<DeadLetter, BusError> {
    let payload = payload(&mut record.delivery);
    let letter = Letter::read(DeadLetterId::new(record.offset), &record.fields, payload);
    letter.map_err(|error| broker("read a dead letter")(error.into()))
}
