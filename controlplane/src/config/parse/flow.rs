//! A flow (configuration.md 4).

use bilbycast_shm_proto::model::{ID_CHARS_MAX, OUTPUTS_PER_FLOW_MAX};

use super::super::error::ConfigError;
use super::super::model::{FlowConfig, OutputConfig, flow_owner};
use super::super::raw::{Object, UnknownFields};
use super::{Ids, NAME_CHARS_MAX, at_most, input, output};

pub(super) fn flow(
    mut object: Object,
    unknown: &mut UnknownFields,
) -> Result<FlowConfig, ConfigError> {
    let id = object.text("id", 1..=ID_CHARS_MAX)?;
    let id = object.required("id", id)?;
    object.set_owner(&flow_owner(&id));
    let name = object.text("name", 1..=NAME_CHARS_MAX)?;
    let input = object.object("input", "input")?;
    let flow = FlowConfig {
        name: object.required("name", name)?,
        enabled: object.flag("enabled")?.unwrap_or(true),
        media_analysis: object.flag("media_analysis")?.unwrap_or(true),
        input: input::input(object.required("input", input)?, unknown)?,
        outputs: outputs(&mut object, unknown)?,
        id,
    };
    object.finish(unknown);
    Ok(flow)
}

fn outputs(
    object: &mut Object,
    unknown: &mut UnknownFields,
) -> Result<Vec<OutputConfig>, ConfigError> {
    let values = object.list("outputs")?;
    let values = object.required("outputs", values)?;
    at_most(
        object,
        "outputs",
        values.len(),
        OUTPUTS_PER_FLOW_MAX,
        "a flow",
    )?;
    let mut ids = Ids::default();
    let mut outputs = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let element = Object::new(value, object.place_of_element("outputs", index, ""))?;
        let output = output::output(element, unknown)?;
        ids.insert(object, "outputs", index, &output.id, &output.owner())?;
        outputs.push(output);
    }
    Ok(outputs)
}
