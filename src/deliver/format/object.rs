//! JSON objects that have no empty values.

use serde_json::{Map, Value};

/// An object in the making.
#[derive(Debug, Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Adds a value, unless there is none or it is empty: a receiver takes a key that is there for something said.
    pub(super) fn put(mut self, key: &str, value: Option<impl Into<Value>>) -> Self {
        let value = value.map(Into::into).filter(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            Value::Bool(_) | Value::Number(_) => true,
        });
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value);
        }
        self
    }

    /// Whether it has one of these: many objects of OCSF need at least one of a few.
    pub(super) fn has(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.0.contains_key(*key))
    }

    /// The object, if it has anything.
    pub(super) fn some(self) -> Option<Value> {
        (!self.0.is_empty()).then_some(Value::Object(self.0))
    }

    /// The object, if it has at least one of these.
    pub(super) fn with(self, keys: &[&str]) -> Option<Value> {
        self.has(keys).then_some(Value::Object(self.0))
    }
}
