//! From a specification to an input and outputs with open sockets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;

use bilbycast_fec::{Dimensions, EncoderConfig, Layout, Matrix};
use bilbycast_mpegts::{TestSource, TestSourceConfig, TestSourceError};
use bilbycast_rtp::{RtpWrapper, SeqNo, Ssrc};
use bilbycast_shm_proto::control::{ControlError, ControlErrorKind};
use bilbycast_shm_proto::model::{
    COLUMN_FEC_PORT_OFFSET, FecSpec, InputSpec, LEGS_MAX, OutputKind, OutputSpec,
    ROW_FEC_PORT_OFFSET, ReceiveSpec, RtpInputSpec, RtpOutputSpec, SendSpec,
};

use crate::flow::filter::IngressFilter;
use crate::flow::input::Input;
use crate::flow::output::{Form, Output, OutputFec, SendLeg};
use crate::flow::receiver::Receiver;
use crate::flow::repair::{LegReceivers, Repair};
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

/// Opens an input. Sockets in `spare` that were opened for the same are taken out and used again, so that no packet that
/// waits in one is lost and no group is left and joined.
///
/// # Errors
///
/// [`OpenError`]; what was taken out of `spare` is then in it again.
pub fn input(
    flow_id: &str,
    spec: &InputSpec,
    spare: &mut Vec<Receiver>,
) -> Result<Input, OpenError> {
    let receivers = receivers(flow_id, &receive_specs(spec), spare)?;
    let mut receivers = receivers.into_iter();
    Ok(match spec {
        InputSpec::Rtp(rtp) if is_plain(rtp) => match receivers.next() {
            None => Input::off(),
            Some(receiver) => {
                let filter = (!rtp.filter.is_open()).then(|| IngressFilter::new(&rtp.filter));
                Input::rtp(receiver, filter)
            }
        },
        InputSpec::Rtp(rtp) => {
            let legs = rtp.legs();
            let legs = legs.iter().take(leg_count(rtp)).map(|leg| {
                leg.and_then(|_| {
                    let media = receivers.next()?;
                    let fec = rtp
                        .fec
                        .and_then(|_| Some([receivers.next()?, receivers.next()?]));
                    Some(LegReceivers { media, fec })
                })
            });
            Input::repaired(Repair::new(rtp, legs))
        }
        InputSpec::Test(test) => Input::test(
            TestSource::new(&TestSourceConfig::new(test.bitrate_bps)).map_err(|source| {
                OpenError::TestSource {
                    flow_id: flow_id.to_owned(),
                    source,
                }
            })?,
        ),
        InputSpec::Udp(_) => receivers.next().map_or_else(Input::off, Input::udp),
    })
}

/// What the sockets of an input receive: of each leg that is switched on media, column FEC and row FEC.
#[must_use]
pub fn receive_specs(input: &InputSpec) -> Vec<ReceiveSpec> {
    let mut specs = Vec::new();
    match input {
        InputSpec::Rtp(rtp) => {
            for leg in rtp.legs().into_iter().flatten() {
                specs.push(leg.clone());
                if rtp.fec.is_some() {
                    for offset in [COLUMN_FEC_PORT_OFFSET, ROW_FEC_PORT_OFFSET] {
                        let mut fec = leg.clone();
                        fec.bind_addr = beside(leg.bind_addr, offset);
                        specs.push(fec);
                    }
                }
            }
        }
        InputSpec::Test(_) => {}
        InputSpec::Udp(udp) => specs.push(udp.receive.clone()),
    }
    specs
}

/// Opens a socket for each specification that none of `spare` was opened for; in the order of the specifications.
///
/// # Errors
///
/// [`OpenError::Input`]; what was taken out of `spare` is then in it again.
pub fn receivers(
    flow_id: &str,
    specs: &[ReceiveSpec],
    spare: &mut Vec<Receiver>,
) -> Result<Vec<Receiver>, OpenError> {
    let mut receivers = Vec::with_capacity(specs.len());
    for spec in specs {
        if let Some(index) = spare.iter().position(|spare| spare.spec() == spec) {
            receivers.push(spare.swap_remove(index));
            continue;
        }
        match ReceiveSocket::open(spec) {
            Ok(socket) => receivers.push(Receiver::new(socket, spec.clone())),
            Err(source) => {
                spare.append(&mut receivers);
                return Err(OpenError::Input {
                    flow_id: flow_id.to_owned(),
                    source,
                });
            }
        }
    }
    Ok(receivers)
}

/// Whether packets go on as they come, without a merge.
const fn is_plain(rtp: &RtpInputSpec) -> bool {
    rtp.redundancy.is_none() && rtp.fec.is_none()
}

const fn leg_count(rtp: &RtpInputSpec) -> usize {
    if rtp.redundancy.is_some() {
        LEGS_MAX
    } else {
        1
    }
}

/// The same address, some ports further on. The control plane leaves room for them.
fn beside(address: SocketAddr, offset: u16) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port().saturating_add(offset))
}

/// Whether the packets of an input have RTP headers.
#[must_use]
pub const fn comes_as_rtp(input: &InputSpec) -> bool {
    matches!(input, InputSpec::Rtp(_))
}

/// Opens an output of a flow with that input.
///
/// # Errors
///
/// [`OpenError::Output`].
pub fn output(flow_id: &str, input: &InputSpec, spec: &OutputSpec) -> Result<Output, OpenError> {
    let open = |send: &SendSpec| {
        SendSocket::open(send).map_err(|source| OpenError::Output {
            flow_id: flow_id.to_owned(),
            output_id: spec.id.clone(),
            source,
        })
    };
    let mut legs = Vec::new();
    let (form, fec) = match &spec.kind {
        OutputKind::Rtp(rtp) => {
            for send in rtp.legs.iter().flatten() {
                let media = open(send)?;
                let fec = match rtp.fec {
                    None => None,
                    Some(_) => {
                        let open_fec = |offset| open(&fec_send(send, offset));
                        Some([
                            open_fec(COLUMN_FEC_PORT_OFFSET)?,
                            open_fec(ROW_FEC_PORT_OFFSET)?,
                        ])
                    }
                };
                legs.push(SendLeg::new(media, fec));
            }
            (rtp_form(input, rtp), rtp.fec.and_then(|fec| encoder(&fec)))
        }
        OutputKind::Udp(udp) => {
            legs.push(SendLeg::new(open(&udp.send)?, None));
            (Form::Ts, None)
        }
    };
    Ok(if legs.is_empty() {
        Output::off(spec.clone())
    } else {
        Output::on(spec.clone(), form, legs, fec)
    })
}

fn rtp_form(input: &InputSpec, rtp: &RtpOutputSpec) -> Form {
    match rtp.payload_type {
        None if comes_as_rtp(input) => Form::AsReceived,
        Some(payload_type) if comes_as_rtp(input) => Form::Retyped(payload_type),
        chosen => {
            let payload_type = chosen.unwrap_or(rtp.wrap_payload_type);
            let [ssrc, first] = [random(), random()];
            let ssrc = Ssrc((ssrc & 0xffff_ffff) as u32);
            let first = SeqNo((first & 0xffff) as u16);
            Form::Wrapped(RtpWrapper::new(payload_type, ssrc, first))
        }
    }
}

/// Where FEC of a leg goes: from a port of the kernel's choice, for the leg's own is taken.
fn fec_send(media: &SendSpec, offset: u16) -> SendSpec {
    SendSpec {
        dest_addr: beside(media.dest_addr, offset),
        bind_addr: SocketAddr::new(media.bind_addr.ip(), 0),
        ..media.clone()
    }
}

fn encoder(fec: &FecSpec) -> Option<OutputFec> {
    let matrix = Matrix::new(fec.columns, fec.rows).ok()?;
    Some(OutputFec::new(EncoderConfig {
        matrix,
        dimensions: if fec.row_fec {
            Dimensions::ColumnAndRow
        } else {
            Dimensions::Column
        },
        layout: if fec.staircase {
            Layout::Staircase
        } else {
            Layout::BlockAligned
        },
        sequence_start: [random(), random()].map(|random| (random & 0xffff) as u16),
    }))
}

/// 64 bits that differ at each call and from run to run. They only keep streams and runs apart; nobody who guesses
/// them gains anything.
#[must_use]
pub fn random() -> u64 {
    RandomState::new().hash_one(0)
}
