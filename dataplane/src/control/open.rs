//! From a specification to an input and outputs with open sockets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bilbycast_mpegts::{TestSource, TestSourceConfig, TestSourceError};
use bilbycast_rtp::{RtpWrapper, SeqNo, Ssrc};
use bilbycast_shm_proto::control::{ControlError, ControlErrorKind};
use bilbycast_shm_proto::model::{InputSpec, OutputKind, OutputSpec, ReceiveSpec};

use crate::flow::input::{Input, Leg};
use crate::flow::output::{Form, Output};
use crate::net::socket::{ReceiveSocket, SendSocket, SocketError};

/// Why a flow could not be opened. Names flow, output, field and value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The input's socket.
    #[error("flow '{flow_id}': input {source}")]
    Input {
        /// The flow.
        flow_id: String,
        /// What is wrong.
        source: SocketError,
    },
    /// An output's socket.
    #[error("flow '{flow_id}', output '{output_id}': {source}")]
    Output {
        /// The flow.
        flow_id: String,
        /// The output.
        output_id: String,
        /// What is wrong.
        source: SocketError,
    },
    /// The built-in source cannot do what is asked for.
    #[error("flow '{flow_id}': input {source}")]
    TestSource {
        /// The flow.
        flow_id: String,
        /// What is wrong.
        source: TestSourceError,
    },
}

impl OpenError {
    /// True when another socket has the address.
    #[must_use]
    pub fn is_address_in_use(&self) -> bool {
        match self {
            Self::Input { source, .. } | Self::Output { source, .. } => source.is_address_in_use(),
            Self::TestSource { .. } => false,
        }
    }
}

impl From<OpenError> for ControlError {
    fn from(error: OpenError) -> Self {
        let kind = match error {
            OpenError::Input { .. } | OpenError::Output { .. } => ControlErrorKind::Bind,
            OpenError::TestSource { .. } => ControlErrorKind::Unsupported,
        };
        Self::new(kind, error.to_string())
    }
}

/// Opens an input. A leg in `spare` that was opened for the same is used again, so that no packet that waits in it is
/// lost and no group is left and joined.
///
/// # Errors
///
/// [`OpenError`]; `spare` is then untouched.
pub fn input(flow_id: &str, spec: &InputSpec, spare: &mut Option<Leg>) -> Result<Input, OpenError> {
    let mut leg = |receive: &ReceiveSpec| match spare.take_if(|leg| leg.spec() == receive) {
        Some(leg) => Ok(leg),
        None => ReceiveSocket::open(receive)
            .map(|socket| Leg::new(socket, receive.clone()))
            .map_err(|source| OpenError::Input {
                flow_id: flow_id.to_owned(),
                source,
            }),
    };
    Ok(match spec {
        InputSpec::Rtp(rtp) if rtp.enabled => Input::rtp(leg(&rtp.receive)?),
        InputSpec::Rtp(_) => Input::off(),
        InputSpec::Test(test) => Input::test(
            TestSource::new(&TestSourceConfig::new(test.bitrate_bps)).map_err(|source| {
                OpenError::TestSource {
                    flow_id: flow_id.to_owned(),
                    source,
                }
            })?,
        ),
        InputSpec::Udp(udp) => Input::udp(leg(&udp.receive)?),
    })
}

/// Opens an output of a flow with that input.
///
/// # Errors
///
/// [`OpenError::Output`].
pub fn output(flow_id: &str, input: &InputSpec, spec: &OutputSpec) -> Result<Output, OpenError> {
    let comes_as_rtp = matches!(input, InputSpec::Rtp(_));
    let (send, form) = match &spec.kind {
        OutputKind::Rtp(rtp) if !rtp.enabled => return Ok(Output::off(spec.clone())),
        OutputKind::Rtp(rtp) => {
            let form = match rtp.payload_type {
                None if comes_as_rtp => Form::AsReceived,
                Some(payload_type) if comes_as_rtp => Form::Retyped(payload_type),
                chosen => {
                    let payload_type = chosen.unwrap_or(rtp.wrap_payload_type);
                    let [ssrc, first] = [random(), random()];
                    let ssrc = Ssrc((ssrc & 0xffff_ffff) as u32);
                    let first = SeqNo((first & 0xffff) as u16);
                    Form::Wrapped(RtpWrapper::new(payload_type, ssrc, first))
                }
            };
            (&rtp.send, form)
        }
        OutputKind::Udp(udp) => (&udp.send, Form::Ts),
    };
    let socket = SendSocket::open(send).map_err(|source| OpenError::Output {
        flow_id: flow_id.to_owned(),
        output_id: spec.id.clone(),
        source,
    })?;
    Ok(Output::on(spec.clone(), socket, form))
}

/// 64 bits that differ at each call and from run to run. They only keep streams and runs apart; nobody who guesses
/// them gains anything.
#[must_use]
pub fn random() -> u64 {
    RandomState::new().hash_one(0)
}
