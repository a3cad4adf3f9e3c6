//! What of the JSON of a request is declared. Cedar takes nothing that is not, and what an action brings may be more.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

/// How a value looks, as far as it matters for what is taken of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// These fields, and no others.
    Record(BTreeMap<String, Self>),
    /// Several of them.
    Set(Box<Self>),
    /// The name of an entity of this type.
    Entity(String),
    /// Whatever it is: Cedar looks at it.
    Leaf,
}

/// Schemas are nested no deeper.
const DEPTH: usize = 64;

impl Shape {
    pub(super) const fn nothing() -> Self {
        Self::Record(BTreeMap::new())
    }

    /// What of `value` is declared; `None` for null, which is nothing in Cedar. A value of another form stays as it is: Cedar
    /// tells then what is wrong with it.
    pub(super) fn taken(&self, value: &Value) -> Option<Value> {
        match (self, value) {
            (_, Value::Null) => None,
            (Self::Record(fields), Value::Object(found)) => {
                let taken = fields.iter().filter_map(|(name, shape)| {
                    let value = shape.taken(found.get(name)?)?;
                    Some((name.clone(), value))
                });
                Some(Value::Object(taken.collect()))
            }
            (Self::Set(shape), Value::Array(items)) => {
                Some(items.iter().filter_map(|item| shape.taken(item)).collect())
            }
            (Self::Entity(kind), Value::String(id)) => Some(json!({ "type": kind, "id": id })),
            (_, value) => Some(value.clone()),
        }
    }
}

/// The types that schemas name, as Cedar's JSON form of a schema has them.
#[derive(Debug)]
pub(super) struct CommonTypes<'s> {
    common: HashMap<String, (&'s str, &'s Value)>,
    entities: HashMap<String, ()>,
}

impl<'s> CommonTypes<'s> {
    pub(super) fn of(documents: &'s [Value]) -> Self {
        let mut types = Self { common: HashMap::new(), entities: HashMap::new() };
        let namespaces = documents.iter().filter_map(Value::as_object).flatten();
        for (namespace, content) in namespaces {
            let list = |key| content.get(key).and_then(Value::as_object).into_iter().flatten();
            for (name, definition) in list("commonTypes") {
                types.common.insert(qualified(namespace, name), (namespace, definition));
            }
            types.entities.extend(list("entityTypes").map(|(name, _)| (qualified(namespace, name), ())));
        }
        types
    }

    /// The shape of a type that stands in this namespace.
    pub(super) fn shape(&self, namespace: &str, kind: &Value) -> Shape {
        self.resolved(namespace, kind, 0)
    }

    fn resolved(&self, namespace: &str, kind: &Value, depth: usize) -> Shape {
        if depth > DEPTH {
            return Shape::Leaf;
        }
        let text = |key| kind.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "Record" => {
                let none = Map::new();
                let fields = kind.get("attributes").and_then(Value::as_object).unwrap_or(&none);
                let field = |(name, kind): (&String, &Value)| {
                    (name.clone(), self.resolved(namespace, kind, depth + 1))
                };
                Shape::Record(fields.iter().map(field).collect())
            }
            "Set" => match kind.get("element") {
                Some(element) => Shape::Set(Box::new(self.resolved(namespace, element, depth + 1))),
                None => Shape::Leaf,
            },
            "Entity" | "EntityOrCommon" => self.named(namespace, text("name"), depth),
            name => self.named(namespace, name, depth),
        }
    }

    /// A name means what its own namespace declares, or else what stands in none.
    fn named(&self, namespace: &str, name: &str, depth: usize) -> Shape {
        for full in [qualified(namespace, name), name.to_owned()] {
            if let Some((within, definition)) = self.common.get(&full) {
                return self.resolved(within, definition, depth + 1);
            }
            if self.entities.contains_key(&full) {
                return Shape::Entity(full);
            }
        }
        Shape::Leaf
    }
}

fn qualified(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}::{name}") }
}

#[cfg(test)]
mod tests {
    use cedar_policy::SchemaFragment;

    use super::*;

    fn shape(context: &str) -> Shape {
        let schema = format!(
            "entity Account; type Text = String;
             namespace A {{
                entity User; type Deep = {{ who: User, text: Text }}; type decimal = {{ x: Bool }};
                action \"a\" appliesTo {{ principal: [User], resource: [User], context: {{ {context} }} }};
             }}"
        );
        let json = SchemaFragment::from_cedarschema_str(&schema).unwrap().0.to_json_value().unwrap();
        let context = json["A"]["actions"]["a"]["appliesTo"]["context"].clone();
        let documents = [json];
        CommonTypes::of(&documents).shape("A", &context)
    }

    #[test]
    fn takes_what_is_declared_and_nothing_else() {
        let shape = shape("params: { to: Account, n?: Long, deep: Set<Deep>, any: ipaddr }");
        let value = json!({
            "params": {
                "to": "0x1", "n": null, "other": 1, "any": "10.0.0.1",
                "deep": [{ "who": "bob", "text": "x", "more": 1 }, null, 3],
            },
            "more": {},
        });
        let taken = json!({
            "params": {
                "to": { "type": "Account", "id": "0x1" },
                "deep": [{ "who": { "type": "A::User", "id": "bob" }, "text": "x" }, 3],
                "any": "10.0.0.1",
            },
        });
        assert_eq!(shape.taken(&value), Some(taken));
    }

    #[test]
    fn a_name_means_first_what_its_own_namespace_declares() {
        let field = |kind: &str| match shape(&format!("f: {kind}")) {
            Shape::Record(mut fields) => fields.remove("f").unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(field("User"), Shape::Entity("A::User".to_owned()));
        assert_eq!(field("A::User"), Shape::Entity("A::User".to_owned()));
        assert_eq!(field("Account"), Shape::Entity("Account".to_owned()));
        assert!(matches!(field("decimal"), Shape::Record(_)));
        assert_eq!(
            [field("String"), field("Text"), field("ipaddr")],
            [Shape::Leaf, Shape::Leaf, Shape::Leaf]
        );
    }
}
