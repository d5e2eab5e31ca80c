//! A flow (configuration.md 4).

use bilbycast_shm_proto::model::{ID_CHARS_MAX, OUTPUTS_PER_FLOW_MAX};

use super::super::error::ConfigError;
use super::super::model::{
    BandwidthAction, BandwidthLimitConfig, FlowConfig, OutputConfig, flow_owner,
};
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
        bandwidth_limit: bandwidth_limit(&mut object, unknown)?,
        input: input::input(object.required("input", input)?, unknown)?,
        outputs: outputs(&mut object, unknown)?,
        id,
    };
    object.finish(unknown);
    Ok(flow)
}

/// Configuration.md 4.1.
fn bandwidth_limit(
    object: &mut Object,
    unknown: &mut UnknownFields,
) -> Result<Option<BandwidthLimitConfig>, ConfigError> {
    let Some(mut object) = object.object("bandwidth_limit", "bandwidth_limit")? else {
        return Ok(None);
    };
    let max_bitrate_mbps = input::rate_mbps(&mut object, "max_bitrate_mbps", input::MBPS_STEP)?;
    let action = object.word("action", &ACTIONS)?;
    let limit = BandwidthLimitConfig {
        max_bitrate_mbps: object.required("max_bitrate_mbps", max_bitrate_mbps)?,
        action: object.required("action", action)?,
        grace_period_secs: object.integer("grace_period_secs", 1..=60)?,
    };
    object.finish(unknown);
    Ok(Some(limit))
}

const ACTIONS: [(&str, BandwidthAction); 2] = [
    ("alarm", BandwidthAction::Alarm),
    ("block", BandwidthAction::Block),
];

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
