//! From the configuration to what the data plane runs: defaults filled in, and nothing asked for that it cannot do.

mod srt;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bilbycast_shm_proto::model::{
    BandwidthLimitSpec, DSCP_DEFAULT, FecSpec, FlowSpec, IngressFilterSpec, InputSpec, OutputKind,
    OutputSpec, ReceiveSpec, RtpInputRedundancySpec, RtpInputSpec, RtpOutputSpec, SendSpec,
    TestInputSpec, UdpInputSpec, UdpOutputSpec,
};

use super::error::{ConfigError, FieldError, Place, Problem};
use super::model::{
    BandwidthLimitConfig, FecConfig, FecLayout, FecMode, FlowConfig, InputConfig, OutputConfig,
    OutputKindConfig, ReceiveConfig, RtpInputConfig, RtpOutputConfig, SendConfig, TestInputConfig,
};

/// The flow as the data plane runs it; `wrap_payload_type` is [`super::AppConfig::wrap_payload_type`].
///
/// # Errors
///
/// [`ConfigError::Field`] with [`Problem::UnsupportedType`] for what is legal and the data plane cannot carry out.
pub fn flow_spec(flow: &FlowConfig, wrap_payload_type: u8) -> Result<FlowSpec, ConfigError> {
    let place = Place {
        owner: flow.owner(),
        path: String::new(),
    };
    let outputs = flow.outputs.iter().enumerate().map(|(index, output)| {
        let place = || place.inside(&format!("outputs[{index}]"), &output.owner());
        output_spec(output, wrap_payload_type, place)
    });
    Ok(FlowSpec {
        id: flow.id.clone(),
        media_analysis: flow.media_analysis,
        bandwidth_limit: flow.bandwidth_limit.as_ref().map(bandwidth_limit_spec),
        input: input_spec(&flow.input, |owner| place.inside("input", owner))?,
        outputs: outputs.collect::<Result<_, _>>()?,
    })
}

/// Rate of the test source when the configuration names none, in bits per second.
const TEST_BPS_DEFAULT: u64 = 10_000_000;

fn input_spec(
    input: &InputConfig,
    place: impl Fn(&str) -> Place,
) -> Result<InputSpec, ConfigError> {
    Ok(match input {
        InputConfig::Rtp(rtp) => InputSpec::Rtp(rtp_input_spec(rtp)),
        InputConfig::Test(test) => InputSpec::Test(test_spec(test)),
        InputConfig::Udp(udp) => InputSpec::Udp(UdpInputSpec {
            receive: receive_spec(&udp.receive),
        }),
        InputConfig::Srt(config) => InputSpec::Srt(Box::new(srt::input_spec(config))),
        InputConfig::Rtmp(_)
        | InputConfig::Rtsp(_)
        | InputConfig::Webrtc(_)
        | InputConfig::Whep(_) => {
            return Err(cannot_run("input", input.type_name(), place("")));
        }
    })
}

fn output_spec(
    output: &OutputConfig,
    wrap_payload_type: u8,
    place: impl Fn() -> Place,
) -> Result<OutputSpec, ConfigError> {
    let kind = match &output.kind {
        OutputKindConfig::Rtp(rtp) => OutputKind::Rtp(rtp_output_spec(rtp, wrap_payload_type)),
        OutputKindConfig::Udp(send) => OutputKind::Udp(UdpOutputSpec {
            send: send_spec(send),
        }),
        OutputKindConfig::Srt(config) => {
            OutputKind::Srt(Box::new(srt::output_spec(config, wrap_payload_type)))
        }
        OutputKindConfig::Hls(_) | OutputKindConfig::Rtmp(_) | OutputKindConfig::Webrtc(_) => {
            return Err(cannot_run("output", output.kind.type_name(), place()));
        }
    };
    Ok(OutputSpec {
        id: output.id.clone(),
        kind,
    })
}

fn cannot_run(of: &'static str, type_name: &'static str, place: Place) -> ConfigError {
    FieldError {
        place,
        field: "type".to_owned(),
        problem: Problem::UnsupportedType { of, type_name },
    }
    .into()
}

fn rtp_input_spec(rtp: &RtpInputConfig) -> RtpInputSpec {
    let RtpInputConfig {
        receive,
        fec_decode,
        tr07_mode,
        allowed_sources,
        allowed_payload_types,
        max_bitrate_mbps,
        redundancy,
        master_enable,
    } = rtp;
    let is_on = master_enable.unwrap_or(true);
    let leg = |leg: &ReceiveConfig| (is_on && leg.is_on()).then(|| receive_spec(leg));
    RtpInputSpec {
        receive: leg(receive),
        redundancy: redundancy
            .as_ref()
            .map(|redundancy| RtpInputRedundancySpec {
                receive: leg(&redundancy.receive),
                path_differential_ms: redundancy
                    .path_differential_ms
                    .unwrap_or(PATH_DIFFERENTIAL_MS_DEFAULT),
            }),
        fec: fec_decode.as_ref().map(fec_spec),
        filter: IngressFilterSpec {
            sources: allowed_sources
                .as_ref()
                .map(|ranges| ranges.iter().map(|range| range.prefix()).collect()),
            payload_types: allowed_payload_types.clone(),
            max_bps: max_bitrate_mbps.map(bps),
        },
        tr07_mode: tr07_mode.unwrap_or(false),
    }
}

/// Merge buffer of ST 2022-7 when the configuration names none: skew class B.
pub const PATH_DIFFERENTIAL_MS_DEFAULT: u32 = 50;

fn rtp_output_spec(rtp: &RtpOutputConfig, wrap_payload_type: u8) -> RtpOutputSpec {
    let RtpOutputConfig {
        send,
        fec_encode,
        redundancy,
        payload_type,
        master_enable,
    } = rtp;
    let is_on = master_enable.unwrap_or(true);
    let leg = |leg: &SendConfig| (is_on && leg.is_on()).then(|| send_spec(leg));
    let second = redundancy.as_ref().map(|second| SendConfig {
        dscp: second.dscp.or(send.dscp),
        ..second.clone()
    });
    RtpOutputSpec {
        legs: [leg(send), second.as_ref().and_then(leg)],
        payload_type: *payload_type,
        wrap_payload_type: payload_type.unwrap_or(wrap_payload_type),
        fec: fec_encode.as_ref().map(fec_spec),
    }
}

fn fec_spec(fec: &FecConfig) -> FecSpec {
    let mode = fec.mode.unwrap_or(if fec.columns == 1 {
        // A row of one packet protects it by a copy.
        FecMode::OneDimensional
    } else {
        FecMode::TwoDimensional
    });
    FecSpec {
        columns: fec.columns,
        rows: fec.rows,
        row_fec: mode == FecMode::TwoDimensional,
        staircase: fec.layout == Some(FecLayout::Staircase),
    }
}

fn bandwidth_limit_spec(limit: &BandwidthLimitConfig) -> BandwidthLimitSpec {
    BandwidthLimitSpec {
        max_bps: bps(limit.max_bitrate_mbps),
        action: limit.action,
        grace_secs: limit.grace_period_secs.unwrap_or(GRACE_SECS_DEFAULT),
    }
}

const GRACE_SECS_DEFAULT: u32 = 5;

/// The parser keeps rates between 1 b/s and 10,000 Mb/s, and a cast from a float cannot overflow but only saturate.
fn bps(mbps: f64) -> u64 {
    (mbps * 1e6).round() as u64
}

fn receive_spec(receive: &ReceiveConfig) -> ReceiveSpec {
    ReceiveSpec {
        bind_addr: receive.bind_addr,
        interface_addr: receive.interface_addr,
        source_addr: receive.source_addr,
    }
}

fn send_spec(send: &SendConfig) -> SendSpec {
    SendSpec {
        dest_addr: send.dest_addr,
        bind_addr: send
            .bind_addr
            .unwrap_or_else(|| any_address(send.dest_addr)),
        interface_addr: send.interface_addr,
        dscp: send.dscp.unwrap_or(DSCP_DEFAULT),
    }
}

/// The unspecified address of the family of `dest_addr`, and port 0.
const fn any_address(dest_addr: SocketAddr) -> SocketAddr {
    let address = match dest_addr {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(address, 0)
}

fn test_spec(test: &TestInputConfig) -> TestInputSpec {
    TestInputSpec {
        bitrate_bps: test.bitrate_mbps.map_or(TEST_BPS_DEFAULT, bps),
    }
}
