//! What was published before.

use daa_core::bus::{BusError, BusPosition, HistoryPage, MAX_PAGE, MAX_PAGE_BYTES, TopicPattern};

use super::connection::Connection;
use super::wire::payload;

impl Connection {
    pub(super) async fn replay(
        &self,
        pattern: &TopicPattern,
        after: Option<BusPosition>,
        limit: usize,
    ) -> Result<HistoryPage, BusError> {
        if !self.options.history {
            return Err(BusError::Unsupported { what: "replay without a history" });
        }
        let from = after.map_or(0, |after| after.value().saturating_add(1));
        let mut reader = self.read(&self.names.history(), from).await?;
        let (mut messages, mut bytes, mut next) = (Vec::new(), 0, after);
        while messages.len() < limit.min(MAX_PAGE) && bytes < MAX_PAGE_BYTES {
            let Some(mut record) = reader.next().await? else { return Ok(HistoryPage::new(messages, None)) };
            let at = BusPosition::new(record.offset);
            next = Some(at);
            let payload = payload(&mut record.delivery);
            let len = payload.len();
            match record.fields.message(self.names.topic(&record.delivery), payload) {
                Ok(message) if pattern.matches(message.topic()) => {
                    bytes += len;
                    messages.push((at, message));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(position = %at, %error, "passed over in the history"),
            }
        }
        Ok(HistoryPage::new(messages, next))
    }
}
