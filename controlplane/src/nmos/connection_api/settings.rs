//! What can be staged and activated, and how a request changes it.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::activation::{excerpt, unexpected};
use super::endpoint::Configured;
use super::error::ConnectionError;
use super::params::{Auto, Leg, Reach, ReceiverLeg, SenderLeg, to_json};
use super::sources;
use crate::nmos::sdp;

/// What can be staged and activated.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings<L> {
    /// Id of the other end.
    pub peer: Option<Uuid>,
    /// Whether it is switched on.
    pub master_enable: bool,
    /// The transport file, of a receiver.
    pub transport_file: Option<String>,
    /// Leg 1, and leg 2 of ST 2022-7.
    pub legs: Vec<L>,
}

impl<L: Leg> Settings<L> {
    /// What would change nothing.
    pub(super) fn of(configured: &Configured<L>) -> Self {
        Self {
            peer: None,
            master_enable: configured.master_enable,
            transport_file: None,
            legs: configured.legs.clone(),
        }
    }

    /// Takes over what `body`, a PATCH, says, but for its activation.
    pub(super) fn change(
        &mut self,
        body: &Map<String, Value>,
        reach: &Reach,
    ) -> Result<(), ConnectionError>
    where
        L: Told,
    {
        for (key, value) in body {
            match key.as_str() {
                "activation" | "transport_params" => {}
                "master_enable" => {
                    self.master_enable = value
                        .as_bool()
                        .ok_or_else(|| unexpected(key, value, "true or false"))?;
                }
                "transport_file" if L::HAS_TRANSPORT_FILE => {}
                peer if peer == L::PEER => self.peer = uuid_or_null(key, value)?,
                other => {
                    let field = other.escape_debug().to_string();
                    return Err(ConnectionError::invalid(field, "there is no such field"));
                }
            }
        }
        let before = self.legs.clone();
        // The parameters of the same request win over the file.
        if L::HAS_TRANSPORT_FILE
            && let Some(file) = body.get("transport_file")
        {
            self.transport_file = transport_file(file)?;
            if let Some(text) = &self.transport_file {
                L::tell(&mut self.legs, text)?;
            }
        }
        if let Some(parameters) = body.get("transport_params") {
            self.change_legs(parameters)?;
        }
        for (index, (before, leg)) in before.iter().zip(&self.legs).enumerate() {
            keeps_constraints(index, before, leg, reach)?;
            leg.check().map_err(|(parameter, problem)| {
                ConnectionError::invalid(place(index, parameter), problem)
            })?;
        }
        Ok(())
    }

    fn change_legs(&mut self, legs: &Value) -> Result<(), ConnectionError> {
        let Some(legs) = legs.as_array() else {
            return Err(unexpected("transport_params", legs, "a list"));
        };
        if legs.len() != self.legs.len() {
            let (found, side, has) = (legs.len(), L::SIDE, self.legs.len());
            let problem = format!("a list of {found}, this {side} has {has}");
            return Err(ConnectionError::invalid("transport_params", problem));
        }
        for (index, (leg, changes)) in self.legs.iter_mut().zip(legs).enumerate() {
            let Some(changes) = changes.as_object() else {
                let field = format!("transport_params[{index}]");
                return Err(unexpected(&field, changes, "an object"));
            };
            for (name, value) in changes {
                let parameter = L::parameters()
                    .iter()
                    .find(|parameter| parameter.name == name)
                    .ok_or_else(|| {
                        let field = place(index, &name.escape_debug().to_string());
                        ConnectionError::invalid(field, "there is no such parameter")
                    })?;
                if !(parameter.set)(leg, value) {
                    return Err(unexpected(&place(index, name), value, parameter.expected));
                }
            }
            leg.follow_port(changes);
        }
        Ok(())
    }

    /// Checks what only matters once it is to be active.
    pub(super) fn check(&self) -> Result<(), ConnectionError>
    where
        L: Told,
    {
        L::check_together(&self.legs)
            .map_err(|(field, problem)| ConnectionError::invalid(field, problem))
    }
}

/// What the two kinds of legs differ in when they are told what to do.
pub trait Told: Leg {
    /// Fills in what a transport file says.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Invalid`].
    fn tell(legs: &mut [Self], file: &str) -> Result<(), ConnectionError>;

    /// Checks what the legs say together: one FEC serves both (configuration.md 6.1).
    ///
    /// # Errors
    ///
    /// The field that is wrong, and the rule that it breaks.
    fn check_together(legs: &[Self]) -> Result<(), (String, String)>;
}

impl Told for SenderLeg {
    fn tell(_: &mut [Self], _: &str) -> Result<(), ConnectionError> {
        Ok(())
    }

    fn check_together(legs: &[Self]) -> Result<(), (String, String)> {
        let shared = [
            "fec_enabled",
            "fec_mode",
            "fec_block_width",
            "fec_block_height",
        ];
        same_on_all(legs, &shared)
    }
}

impl Told for ReceiverLeg {
    fn tell(legs: &mut [Self], file: &str) -> Result<(), ConnectionError> {
        let offer = sdp::read(file)
            .map_err(|error| ConnectionError::invalid("transport_file.data", error.to_string()))?;
        let has_fec = offer
            .legs
            .iter()
            .any(|leg| leg.has_column_fec || leg.has_row_fec);
        for (index, leg) in legs.iter_mut().enumerate() {
            let Some(offered) = offer.legs.get(index) else {
                leg.rtp_enabled = false;
                continue;
            };
            leg.take(offered);
        }
        if has_fec {
            for leg in legs {
                leg.fec.enabled = true;
            }
        }
        Ok(())
    }

    fn check_together(legs: &[Self]) -> Result<(), (String, String)> {
        same_on_all(legs, &["fec_enabled"])?;
        sources::check(legs)
    }
}

impl ReceiverLeg {
    /// What a leg of a description says.
    fn take(&mut self, offered: &sdp::OfferedLeg) {
        let address = offered.destination.ip();
        if address.is_multicast() {
            self.multicast_ip = Some(address);
            // An interface of the other family cannot join.
            let interface = self.interface_ip.value();
            self.interface_ip = interface
                .filter(|interface| interface.is_ipv4() == address.is_ipv4())
                .into();
        } else {
            self.multicast_ip = None;
            self.interface_ip = Auto::Is(address);
        }
        self.source_ip = offered.source;
        self.destination_port = Auto::Is(offered.destination.port());
        self.rtp_enabled = offered.is_active;
        self.fec.destination_ip = Auto::Auto;
        self.fec.column_destination_port = Auto::Auto;
        self.fec.row_destination_port = Auto::Auto;
    }
}

/// Checks what has changed against the constraints that were published; what is there already stays legal.
fn keeps_constraints<L: Leg>(
    index: usize,
    before: &L,
    leg: &L,
    reach: &Reach,
) -> Result<(), ConnectionError> {
    for parameter in L::parameters() {
        let value = (parameter.get)(leg);
        if value == (parameter.get)(before) || is_local(&value, reach) {
            continue;
        }
        let constraint = before.constraint(parameter.name, reach);
        if let Some(problem) = constraint.objection(&value) {
            let problem = format!("{} is not allowed: {problem}", excerpt(&value));
            return Err(ConnectionError::invalid(
                place(index, parameter.name),
                problem,
            ));
        }
    }
    Ok(())
}

/// Whether it is an address of this node: those of the other family are not listed and legal.
fn is_local(value: &Value, reach: &Reach) -> bool {
    let address = value.as_str().and_then(|text| text.parse().ok());
    address.is_some_and(|address| reach.local_addresses.contains(&address))
}

fn same_on_all<L: Leg>(legs: &[L], parameters: &[&str]) -> Result<(), (String, String)> {
    let Some((first, others)) = legs.split_first() else {
        return Ok(());
    };
    let first = to_json(first);
    for (index, other) in (1..).zip(others) {
        let other = to_json(other);
        for parameter in parameters {
            if first[parameter] != other[parameter] {
                let problem = format!(
                    "{} on this leg and {} on the first one; one FEC serves all legs",
                    other[parameter], first[parameter]
                );
                return Err((place(index, parameter), problem));
            }
        }
    }
    Ok(())
}

pub(super) fn place(leg: usize, parameter: &str) -> String {
    format!("transport_params[{leg}].{parameter}")
}

/// The text of a transport file; absent when both fields are null.
fn transport_file(file: &Value) -> Result<Option<String>, ConnectionError> {
    let field = "transport_file";
    let Some(object) = file.as_object() else {
        return Err(unexpected(field, file, "an object"));
    };
    for key in object.keys() {
        if key != "data" && key != "type" {
            let field = format!("{field}.{}", key.escape_debug());
            return Err(ConnectionError::invalid(field, "there is no such field"));
        }
    }
    match (object.get("data"), object.get("type")) {
        (Some(Value::Null), Some(Value::Null)) => Ok(None),
        (Some(Value::String(data)), Some(Value::String(kind))) => {
            let kind_only = kind.split(';').next().unwrap_or_default().trim();
            if kind_only.eq_ignore_ascii_case(sdp::MEDIA_TYPE) {
                return Ok(Some(data.clone()));
            }
            let kind = Value::from(kind.as_str());
            Err(unexpected(
                "transport_file.type",
                &kind,
                "\"application/sdp\"",
            ))
        }
        _ => Err(ConnectionError::invalid(
            field,
            "data and type have to be there, both strings or both null",
        )),
    }
}

fn uuid_or_null(field: &str, value: &Value) -> Result<Option<Uuid>, ConnectionError> {
    if value.is_null() {
        return Ok(None);
    }
    let id = value.as_str().filter(|text| {
        // As the schema has it: with hyphens and in lower case.
        text.len() == 36 && !text.contains(|c: char| c.is_ascii_uppercase())
    });
    id.and_then(|text| Uuid::try_parse(text).ok())
        .map(Some)
        .ok_or_else(|| unexpected(field, value, "a UUID in lower case or null"))
}
