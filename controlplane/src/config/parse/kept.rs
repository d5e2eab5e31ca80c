//! Secrets that a document need not repeat.
//!
//! Secrets never leave the node, so a document that came from the API lacks them: what is absent stays as it was, and
//! only an explicit `null` removes it (configuration.md 9.1).

use super::super::error::ConfigError;
use super::super::model::Secret;
use super::super::raw::Object;

/// What `parse` finds under `field`, or the `current` secret when the document says nothing of it.
pub(super) fn secret(
    object: &mut Object,
    field: &str,
    current: Option<&Secret>,
    parse: impl FnOnce(&mut Object, &str) -> Result<Option<Secret>, ConfigError>,
) -> Result<Option<Secret>, ConfigError> {
    if object.mentions(field) {
        parse(object, field)
    } else {
        Ok(current.cloned())
    }
}
