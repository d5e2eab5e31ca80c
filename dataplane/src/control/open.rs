//! From a specification to an input and outputs with open sockets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;

use aws_lc_rs::rand;
use bilbycast_fec::{Dimensions, EncoderConfig, Layout, Matrix};
use bilbycast_mpegts::{TestSource, TestSourceConfig, TestSourceError};
use bilbycast_rtp::{RtpWrapper, SeqNo, Ssrc};
use bilbycast_shm_proto::control::{ControlError, ControlErrorKind};
use bilbycast_shm_proto::model::{
    COLUMN_FEC_PORT_OFFSET, FecSpec, InputSpec, LEGS_MAX, OutputKind, OutputSpec,
    ROW_FEC_PORT_OFFSET, RtpInputSpec, RtpOutputSpec, SendSpec, SrtLegSpec,
};

use crate::flow::filter::IngressFilter;
use crate::flow::input::Input;
use crate::flow::output::{Form, Output, OutputFec, SendLeg, SrtOutput};
use crate::flow::receiver::Receiver;
use crate::flow::repair::{LegReceivers, Repair};
use crate::flow::socket::{InputSocket, SocketSpec};
use crate::flow::srt_input::SrtInput;
use crate::net::clock;
use crate::net::socket::{DuplexSocket, ReceiveSocket, SendSocket, SocketError};
use crate::srt::leg::SrtLeg;
use crate::srt::settings::LegSettingsError;

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
        source: LegError,
    },
    /// An output's socket.
    #[error("flow '{flow_id}', output '{output_id}': {source}")]
    Output {
        /// The flow.
        flow_id: String,
        /// The output.
        output_id: String,
        /// What is wrong.
        source: LegError,
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

/// Why a leg could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LegError {
    /// The system has no randomness to give.
    #[error("no random numbers from the system")]
    Random,
    /// The socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// What SRT is to do.
    #[error(transparent)]
    Srt(#[from] LegSettingsError),
}

impl LegError {
    fn is_address_in_use(&self) -> bool {
        matches!(self, Self::Socket(error) if error.is_address_in_use())
    }
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
        let kind = match &error {
            OpenError::Input { source, .. } | OpenError::Output { source, .. } => match source {
                LegError::Socket(_) => ControlErrorKind::Bind,
                LegError::Random => ControlErrorKind::Resources,
                LegError::Srt(_) => ControlErrorKind::Unsupported,
            },
            OpenError::TestSource { .. } => ControlErrorKind::Unsupported,
        };
        Self::new(kind, error.to_string())
    }
}

/// Opens an input. Sockets in `spare` that were opened for the same are taken out and used again, so that no packet that
/// waits in one is lost, no group is left and joined, and no connection is made anew.
///
/// # Errors
///
/// [`OpenError`]; what was taken out of `spare` is then in it again.
pub fn input(
    flow_id: &str,
    spec: &InputSpec,
    spare: &mut Vec<InputSocket>,
) -> Result<Input, OpenError> {
    let mut sockets = sockets(flow_id, &socket_specs(spec), spare)?.into_iter();
    let mut plain = || sockets.next().and_then(InputSocket::into_plain);
    Ok(match spec {
        InputSpec::Rtp(rtp) if is_plain(rtp) => match plain() {
            None => Input::off(),
            Some(receiver) => {
                let filter = (!rtp.filter.is_open()).then(|| IngressFilter::new(&rtp.filter));
                Input::rtp(receiver, filter)
            }
        },
        InputSpec::Rtp(rtp) => {
            let legs = rtp.legs();
            let legs: Vec<Option<LegReceivers>> = legs
                .iter()
                .take(leg_count(rtp))
                .map(|leg| {
                    leg.and_then(|_| {
                        let media = plain()?;
                        let fec = rtp.fec.and_then(|_| Some([plain()?, plain()?]));
                        Some(LegReceivers { media, fec })
                    })
                })
                .collect();
            if legs.iter().all(Option::is_none) {
                Input::off()
            } else {
                Input::repaired(Repair::new(rtp, legs))
            }
        }
        InputSpec::Srt(srt) => {
            let legs = sockets.filter_map(InputSocket::into_srt).collect();
            Input::srt(SrtInput::new(srt, legs))
        }
        InputSpec::Test(test) => Input::test(
            TestSource::new(&TestSourceConfig::new(test.bitrate_bps)).map_err(|source| {
                OpenError::TestSource {
                    flow_id: flow_id.to_owned(),
                    source,
                }
            })?,
        ),
        InputSpec::Udp(_) => plain().map_or_else(Input::off, Input::udp),
    })
}

/// What the sockets of an input are for: of each RTP leg that is switched on media, column FEC and row FEC.
#[must_use]
pub fn socket_specs(input: &InputSpec) -> Vec<SocketSpec> {
    let mut specs = Vec::new();
    match input {
        InputSpec::Rtp(rtp) => {
            for leg in rtp.legs().into_iter().flatten() {
                specs.push(SocketSpec::Plain(leg.clone()));
                if rtp.fec.is_some() {
                    for offset in [COLUMN_FEC_PORT_OFFSET, ROW_FEC_PORT_OFFSET] {
                        let mut fec = leg.clone();
                        fec.bind_addr = beside(leg.bind_addr, offset);
                        specs.push(SocketSpec::Plain(fec));
                    }
                }
            }
        }
        InputSpec::Srt(srt) => {
            let legs = srt.legs().cloned();
            specs.extend(legs.map(|leg| SocketSpec::Srt(Box::new(leg))));
        }
        InputSpec::Test(_) => {}
        InputSpec::Udp(udp) => specs.push(SocketSpec::Plain(udp.receive.clone())),
    }
    specs
}

/// Opens a socket for each specification that none of `spare` was opened for; in the order of the specifications.
///
/// # Errors
///
/// [`OpenError`]; what was taken out of `spare` is then in it again.
pub fn sockets(
    flow_id: &str,
    specs: &[SocketSpec],
    spare: &mut Vec<InputSocket>,
) -> Result<Vec<InputSocket>, OpenError> {
    let mut sockets = Vec::with_capacity(specs.len());
    for spec in specs {
        if let Some(index) = spare.iter().position(|spare| spare.is_for(spec)) {
            sockets.push(spare.swap_remove(index));
            continue;
        }
        let opened = match spec {
            SocketSpec::Plain(receive) => ReceiveSocket::open(receive)
                .map(|socket| InputSocket::Plain(Receiver::new(socket, receive.clone())))
                .map_err(LegError::from),
            SocketSpec::Srt(leg) => {
                srt_leg(leg, false, specs.len() > 1).map(|leg| InputSocket::Srt(Box::new(leg)))
            }
        };
        match opened {
            Ok(socket) => sockets.push(socket),
            Err(source) => {
                spare.append(&mut sockets);
                return Err(OpenError::Input {
                    flow_id: flow_id.to_owned(),
                    source,
                });
            }
        }
    }
    Ok(sockets)
}

fn srt_leg(spec: &SrtLegSpec, sends: bool, carries_rtp: bool) -> Result<SrtLeg, LegError> {
    let mut secret = [0; 32];
    rand::fill(&mut secret).map_err(|_| LegError::Random)?;
    let socket = DuplexSocket::open(spec.local_addr, spec.ip_tos, spec.ip_ttl)?;
    let now_ns = clock::monotonic_ns();
    let leg = SrtLeg::new(spec.clone(), socket, sends, carries_rtp, now_ns, &secret)?;
    Ok(leg)
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
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// Some may.
    Either,
    /// None has.
    Raw,
    /// All have.
    Rtp,
}

/// Whether the packets of an input have RTP headers.
#[must_use]
pub const fn framing(input: &InputSpec) -> Framing {
    match input {
        InputSpec::Rtp(_) => Framing::Rtp,
        InputSpec::Srt(_) => Framing::Either,
        InputSpec::Test(_) | InputSpec::Udp(_) => Framing::Raw,
    }
}

/// Opens an output of a flow with that input.
///
/// # Errors
///
/// [`OpenError::Output`].
pub fn output(flow_id: &str, input: &InputSpec, spec: &OutputSpec) -> Result<Output, OpenError> {
    let fail = |source| OpenError::Output {
        flow_id: flow_id.to_owned(),
        output_id: spec.id.clone(),
        source,
    };
    let open = |send: &SendSpec| SendSocket::open(send).map_err(|source| fail(source.into()));
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
        OutputKind::Srt(srt) => {
            let carries_rtp = srt.redundancy.is_some();
            let legs = srt
                .legs()
                .map(|leg| srt_leg(leg, true, carries_rtp).map_err(fail))
                .collect::<Result<_, _>>()?;
            let wrapper = carries_rtp.then(|| wrapper(srt.wrap_payload_type));
            return Ok(Output::srt(spec.clone(), SrtOutput::new(legs, wrapper)));
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
    let payload_type = rtp.payload_type;
    let wrapper = || wrapper(payload_type.unwrap_or(rtp.wrap_payload_type));
    match framing(input) {
        Framing::Raw => Form::Wrapped(wrapper()),
        Framing::Rtp => payload_type.map_or(Form::AsReceived, Form::Retyped),
        Framing::Either => Form::Either {
            wrapper: wrapper(),
            payload_type,
        },
    }
}

fn wrapper(payload_type: u8) -> RtpWrapper {
    let [ssrc, first] = [random(), random()];
    let ssrc = Ssrc((ssrc & 0xffff_ffff) as u32);
    let first = SeqNo((first & 0xffff) as u16);
    RtpWrapper::new(payload_type, ssrc, first)
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
