//! Dead letters, and driving them again.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{ErrorCode, stream};
use daa_core::bus::{BusError, DeadLetter, DeadLetterId, MAX_PAGE, MAX_PAGE_BYTES};

use super::connection::Connection;
use super::names::{LaneKind, Names};
use super::publish::{fields, headers};
use crate::bus::{Fields, Letter, broker};

impl Connection {
    pub(super) async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, BusError> {
        let stream = self.dead_stream().await?;
        let (mut letters, mut bytes) = (Vec::new(), 0);
        let mut behind = after.map_or(0, DeadLetterId::value);
        while letters.len() < limit.min(MAX_PAGE) && bytes < MAX_PAGE_BYTES {
            let Some(kept) = next_message(&stream, &self.names.all_dead(), behind).await? else { break };
            behind = kept.sequence;
            bytes += kept.payload.len();
            match letter(kept) {
                Ok(letter) => letters.push(letter),
                Err(error) => tracing::warn!(letter = behind, %error, "passed over among the dead letters"),
            }
        }
        Ok(letters)
    }

    pub(super) async fn redrive(&self, id: DeadLetterId) -> Result<(), BusError> {
        self.open_or_closed()?;
        let stream = self.dead_stream().await?;
        let before = id.value().saturating_sub(1);
        let kept = next_message(&stream, &self.names.all_dead(), before).await?;
        let kept = kept.filter(|kept| kept.sequence == id.value()).ok_or(BusError::NoDeadLetter { id })?;
        let member = self.names.member_of_dead(&kept.subject).ok_or(BusError::NoDeadLetter { id })?;
        if self.has_consumer(&Names::consumer(&member, LaneKind::Redriven)).await == Some(false) {
            return Err(BusError::SubscriptionEnded { id });
        }
        let message = letter(kept)?.message;
        let again = || headers(&Fields::of(&message, true));
        let name = format!("~redriven {} {id}", self.names.dead_stream());
        let redriven = self.names.redriven(&member);
        self.confirmed(message.topic(), redriven, &name, again, message.payload()).await?;
        match stream.delete_message(id.value()).await {
            Ok(_) => Ok(()),
            // Somebody else drove it at the same time; the id of the message kept it from coming twice.
            Err(error) if is_absent(error.kind()) => Ok(()),
            Err(error) => Err(broker("forget a dead letter")(error.into())),
        }
    }

    async fn dead_stream(&self) -> Result<Stream<()>, BusError> {
        let stream = self.context.get_stream_no_info(self.names.dead_stream()).await;
        stream.map_err(|error| broker("find its dead letters")(error.into()))
    }
}

fn is_absent(kind: stream::DeleteMessageErrorKind) -> bool {
    match kind {
        stream::DeleteMessageErrorKind::JetStream(error) => {
            matches!(
                error.error_code(),
                ErrorCode::NO_MESSAGE_FOUND | ErrorCode::STREAM_MESSAGE_DELETE_FAILED
            )
        }
        _ => false,
    }
}

fn letter(kept: StreamMessage) -> Result<DeadLetter, BusError> {
    let id = DeadLetterId::new(kept.sequence);
    Letter::read(id, &fields(Some(&kept.headers)), kept.payload)
        .map_err(|error| broker("read a dead letter")(error.into()))
}

/// The first message behind a place.
pub(super) async fn next_message(
    stream: &Stream<()>,
    filter: &str,
    behind: u64,
) -> Result<Option<StreamMessage>, BusError> {
    let wanted = stream.raw_message_builder().next_by_subject(filter).sequence(behind.saturating_add(1));
    match wanted.send().await {
        Ok(message) => Ok(Some(message)),
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(broker("read a stream")(error.into())),
    }
}
