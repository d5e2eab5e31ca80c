//! What senders and receivers differ in, apart from their parameters.

use uuid::Uuid;

use super::mapping::{Mapped, Subject};
use super::params::{ReceiverLeg, SenderLeg};
use super::saved::{Endpoints, Table};
use crate::nmos::resources::{Model, ResourceType};

/// Senders or receivers.
pub(super) trait Side: Mapped {
    /// Their kind in IS-04.
    const KIND: ResourceType;

    /// What of the configuration the one with this id is; `None` for what IS-05 does not know.
    fn subject(model: &Model, id: Uuid) -> Option<Subject>;

    fn table_mut(endpoints: &mut Endpoints) -> &mut Table<Self>;
}

impl Side for SenderLeg {
    const KIND: ResourceType = ResourceType::Sender;

    fn subject(model: &Model, id: Uuid) -> Option<Subject> {
        let key = model.sender(id)?;
        Some(Subject {
            flow_id: key.flow_id.clone(),
            output_id: Some(key.output_id.clone()),
        })
    }

    fn table_mut(endpoints: &mut Endpoints) -> &mut Table<Self> {
        &mut endpoints.senders
    }
}

impl Side for ReceiverLeg {
    const KIND: ResourceType = ResourceType::Receiver;

    fn subject(model: &Model, id: Uuid) -> Option<Subject> {
        let key = model.receiver(id)?;
        Some(Subject {
            flow_id: key.flow_id.clone(),
            output_id: None,
        })
    }

    fn table_mut(endpoints: &mut Endpoints) -> &mut Table<Self> {
        &mut endpoints.receivers
    }
}
