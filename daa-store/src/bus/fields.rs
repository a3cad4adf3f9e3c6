//! A message as text fields beside its payload, the way brokers carry it.

use std::borrow::Cow;

use bytes::Bytes;
use daa_core::bus::{DeadLetter, DeadLetterId, Headers, Message};
use daa_core::clock::Timestamp;
use daa_core::id::Topic;

use super::escape::{escape_value, unescape_value};
use super::{Agreement, MAX_ERROR};

const TOPIC: &str = "daa-topic";
const ID: &str = "daa-id";
const KEY: &str = "daa-key";
const REPLY_TO: &str = "daa-reply-to";
const DEADLINE: &str = "daa-deadline";
const PATTERN: &str = "daa-pattern";
const GROUP: &str = "daa-group";
const ATTEMPTS: &str = "daa-attempts";
const ERROR: &str = "daa-error";
const AT: &str = "daa-at";

/// What was read is not what a bus writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of this bus: field {field} is {found:?}")]
pub(crate) struct ForeignMessage {
    field: String,
    found: String,
}

fn foreign(field: &str, found: &str) -> ForeignMessage {
    ForeignMessage { field: field.to_owned(), found: found.chars().take(100).collect() }
}

/// Names and values, escaped where they have to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(Cow<'static, str>, String)>);

impl Fields {
    /// All of a message but its payload and, unless asked for, its topic.
    pub(crate) fn of(message: &Message, with_topic: bool) -> Self {
        let mut fields = Self::default();
        if with_topic {
            fields.set(TOPIC, message.topic());
        }
        if let Some(id) = message.id() {
            fields.set(ID, id);
        }
        if let Some(key) = message.key() {
            fields.set(KEY, key);
        }
        if let Some(reply_to) = message.reply_to() {
            fields.set(REPLY_TO, reply_to);
        }
        if let Some(deadline) = message.deadline() {
            fields.set(DEADLINE, deadline.as_millis());
        }
        for (name, value) in message.headers().iter() {
            fields.0.push((Cow::Owned(name.to_owned()), escape_value(value).into_owned()));
        }
        fields
    }

    fn set(&mut self, name: &'static str, value: impl ToString) {
        self.0.push((Cow::Borrowed(name), value.to_string()));
    }

    pub(crate) fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((Cow::Owned(name.into()), value.into()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn parse<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ForeignMessage> {
        self.get(name).map(|text| parse(text).ok_or_else(|| foreign(name, text))).transpose()
    }

    fn need<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, ForeignMessage> {
        self.parse(name, parse)?.ok_or_else(|| foreign(name, ""))
    }

    /// The message; its topic is a field unless it is given.
    pub(crate) fn message(&self, topic: Option<&str>, payload: Bytes) -> Result<Message, ForeignMessage> {
        let topic = match topic {
            Some(text) => Topic::new(text).map_err(|_| foreign(TOPIC, text))?,
            None => self.need(TOPIC, |text| text.parse().ok())?,
        };
        let mut message = Message::new(topic, payload);
        if let Some(id) = self.parse(ID, |text| text.parse().ok())? {
            message = message.with_id(id);
        }
        if let Some(key) = self.parse(KEY, |text| text.parse().ok())? {
            message = message.with_key(key);
        }
        if let Some(topic) = self.parse(REPLY_TO, |text| text.parse().ok())? {
            message = message.with_reply_to(topic);
        }
        if let Some(millis) = self.parse(DEADLINE, |text| text.parse().ok())? {
            message = message.with_deadline(Timestamp::from_millis(millis));
        }
        let message = message.with_headers(self.headers()?);
        message.check().map_err(|error| foreign("payload", &error.to_string()))?;
        Ok(message)
    }

    fn headers(&self) -> Result<Headers, ForeignMessage> {
        let mut headers = Headers::new();
        let theirs = |name: &str| {
            let lower = name.to_ascii_lowercase();
            ["daa-", "nats-", "x-"].iter().any(|prefix| lower.starts_with(prefix))
        };
        for (name, value) in self.iter().filter(|(name, _)| !theirs(name)) {
            let unescaped = unescape_value(value).ok_or_else(|| foreign(name, value))?;
            headers.insert(name, &unescaped).map_err(|_| foreign(name, value))?;
        }
        Ok(headers)
    }
}

/// Why a message is dead, beside the message itself.
#[derive(Clone, Debug)]
pub(crate) struct Letter<'a> {
    pub(crate) agreement: &'a Agreement,
    pub(crate) attempts: u32,
    pub(crate) error: &'a str,
    pub(crate) at: Timestamp,
}

impl Letter<'_> {
    pub(crate) fn fields(&self, message: &Message) -> Fields {
        let mut fields = Fields::of(message, true);
        fields.set(PATTERN, &self.agreement.pattern);
        if let Some(group) = &self.agreement.group {
            fields.set(GROUP, group);
        }
        fields.set(ATTEMPTS, self.attempts);
        fields.set(ERROR, escape_value(&shortened(self.error)));
        fields.set(AT, self.at.as_millis());
        fields
    }

    pub(crate) fn read(
        id: DeadLetterId,
        fields: &Fields,
        payload: Bytes,
    ) -> Result<DeadLetter, ForeignMessage> {
        let message = fields.message(None, payload)?;
        let pattern = fields.need(PATTERN, |text| text.parse().ok())?;
        let group = fields.parse(GROUP, |text| text.parse().ok())?;
        let attempts = fields.need(ATTEMPTS, |text| text.parse().ok())?;
        let error = fields.need(ERROR, |text| unescape_value(text).map(Cow::into_owned))?;
        let at = Timestamp::from_millis(fields.need(AT, |text| text.parse().ok())?);
        Ok(DeadLetter::new(id, message, pattern, attempts, error, at).with_group(group))
    }
}

/// An error beyond the bound says that it was cut.
fn shortened(error: &str) -> Cow<'_, str> {
    if error.len() <= MAX_ERROR {
        return Cow::Borrowed(error);
    }
    let note = format!(" … ({} bytes)", error.len());
    let end = error.floor_char_boundary(MAX_ERROR - note.len());
    Cow::Owned(error.get(..end).unwrap_or_default().to_owned() + &note)
}

#[cfg(test)]
mod tests {
    use daa_core::bus::SubscribeOptions;

    use super::*;

    fn message() -> Message {
        Message::new("a/b:c.d".parse().unwrap(), "payload")
            .with_id("i".parse().unwrap())
            .with_key("k/1".parse().unwrap())
            .with_reply_to("_inbox.1".parse().unwrap())
            .with_deadline(Timestamp::from_millis(17))
            .with_header("h", " 100 % ü ")
            .unwrap()
    }

    #[test]
    fn a_message_comes_back() {
        let bare = Message::new("t".parse().unwrap(), "");
        for message in [message(), bare] {
            let fields = Fields::of(&message, true);
            assert_eq!(fields.message(None, message.payload().clone()), Ok(message.clone()));
            let fields = Fields::of(&message, false);
            let topic = Some(message.topic().as_str());
            assert_eq!(fields.message(topic, message.payload().clone()), Ok(message));
        }
    }

    #[test]
    fn what_is_foreign_is_refused_by_name() {
        for (name, value) in [(KEY, "a b"), (DEADLINE, "soon"), ("h", "%x"), ("BAD", "1"), (TOPIC, "")] {
            let mut fields = Fields::default();
            if name != TOPIC {
                fields.push(TOPIC, "t");
            }
            fields.push(name, value);
            let refused = fields.message(None, Bytes::new());
            assert_eq!(refused, Err(foreign(name, value)));
        }
        assert!(Fields::default().message(Some("a..b"), Bytes::new()).is_err());
    }

    #[test]
    fn a_letter_comes_back_and_a_long_error_says_that_it_was_cut() {
        let options = SubscribeOptions::new("a.>".parse().unwrap()).with_group("g".parse().unwrap());
        let agreement = Agreement::of(&options);
        let long = "ü".repeat(MAX_ERROR);
        for error in ["line\nline %", "", &long] {
            let letter = Letter { agreement: &agreement, attempts: 3, error, at: Timestamp::from_millis(5) };
            let fields = letter.fields(&message());
            let read = Letter::read(DeadLetterId::new(9), &fields, message().payload().clone()).unwrap();
            assert_eq!((&read.message, read.attempts, read.at.as_millis()), (&message(), 3, 5));
            assert_eq!((&read.pattern, &read.group), (&agreement.pattern, &agreement.group));
            if error.len() <= MAX_ERROR {
                assert_eq!(read.error, error);
            } else {
                assert!(read.error.ends_with(" … (4096 bytes)") && read.error.len() <= MAX_ERROR);
            }
        }
    }
}
