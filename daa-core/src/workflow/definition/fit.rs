//! Which types stand for which others.

use super::Type;

/// How strictly types are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// What is `any` fits everywhere: whether it does is seen when a run checks the value.
    Checked,
    /// What is `any` fits only `any`: every value of the one type must be a value of the other.
    Always,
}

impl Type {
    /// Whether values of type `from` can be used where this type is expected.
    ///
    /// A field that `from` does not name counts as missing.
    pub(super) fn takes(&self, from: &Self, fit: Fit) -> bool {
        match (self, from) {
            (Self::Any, _) => true,
            (Self::Optional(of), Self::Any) => of.takes(from, fit),
            (_, Self::Any) => fit == Fit::Checked,
            (Self::Optional(_), Self::Optional(of)) => self.takes(of, fit),
            (Self::Optional(of), from) => of.takes(from, fit),
            (Self::Bool, Self::Bool)
            | (Self::Integer, Self::Integer)
            | (Self::Number, Self::Number | Self::Integer)
            | (Self::String, Self::String) => true,
            (Self::List(of), Self::List(from)) => of.takes(from, fit),
            (Self::Object(fields), Self::Object(from)) => fields.iter().all(|(name, field)| {
                from.get(name).map_or(field.optional, |from| {
                    (field.optional || !from.optional) && field.of.takes(&from.of, fit)
                })
            }),
            _ => false,
        }
    }

    /// The type, or null; what may be null already stays as it is.
    pub(super) fn or_null(self) -> Self {
        match self {
            Self::Any | Self::Optional(_) => self,
            other => Self::optional(other),
        }
    }

    /// The type without null.
    pub(super) fn not_null(&self) -> &Self {
        match self {
            Self::Optional(of) => of.not_null(),
            other => other,
        }
    }

    /// A type that both fit.
    pub(super) fn join(self, other: Self) -> Self {
        if self.takes(&other, Fit::Always) {
            self
        } else if other.takes(&self, Fit::Always) {
            other
        } else {
            Self::Any
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::super::Field;
    use super::*;

    fn types(with_any: bool) -> impl Strategy<Value = Type> {
        let leaves = prop_oneof![
            Just(if with_any { Type::Any } else { Type::Bool }),
            Just(Type::Bool),
            Just(Type::Integer),
            Just(Type::Number),
            Just(Type::String),
        ];
        leaves.prop_recursive(3, 16, 3, |inner| {
            let field = (inner.clone(), any::<bool>()).prop_map(|(of, optional)| Field { of, optional });
            prop_oneof![
                inner.clone().prop_map(Type::list),
                inner.prop_map(Type::optional),
                btree_map("[ab]", field, 0..3).prop_map(Type::Object),
            ]
        })
    }

    fn values(of: &Type) -> BoxedStrategy<Value> {
        match of {
            Type::Any => prop_oneof![Just(json!(null)), Just(json!([1])), Just(json!("x"))].boxed(),
            Type::Bool => any::<bool>().prop_map(Value::from).boxed(),
            Type::Integer => any::<i64>().prop_map(Value::from).boxed(),
            Type::Number => prop_oneof![any::<i32>().prop_map(Value::from), Just(json!(1.5))].boxed(),
            Type::String => "[a-z]{0,3}".prop_map(Value::from).boxed(),
            Type::List(of) => vec(values(of), 0..3).prop_map(Value::from).boxed(),
            Type::Optional(of) => prop_oneof![Just(Value::Null), values(of)].boxed(),
            Type::Object(fields) => {
                let mut map = Just(Map::from_iter([("other".to_owned(), json!(1))])).boxed();
                for (name, field) in fields.clone() {
                    let there = if field.optional { any::<bool>().boxed() } else { Just(true).boxed() };
                    map = (map, values(&field.of), there)
                        .prop_map(move |(mut map, value, there)| {
                            if there {
                                map.insert(name.clone(), value);
                            }
                            map
                        })
                        .boxed();
                }
                map.prop_map(Value::Object).boxed()
            }
        }
    }

    proptest! {
        #[test]
        fn a_type_takes_itself_and_is_read_back(of in types(true)) {
            prop_assert!(of.takes(&of, Fit::Checked) && of.takes(&of, Fit::Always));
            let json = serde_json::to_string(&of).unwrap();
            prop_assert_eq!(serde_json::from_str::<Type>(&json).unwrap(), of, "{}", json);
        }

        #[test]
        fn a_value_is_of_every_type_that_takes_its_own(
            (to, from, value) in (types(true), types(true))
                .prop_flat_map(|(to, from)| { let value = values(&from); (Just(to), Just(from), value) })
        ) {
            prop_assert!(from.check("value", &value).is_ok());
            if to.takes(&from, Fit::Always) {
                prop_assert_eq!(to.check("value", &value), Ok(()));
                prop_assert!(to.takes(&from, Fit::Checked));
            }
            let join = to.join(from);
            prop_assert_eq!(join.check("value", &value), Ok(()));
        }

        #[test]
        fn without_any_both_ways_to_compare_agree(to in types(false), from in types(false)) {
            prop_assert_eq!(to.takes(&from, Fit::Always), to.takes(&from, Fit::Checked));
        }
    }

    #[test]
    fn null_missing_and_fractions_do_not_fit() {
        let optional = |of| Type::optional(of);
        let cases = [
            (Type::String, optional(Type::String), false),
            (optional(Type::String), Type::String, true),
            (Type::Integer, Type::Number, false),
            (Type::Number, Type::Integer, true),
            (Type::object([("a", Type::String)]), Type::object([("a?", Type::String)]), false),
            (Type::object([("a?", Type::String)]), Type::object([("a", Type::String)]), true),
            (Type::object([("a", Type::String)]), Type::object([("b", Type::String)]), false),
            (Type::list(Type::String), Type::list(Type::Any), true),
            (Type::list(Type::String), Type::String, false),
        ];
        for (to, from, expected) in cases {
            assert_eq!(to.takes(&from, Fit::Checked), expected, "{to} <- {from}");
        }
    }

    #[test]
    fn an_optional_object_is_no_object_with_an_optional_field() {
        let read = |text: &str| serde_json::from_str::<Type>(text);
        let object = Type::object([("optional", Type::String)]);
        assert_eq!(read(r#"{"?":{"optional":"string"}}"#).unwrap(), Type::optional(object));
        assert_eq!(read(r#"{"optional?":"string"}"#).unwrap(), Type::object([("optional?", Type::String)]));
        assert!(read(r#"{"a":"string","a?":"string"}"#).unwrap_err().to_string().contains("twice"));
        assert!(read(r#"{"?":"string","a":"string"}"#).is_err());
        assert!(read(r#"["string","string"]"#).is_err());
        assert!(read("[]").is_err());
        assert!(read("\"text\"").unwrap_err().to_string().contains("integer"));
    }
}
