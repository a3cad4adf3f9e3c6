//! The consumers of groups and subscriptions.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::{ConsumerErrorKind, Stream};
use daa_core::bus::{BusError, GroupName};
use futures_util::future::{join_all, try_join_all};

use super::connection::{Connection, is_missing};
use super::names::{LaneKind, Names};
use crate::bus::{Agreement, Member, broker};

/// What a consumer that died held comes again after this.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(4);
/// How many messages without a key may be worked on in a group at once.
const MAX_PENDING: i64 = 65_536;

impl Connection {
    /// Makes the consumers of a member, or joins those that are there.
    pub(super) async fn make_consumers(
        &self,
        member: &Member,
        agreement: &Agreement,
    ) -> Result<(), BusError> {
        let stream = self.stream().await?;
        let lanes = self.names.lanes().map(|lane| self.make_consumer(&stream, member, lane, agreement));
        try_join_all(lanes).await?;
        Ok(())
    }

    pub(super) async fn stream(&self) -> Result<Stream<()>, BusError> {
        let stream = self.context.get_stream_no_info(self.names.stream()).await;
        stream.map_err(|error| broker("find its stream")(error.into()))
    }

    async fn make_consumer(
        &self,
        stream: &Stream<()>,
        member: &Member,
        lane: LaneKind,
        agreement: &Agreement,
    ) -> Result<(), BusError> {
        let name = Names::consumer(member, lane);
        let terms = agreement.terms();
        let found = match stream.consumer_info(&name).await {
            Ok(info) => info.config.description,
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
                let config = self.config(name, member, lane, agreement);
                let made = stream.create_consumer(config).await;
                made.map_err(|error| broker("subscribe")(error.into()))?
                    .cached_info()
                    .config
                    .description
                    .clone()
            }
            Err(error) => return Err(broker("subscribe")(error.into())),
        };
        match &agreement.group {
            Some(group) if found.as_ref() != Some(&terms) => {
                Err(BusError::GroupMismatch { group: group.clone() })
            }
            _ => Ok(()),
        }
    }

    fn config(&self, name: String, member: &Member, lane: LaneKind, agreement: &Agreement) -> pull::Config {
        pull::Config {
            durable_name: Some(name),
            description: Some(agreement.terms()),
            filter_subject: self.names.filter(lane, &agreement.pattern, member),
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::Explicit,
            ack_wait: DEAD_AFTER,
            max_ack_pending: if lane.is_sequential() { 1 } else { MAX_PENDING },
            inactive_threshold: match agreement.group {
                Some(_) => Duration::ZERO,
                None => self.options.idle_limit,
            },
            ..pull::Config::default()
        }
    }

    /// Whether the server still knows a consumer; `None` when it does not answer.
    pub(super) async fn has_consumer(&self, name: &str) -> Option<bool> {
        let stream = self.stream().await.ok()?;
        match stream.consumer_info(name).await {
            Ok(_) => Some(true),
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Some(false),
            Err(_) => None,
        }
    }

    pub(super) async fn remove_group(&self, group: &GroupName) -> Result<(), BusError> {
        self.open_or_closed()?;
        let removed = self.remove_consumers(&Member::group(group)).await?;
        if removed == 0 { Err(BusError::NoGroup { group: group.clone() }) } else { Ok(()) }
    }

    /// Removes the consumers of a member that are there, and says how many.
    pub(super) async fn remove_consumers(&self, member: &Member) -> Result<usize, BusError> {
        let stream = self.stream().await?;
        let lanes = self.names.lanes().map(|lane| {
            let (stream, name) = (&stream, Names::consumer(member, lane));
            async move { stream.delete_consumer(&name).await }
        });
        let mut removed = 0;
        for deleted in join_all(lanes).await {
            match deleted {
                Ok(_) => removed += 1,
                Err(error) if matches!(error.kind(), ConsumerErrorKind::JetStream(error) if is_missing(&error)) =>
                    {}
                Err(error) => return Err(broker("remove a group")(error.into())),
            }
        }
        Ok(removed)
    }
}
