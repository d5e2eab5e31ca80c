//! From the configuration to what the data plane runs: defaults filled in, and nothing asked for that it cannot do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bilbycast_shm_proto::model::{
    DSCP_DEFAULT, FlowSpec, InputSpec, OutputKind, OutputSpec, ReceiveSpec, RtpInputSpec,
    RtpOutputSpec, SendSpec, TestInputSpec, UdpInputSpec, UdpOutputSpec,
};

use super::error::{ConfigError, FieldError, Place, Problem};
use super::model::{
    FlowConfig, InputConfig, OutputConfig, OutputKindConfig, ReceiveConfig, RtpInputConfig,
    RtpOutputConfig, SendConfig, TestInputConfig,
};

/// The flow as the data plane runs it; `wrap_payload_type` is [`super::AppConfig::wrap_payload_type`].
///
/// # Errors
///
/// [`ConfigError::Field`] with [`Problem::Unsupported`] or [`Problem::UnsupportedType`] for what is legal and the data
/// plane cannot carry out: a flow that silently did not filter, repair or protect would look like one that does.
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
        InputConfig::Rtp(rtp) => {
            let RtpInputConfig {
                receive,
                fec_decode,
                tr07_mode,
                allowed_sources,
                allowed_payload_types,
                max_bitrate_mbps,
                redundancy,
                master_enable: _,
            } = rtp.as_ref();
            let unsupported = [
                ("fec_decode", fec_decode.is_some()),
                ("allowed_sources", allowed_sources.is_some()),
                ("allowed_payload_types", allowed_payload_types.is_some()),
                ("max_bitrate_mbps", max_bitrate_mbps.is_some()),
                ("redundancy", redundancy.is_some()),
            ];
            refuse(&unsupported, || place("input"))?;
            InputSpec::Rtp(RtpInputSpec {
                receive: receive_spec(receive),
                enabled: input.is_on(),
                tr07_mode: tr07_mode.unwrap_or(false),
            })
        }
        InputConfig::Test(test) => InputSpec::Test(test_spec(test)),
        InputConfig::Udp(udp) => InputSpec::Udp(UdpInputSpec {
            receive: receive_spec(&udp.receive),
        }),
        InputConfig::Rtmp(_)
        | InputConfig::Rtsp(_)
        | InputConfig::Srt(_)
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
        OutputKindConfig::Rtp(rtp) => {
            let RtpOutputConfig {
                send,
                fec_encode,
                redundancy,
                payload_type,
                master_enable: _,
            } = rtp.as_ref();
            let unsupported = [
                ("fec_encode", fec_encode.is_some()),
                ("redundancy", redundancy.is_some()),
            ];
            refuse(&unsupported, place)?;
            OutputKind::Rtp(RtpOutputSpec {
                send: send_spec(send),
                payload_type: *payload_type,
                wrap_payload_type: payload_type.unwrap_or(wrap_payload_type),
                enabled: output.kind.is_on(),
            })
        }
        OutputKindConfig::Udp(send) => OutputKind::Udp(UdpOutputSpec {
            send: send_spec(send),
        }),
        OutputKindConfig::Hls(_)
        | OutputKindConfig::Rtmp(_)
        | OutputKindConfig::Srt(_)
        | OutputKindConfig::Webrtc(_) => {
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

fn refuse(fields: &[(&str, bool)], place: impl Fn() -> Place) -> Result<(), ConfigError> {
    match fields.iter().find(|(_, is_asked)| *is_asked) {
        None => Ok(()),
        Some((field, _)) => Err(FieldError {
            place: place(),
            field: (*field).to_owned(),
            problem: Problem::Unsupported,
        }
        .into()),
    }
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
    let bitrate_bps = test.bitrate_mbps.map_or(TEST_BPS_DEFAULT, |mbps| {
        // The parser keeps it between 0.3 and 10,000 Mb/s, and a cast from a float cannot overflow but only saturate.
        (mbps * 1e6).round() as u64
    });
    TestInputSpec { bitrate_bps }
}
