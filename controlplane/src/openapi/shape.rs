//! Words in which the schemas of this API are written: short forms of utoipa's builders.

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::openapi::schema::{
    ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Discriminator, RefOr};

/// A schema or the name of one.
pub(super) type Shape = RefOr<Schema>;

/// Format of `address:port`, an IPv6 address in brackets.
pub(super) const SOCKET_ADDRESS: &str = "socket-address";

/// Format of an IPv4 or IPv6 address.
pub(super) const IP_ADDRESS: &str = "ip-address";

/// An object under construction. A field that is named twice is what it was called last.
pub(super) struct Fields {
    object: ObjectBuilder,
    required: BTreeSet<String>,
}

/// An object.
pub(super) fn object(description: &str) -> Fields {
    Fields {
        object: ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(description)),
        required: BTreeSet::new(),
    }
}

impl Fields {
    /// A field that is always there.
    pub(super) fn required(mut self, name: &str, shape: impl Into<Shape>) -> Self {
        self.object = self.object.property(name, shape);
        self.required.insert(name.to_owned());
        self
    }

    /// A field that may be absent; `null` says the same.
    pub(super) fn optional(mut self, name: &str, shape: impl Into<Shape>) -> Self {
        self.object = self.object.property(name, nullable(shape));
        self
    }

    /// A field that is always there and may be `null`.
    pub(super) fn nullable(self, name: &str, shape: impl Into<Shape>) -> Self {
        self.required(name, nullable(shape))
    }

    /// All that `more` adds.
    pub(super) fn with(self, more: impl FnOnce(Self) -> Self) -> Self {
        more(self)
    }
}

impl From<Fields> for Shape {
    fn from(fields: Fields) -> Self {
        let required = fields.required.into_iter();
        required.fold(fields.object, ObjectBuilder::required).into()
    }
}

/// A string.
pub(super) fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
}

/// A string of so many characters.
pub(super) fn text_of(least: usize, most: usize, description: &str) -> ObjectBuilder {
    text(description)
        .min_length((least > 0).then_some(least))
        .max_length(Some(most))
}

/// A string that another standard or this API gives a form.
pub(super) fn formatted(format: &str, description: &str) -> ObjectBuilder {
    text(description).format(Some(SchemaFormat::Custom(format.to_owned())))
}

/// One of these strings.
pub(super) fn choice(choices: &[&str], description: &str) -> ObjectBuilder {
    text(description).enum_values(Some(choices.iter().map(|choice| Value::from(*choice))))
}

/// One of these integers.
pub(super) fn number_of(choices: &[u32], description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .enum_values(Some(choices.iter().map(|choice| Value::from(*choice))))
        .description(Some(description))
}

/// An integer between bounds.
pub(super) fn integer(least: i64, most: i64, description: &str) -> ObjectBuilder {
    integer_from(least, description).maximum(isize::try_from(most).ok())
}

/// An integer with a lower bound.
pub(super) fn integer_from(least: i64, description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(isize::try_from(least).ok())
        .description(Some(description))
}

/// A count: any integer from 0.
pub(super) fn count(description: &str) -> ObjectBuilder {
    integer_from(0, description)
}

/// A time in seconds: up to a day.
pub(super) fn seconds(description: &str) -> ObjectBuilder {
    integer(1, 86_400, description)
}

/// A number between bounds.
pub(super) fn number(least: f64, most: f64, description: &str) -> ObjectBuilder {
    measure(description)
        .minimum(Some(least))
        .maximum(Some(most))
}

/// Any number.
pub(super) fn measure(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Number)
        .description(Some(description))
}

/// `true` or `false`.
pub(super) fn flag(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some(description))
}

/// What a field that is absent means.
pub(super) fn with_default(shape: ObjectBuilder, default: impl Into<Value>) -> ObjectBuilder {
    shape.default(Some(default.into()))
}

/// A field that is taken and never returned.
pub(super) fn secret(shape: ObjectBuilder) -> ObjectBuilder {
    shape.write_only(true)
}

/// A list.
pub(super) fn list(item: impl Into<Shape>, description: &str) -> ArrayBuilder {
    ArrayBuilder::new()
        .items::<Shape>(item.into())
        .description(Some(description))
}

/// The schema of this name among the components.
pub(super) fn named(name: &str) -> Shape {
    Ref::from_schema_name(name).into()
}

/// One of these components, told apart by the field `type`.
pub(super) fn tagged(variants: &[(&str, &str)], description: &str) -> Shape {
    let mut shape = OneOfBuilder::new().description(Some(description));
    for (_, component) in variants {
        shape = shape.item(named(component));
    }
    let mapping = variants.iter().map(|(tag, component)| {
        (
            (*tag).to_owned(),
            format!("#/components/schemas/{component}"),
        )
    });
    shape
        .discriminator(Some(Discriminator::with_mapping("type", mapping)))
        .into()
}

/// The same, or `null`.
pub(super) fn nullable(shape: impl Into<Shape>) -> Shape {
    match shape.into() {
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Type(one) = &object.schema_type {
                object.schema_type = SchemaType::from_iter([one.clone(), Type::Null]);
            }
            if let Some(values) = &mut object.enum_values {
                values.push(Value::Null);
            }
            Schema::Object(object).into()
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
            Schema::Array(array).into()
        }
        other => OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::Null))
            .item(other)
            .into(),
    }
}
