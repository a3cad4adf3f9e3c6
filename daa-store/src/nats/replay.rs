//! What was published before.

use daa_core::bus::{BusError, BusPosition, HistoryPage, MAX_PAGE, MAX_PAGE_BYTES, TopicPattern};

use super::connection::Connection;
use super::dead_letters::next_message;
use super::publish::fields;

impl Connection {
    pub(super) async fn replay(
        &self,
        pattern: &TopicPattern,
        after: Option<BusPosition>,
        limit: usize,
    ) -> Result<HistoryPage, BusError> {
        let stream = self.stream().await?;
        let filter = self.names.history(pattern);
        let (mut messages, mut bytes) = (Vec::new(), 0);
        let mut behind = after.map_or(0, BusPosition::value);
        while messages.len() < limit.min(MAX_PAGE) && bytes < MAX_PAGE_BYTES {
            let Some(kept) = next_message(&stream, &filter, behind).await? else {
                return Ok(HistoryPage::new(messages, None));
            };
            behind = kept.sequence;
            bytes += kept.payload.len();
            let topic = self.names.topic(&kept.subject);
            match fields(Some(&kept.headers)).message(topic, kept.payload) {
                Ok(message) if pattern.matches(message.topic()) => {
                    messages.push((BusPosition::new(behind), message));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(position = behind, %error, "passed over in the history"),
            }
        }
        Ok(HistoryPage::new(messages, Some(BusPosition::new(behind))))
    }
}
