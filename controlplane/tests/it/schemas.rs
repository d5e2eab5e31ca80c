//! JSON schemas of NMOS.
//!
//! Those in `schemas/` were written down from the text of the specifications, for what this node serves: they know more
//! than a schema for all nodes can, and are always used. AMWA's own are used besides where they lie beside the
//! repository, for they say what a controller may expect at least.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// An API of NMOS.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Api {
    /// IS-05 v1.1.
    Connection,
    /// IS-04 v1.3.
    Node,
}

impl Api {
    const fn folder(self) -> &'static str {
        match self {
            Self::Connection => "is-05-v1.1",
            Self::Node => "is-04-v1.3",
        }
    }

    fn own(self) -> Value {
        let text = match self {
            Self::Connection => include_str!("schemas/is-05-v1.1.json"),
            Self::Node => include_str!("schemas/is-04-v1.3.json"),
        };
        serde_json::from_str(text).unwrap()
    }
}

/// Checks `value` against the schemas with this name, ours and AMWA's.
pub(crate) fn assert_valid(api: Api, name: &str, value: &Value) {
    let mut errors = errors(&own(api, name), value);
    if let Some(schema) = amwas(api, name) {
        errors.extend(self::errors(&schema, value));
    }
    assert!(errors.is_empty(), "{name}: {errors:#?}: {value:#}");
}

fn errors(validator: &Validator, value: &Value) -> Vec<String> {
    let errors = validator.iter_errors(value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn own(api: Api, name: &str) -> Validator {
    let mut schema = api.own();
    assert!(
        schema["$defs"][name].is_object(),
        "there is no schema {name}"
    );
    schema["$ref"] = json!(format!("#/$defs/{name}"));
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

/// AMWA's schema; `None`, with the reason printed, when it is not there.
fn amwas(api: Api, name: &str) -> Option<Validator> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/nmos-schemas");
    let folder: PathBuf = folder.join(api.folder());
    let file = format!("{name}.json");
    if !folder.join(&file).is_file() {
        println!("AMWA has no schema {name} at {}", folder.display());
        return None;
    }
    let validator = jsonschema::options()
        .with_draft(Draft::Draft4)
        .should_validate_formats(true)
        .build(&resolved(&folder, &file))
        .unwrap();
    Some(validator)
}

/// A schema, or a part of one, with those that it refers to put in.
fn resolved(folder: &Path, reference: &str) -> Value {
    fn resolve(folder: &Path, value: Value) -> Value {
        match value {
            Value::Object(mut fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    return resolved(folder, reference);
                }
                for value in fields.values_mut() {
                    *value = resolve(folder, value.take());
                }
                Value::Object(fields)
            }
            Value::Array(values) => {
                let values = values.into_iter();
                values.map(|value| resolve(folder, value)).collect()
            }
            other => other,
        }
    }
    let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let text = fs::read_to_string(folder.join(file)).unwrap();
    let mut found: Value = serde_json::from_str(&text).unwrap();
    found = found.pointer_mut(pointer).unwrap().take();
    if let Some(fields) = found.as_object_mut() {
        fields.remove("$schema");
    }
    resolve(folder, found)
}

/// Checks that our schema with this name refuses `value`, which is legal, with any one field missing or of the wrong
/// type, however deep, or one too many. Fields below `free` hold what they will, and those in `optional` may be missing.
pub(crate) fn assert_strict(api: Api, name: &str, value: &Value, optional: &[&str], free: &[&str]) {
    fn objects(value: &Value, at: &str, free: &[&str], found: &mut Vec<String>) {
        if free.contains(&at) {
            return;
        }
        match value {
            Value::Object(fields) => {
                found.push(at.to_owned());
                for (key, value) in fields {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    objects(value, &format!("{at}/{key}"), free, found);
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    objects(value, &format!("{at}/{index}"), free, found);
                }
            }
            _ => {}
        }
    }
    let validator = own(api, name);
    assert!(validator.is_valid(value), "{name}: {value:#}");
    let mut found = Vec::new();
    objects(value, "", free, &mut found);
    let refuses = |at: &str, what: &str, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut changed = value.clone();
        change(changed.pointer_mut(at).unwrap().as_object_mut().unwrap());
        assert!(!validator.is_valid(&changed), "{name}{at}: {what} passes");
    };
    for at in &found {
        refuses(at, "a field too many", &|fields| {
            fields.insert("surplus".to_owned(), Value::from(1));
        });
        for key in value.pointer(at).unwrap().as_object().unwrap().keys() {
            if !optional.contains(&key.as_str()) {
                refuses(at, &format!("without {key} it"), &|fields| {
                    fields.remove(key);
                });
            }
            refuses(at, &format!("a wrong {key}"), &|fields| {
                fields.insert(key.clone(), json!([[-1.5]]));
            });
        }
    }
}
