//! Messages as AMQP has them.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::bus::Fields;

/// How often a message was delivered before it waited elsewhere.
const TRIED: &str = "x-daa-tried";
const PERSISTENT: u8 = 2;

pub(super) fn properties(fields: &Fields, tried: u32) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in fields.iter() {
        headers.insert(short(name), AMQPValue::LongString(value.into()));
    }
    if tried > 0 {
        headers.insert(short(TRIED), AMQPValue::LongLongInt(i64::from(tried)));
    }
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    if headers.inner().is_empty() { properties } else { properties.with_headers(headers) }
}

/// Text that is known to be at most 255 bytes long; longer text is cut.
pub(super) fn short(text: impl Into<String>) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}

pub(super) fn fields(properties: &BasicProperties) -> Fields {
    let mut fields = Fields::default();
    let headers = properties.headers().iter().flat_map(|headers| headers.inner().iter());
    for (name, value) in headers {
        match value {
            AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
                Ok(text) => fields.push(name.as_str(), text),
                Err(_) => fields.push(name.as_str(), "%"),
            },
            AMQPValue::ShortString(text) => fields.push(name.as_str(), text.as_str()),
            _ => {}
        }
    }
    fields
}

/// A number in a header, of whatever width the broker chose.
pub(super) fn number(properties: &BasicProperties, name: &str) -> Option<u64> {
    let value = properties.headers().as_ref()?.inner().get(name)?;
    let number = match value {
        AMQPValue::ShortShortInt(number) => i64::from(*number),
        AMQPValue::ShortShortUInt(number) => i64::from(*number),
        AMQPValue::ShortInt(number) => i64::from(*number),
        AMQPValue::ShortUInt(number) => i64::from(*number),
        AMQPValue::LongInt(number) => i64::from(*number),
        AMQPValue::LongUInt(number) => i64::from(*number),
        AMQPValue::LongLongInt(number) => *number,
        _ => return None,
    };
    u64::try_from(number).ok()
}

/// Which attempt a delivery is, from 1.
pub(super) fn attempt(properties: &BasicProperties) -> u32 {
    let returned = number(properties, "x-delivery-count").unwrap_or(0);
    let tried = number(properties, TRIED).unwrap_or(0);
    u32::try_from(returned.saturating_add(tried).saturating_add(1)).unwrap_or(u32::MAX)
}

/// The place of a message of a stream.
pub(super) fn offset(delivery: &Delivery) -> Option<u64> {
    number(&delivery.properties, "x-stream-offset")
}

pub(super) fn payload(delivery: &mut Delivery) -> Bytes {
    std::mem::take(&mut delivery.data).into()
}
