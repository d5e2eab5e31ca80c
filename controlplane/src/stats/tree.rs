//! A JSON value whose fields keep the order in which they were set.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A JSON value. [`serde_json::Value`] sorts its fields by name; people compare answers with the API reference, so
/// these keep their order. Names are constants and texts are borrowed: a thousand flows have 80,000 of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree<'a> {
    /// An array.
    List(Vec<Self>),
    /// `null`.
    Null,
    /// `false` or `true`.
    Flag(bool),
    /// A number with a fraction.
    Fraction(f64),
    /// A non-negative integer.
    Number(u64),
    /// An object.
    Object(Vec<(&'static str, Self)>),
    /// A string.
    Text(Cow<'a, str>),
}

impl<'a> Tree<'a> {
    /// An object without fields.
    #[must_use]
    pub const fn object() -> Self {
        Self::Object(Vec::new())
    }

    /// An object without fields, and with room for `fields`.
    #[must_use]
    pub fn with_room(fields: usize) -> Self {
        Self::Object(Vec::with_capacity(fields))
    }

    /// Sets the value at `path`: names of nested objects and of the field, separated by dots. Objects on the way
    /// come into being; a field that is there keeps its place.
    pub fn set(&mut self, path: &'static str, value: impl Into<Self>) {
        *self.at(path) = value.into();
    }

    /// The value of a field of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else {
            return None;
        };
        let found = fields.iter().find(|(field, _)| *field == name);
        found.map(|(_, value)| value)
    }

    /// As [`Self::set`], unless the field has a value already.
    pub fn set_absent(&mut self, path: &'static str, value: impl Into<Self>) {
        let place = self.at(path);
        if *place == Self::Null {
            *place = value.into();
        }
    }

    fn at(&mut self, path: &'static str) -> &mut Self {
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
        let index = match fields.iter().position(|(field, _)| *field == name) {
            Some(index) => index,
            None => {
                fields.push((name, Self::Null));
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

impl<'a> From<&'a str> for Tree<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<bool> for Tree<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<f64> for Tree<'_> {
    fn from(number: f64) -> Self {
        Self::Fraction(number)
    }
}

impl From<u64> for Tree<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Fraction(number) => serializer.serialize_f64(*number),
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
