//! From the tree to a definition, through serde, with the place of what does not fit.

use std::fmt::Display;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::{Flaw, Misread};
use super::tree::{Content, Entry, Node};
use crate::suggest::nearest;

pub(super) fn decode<T: DeserializeOwned>(root: &Node) -> Result<T, Misread> {
    T::deserialize(root).map_err(|misread| misread.or_at(root.start))
}

impl Display for Misread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Misread {}

impl de::Error for Misread {
    fn custom<T: Display>(message: T) -> Self {
        Self::somewhere(Flaw::Value { message: message.to_string() })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        unknown(field, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        unknown(variant, expected)
    }

    fn missing_field(key: &'static str) -> Self {
        Self::somewhere(Flaw::Missing { key })
    }
}

fn unknown(found: &str, expected: &'static [&'static str]) -> Misread {
    let suggestion = nearest(found, expected.iter().copied());
    Misread::somewhere(Flaw::Unknown { found: found.to_owned(), expected: expected.join(", "), suggestion })
}

impl Node {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.content {
            Content::Null => Unexpected::Other("null"),
            Content::Bool(bool) => Unexpected::Bool(*bool),
            Content::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Unexpected::Unsigned(number),
                (_, Some(number)) => Unexpected::Signed(number),
                _ => Unexpected::Float(number.as_f64().unwrap_or_default()),
            },
            Content::Text(text) => Unexpected::Str(text),
            Content::List(_) => Unexpected::Other("a list"),
            Content::Table(_) => Unexpected::Other("an object"),
        }
    }
}

impl<'t> Deserializer<'t> for &'t Node {
    type Error = Misread;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misread> {
        match &self.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(bool) => visitor.visit_bool(*bool),
            Content::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (_, Some(number)) => visitor.visit_i64(number),
                _ => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Content::Text(text) => visitor.visit_borrowed_str(text),
            Content::List(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Content::Table(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misread> {
        match self.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misread> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        match self.content {
            // A struct could be a list of its fields; a definition names them.
            Content::Table(_) => self.deserialize_any(visitor),
            _ => Err(Misread::invalid_type(self.unexpected(), &"an object")),
        }
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        match &self.content {
            Content::Text(word) => visitor.visit_enum(word.as_str().into_deserializer()),
            Content::Table(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Choice(entry)),
                _ => Err(Misread::invalid_length(entries.len(), &"exactly one key")),
            },
            _ => Err(Misread::invalid_type(self.unexpected(), &"a word, or an object with one key")),
        }
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'t, I: Iterator<Item = (usize, &'t Node)>> {
    items: I,
}

impl<'t, I: Iterator<Item = (usize, &'t Node)>> SeqAccess<'t> for Items<'t, I> {
    type Error = Misread;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Misread> {
        let Some((at, item)) = self.items.next() else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(|misread| misread.or_at(item.start).within(at))
    }
}

struct Entries<'t> {
    entries: std::slice::Iter<'t, Entry>,
    value: Option<&'t Entry>,
}

impl<'t> MapAccess<'t> for Entries<'t> {
    type Error = Misread;

    fn next_key_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Misread> {
        self.value = self.entries.next();
        let Some(entry) = self.value else { return Ok(None) };
        let key = de::value::BorrowedStrDeserializer::new(&entry.key);
        seed.deserialize(key).map(Some).map_err(|misread: Misread| misread.or_at(entry.at).within(&entry.key))
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Misread> {
        let entry = self.value.take().ok_or_else(|| Misread::custom("a value without a key"))?;
        let inside = |misread: Misread| misread.or_at(entry.value.start).within(&entry.key);
        seed.deserialize(&entry.value).map_err(inside)
    }
}

/// A choice with something to it: `{ action: { … } }`.
struct Choice<'t>(&'t Entry);

impl<'t> EnumAccess<'t> for Choice<'t> {
    type Error = Misread;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<(S::Value, Self), Misread> {
        let key = de::value::BorrowedStrDeserializer::new(&self.0.key);
        let chosen = seed.deserialize(key);
        let chosen = chosen.map_err(|misread: Misread| misread.or_at(self.0.at).within(&self.0.key))?;
        Ok((chosen, self))
    }
}

impl<'t> Choice<'t> {
    fn inside<T>(&self, result: Result<T, Misread>) -> Result<T, Misread> {
        result.map_err(|misread| misread.or_at(self.0.value.start).within(&self.0.key))
    }
}

impl<'t> VariantAccess<'t> for Choice<'t> {
    type Error = Misread;

    fn unit_variant(self) -> Result<(), Misread> {
        let error = Misread::invalid_type(self.0.value.unexpected(), &"the word alone");
        self.inside(Err(error))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<S::Value, Misread> {
        self.inside(seed.deserialize(&self.0.value))
    }

    fn tuple_variant<V: Visitor<'t>>(self, len: usize, visitor: V) -> Result<V::Value, Misread> {
        let result = match &self.0.value.content {
            Content::List(items) if items.len() == len => self.0.value.deserialize_any(visitor),
            _ => Err(Misread::invalid_type(self.0.value.unexpected(), &format!("a list of {len}").as_str())),
        };
        self.inside(result)
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        self.inside((&self.0.value).deserialize_struct("", fields, visitor))
    }
}
