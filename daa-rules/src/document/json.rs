//! Values of a file as JSON, for requests in tests.

use serde_json::{Map, Number, Value};

use super::{Content, Misfit, Node};

impl Node {
    /// The value as JSON.
    pub(crate) fn json(&self) -> Result<Value, Misfit> {
        let expected = "a value that JSON has";
        Ok(match &self.content {
            #[cfg(feature = "yaml")]
            Content::Null => Value::Null,
            Content::Bool(bool) => Value::Bool(*bool),
            Content::Integer(integer) => Value::from(*integer),
            Content::Float(float) => {
                Number::from_f64(*float).map(Value::Number).ok_or_else(|| self.wrong("a number", expected))?
            }
            Content::Other => return Err(self.wrong("a value", expected)),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::json).collect::<Result<_, _>>()?),
            Content::Table(entries) => {
                let members = entries.iter().map(|entry| Ok((entry.key.clone(), entry.value.json()?)));
                Value::Object(members.collect::<Result<Map<_, _>, Misfit>>()?)
            }
        })
    }
}
