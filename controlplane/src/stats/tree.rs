//! A JSON value whose fields keep the order in which they were set.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A JSON value. [`serde_json::Value`] sorts its fields by name; people compare answers with the API reference, so
/// these keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// An array.
    List(Vec<Self>),
    /// `null`.
    Null,
    /// A non-negative integer.
    Number(u64),
    /// An object.
    Object(Vec<(String, Self)>),
    /// A string.
    Text(String),
}

impl Tree {
    /// An object without fields.
    #[must_use]
    pub const fn object() -> Self {
        Self::Object(Vec::new())
    }

    /// Sets the value at `path`: names of nested objects and of the field, separated by dots. Objects on the way
    /// come into being; a field that is there keeps its place.
    pub fn set(&mut self, path: &str, value: impl Into<Self>) {
        *self.at(path) = value.into();
    }

    /// As [`Self::set`], unless the field has a value already.
    pub fn set_absent(&mut self, path: &str, value: impl Into<Self>) {
        let place = self.at(path);
        if *place == Self::Null {
            *place = value.into();
        }
    }

    fn at(&mut self, path: &str) -> &mut Self {
        let (name, rest) = match path.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (path, None),
        };
        if !matches!(self, Self::Object(_)) {
            *self = Self::object();
        }
        let Self::Object(fields) = self else {
            unreachable!("anything else was replaced by an object above");
        };
        let index = match fields.iter().position(|(field, _)| field == name) {
            Some(index) => index,
            None => {
                fields.push((name.to_owned(), Self::Null));
                fields.len() - 1
            }
        };
        let field = &mut fields[index].1;
        match rest {
            Some(rest) => field.at(rest),
            None => field,
        }
    }
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Tree {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::List(items) => serializer.collect_seq(items),
            Self::Null => serializer.serialize_unit(),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_paths_nest() {
        let mut tree = Tree::object();
        tree.set("z", 1);
        tree.set("input.b", "x");
        tree.set("a", Tree::Null);
        tree.set("input.a.deep", 2);
        tree.set("z", 3);
        tree.set_absent("a", Tree::List(vec![Tree::Null]));
        tree.set_absent("z", 4);
        let json = serde_json::to_string(&tree).unwrap();
        assert_eq!(
            json,
            r#"{"z":3,"input":{"b":"x","a":{"deep":2}},"a":[null]}"#
        );
    }
}
