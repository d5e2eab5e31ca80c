//! Which sockets of the node would want the same port (configuration.md 17).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::error::ConfigError;
use super::model::{
    AppConfig, FlowConfig, InputConfig, OutputConfig, OutputKindConfig, ReceiveConfig, SendConfig,
    SrtLegConfig, TunnelConfig, TunnelDirection, TunnelMode, TunnelProtocol,
};

/// Two sockets would want the same port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortConflict {
    /// The protocol of both.
    pub transport: Transport,
    /// Who comes first in the configuration; the listeners of the node come before all flows.
    pub first: Claim,
    /// Who comes second.
    pub second: Claim,
}

/// A socket that a configuration asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// For people: `flow 'main', input`.
    pub owner: String,
    /// The field that asks for it.
    pub field: &'static str,
    /// The address to bind.
    pub address: SocketAddr,
}

/// Protocols that count ports independently.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transport {
    /// TCP: the API, the status page, RTMP servers and tunnels.
    Tcp,
    /// UDP: flows and tunnels.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

impl fmt::Display for PortConflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            transport,
            first,
            second,
        } = self;
        write!(
            out,
            "{}: {} needs {transport} {}, which {} has already ({} {})",
            second.owner, second.field, second.address, first.owner, first.field, first.address
        )
    }
}

impl std::error::Error for PortConflict {}

/// Checks that no two sockets of the node would want the same port.
///
/// Compared are the API, the status page, and of every flow for which `counts` holds (those that are enabled or run)
/// the inputs with their FEC ports P + 2 and P + 4 and the outputs with a port of their own, on both legs, and the
/// tunnels that are enabled. A leg that is switched off binds nothing. A wildcard overlaps every address of its
/// family; port 0 never collides; joins of groups never collide with each other. Takes time in proportion to the
/// number of sockets, whatever they ask for.
///
/// # Errors
///
/// [`ConfigError::PortConflict`] for the first collision, in the order of the configuration.
pub fn check_ports(
    config: &AppConfig,
    counts: impl Fn(&FlowConfig) -> bool,
) -> Result<(), ConfigError> {
    let mut ports = Ports::default();
    let server = SocketAddr::new(config.server.listen_addr, config.server.listen_port);
    ports.claim(Transport::Tcp, Owner::Api, "listen_port", server)?;
    if let Some(monitor) = &config.monitor {
        let monitor = SocketAddr::new(monitor.listen_addr, monitor.listen_port);
        ports.claim(Transport::Tcp, Owner::Monitor, "listen_port", monitor)?;
    }
    for flow in config.flows.iter().filter(|flow| counts(flow)) {
        ports.claim_input(flow)?;
        for output in flow.outputs.iter().filter(|output| output.kind.is_on()) {
            ports.claim_output(flow, output)?;
        }
    }
    for tunnel in config.tunnels.iter().filter(|tunnel| tunnel.is_enabled()) {
        ports.claim_tunnel(tunnel)?;
    }
    Ok(())
}

/// Who asks, as references: a node may have a million outputs, and words are only needed for a collision.
#[derive(Clone, Copy)]
enum Owner<'a> {
    Api,
    Input(&'a FlowConfig, Leg),
    Monitor,
    Output(&'a FlowConfig, &'a OutputConfig, Leg),
    Tunnel(&'a TunnelConfig),
}

/// A leg of ST 2022-7.
#[derive(Clone, Copy)]
enum Leg {
    One,
    Two,
}

impl fmt::Display for Leg {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One => Ok(()),
            Self::Two => out.write_str(", redundancy"),
        }
    }
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api => out.write_str("server"),
            Self::Input(flow, leg) => write!(out, "{}, input{leg}", flow.owner()),
            Self::Monitor => out.write_str("monitor"),
            Self::Output(flow, output, leg) => {
                write!(out, "{}, {}{leg}", flow.owner(), output.owner())
            }
            Self::Tunnel(tunnel) => out.write_str(&tunnel.owner()),
        }
    }
}

#[derive(Clone, Copy)]
struct Asked<'a> {
    owner: Owner<'a>,
    field: &'static str,
    address: SocketAddr,
}

impl Asked<'_> {
    fn claim(self) -> Claim {
        Claim {
            owner: self.owner.to_string(),
            field: self.field,
            address: self.address,
        }
    }
}

/// What has been asked for so far.
#[derive(Default)]
struct Ports<'a> {
    /// By exact address; the scope tells link-local addresses of two interfaces apart.
    by_address: HashMap<(Transport, SocketAddr), Asked<'a>>,
    /// The first on a port, whatever its address, by the wildcard of its family: what a wildcard would overlap.
    by_port: HashMap<(Transport, SocketAddr), Asked<'a>>,
}

impl<'a> Ports<'a> {
    fn claim_input(&mut self, flow: &'a FlowConfig) -> Result<(), ConfigError> {
        if !flow.input.is_on() {
            return Ok(());
        }
        match &flow.input {
            InputConfig::Rtp(rtp) => {
                let fec = rtp.fec_decode.is_some();
                self.claim_receive(Owner::Input(flow, Leg::One), &rtp.receive, fec)?;
                match &rtp.redundancy {
                    Some(leg_2) => {
                        self.claim_receive(Owner::Input(flow, Leg::Two), &leg_2.receive, fec)
                    }
                    None => Ok(()),
                }
            }
            InputConfig::Rtmp(rtmp) => self.claim(
                Transport::Tcp,
                Owner::Input(flow, Leg::One),
                "listen_addr",
                rtmp.listen_addr,
            ),
            InputConfig::Srt(srt) => {
                let leg_2 = srt.redundancy.as_ref().map(|leg_2| &leg_2.leg);
                self.claim_srt(|leg| Owner::Input(flow, leg), &srt.leg, leg_2)
            }
            InputConfig::Rtsp(_)
            | InputConfig::Test(_)
            | InputConfig::Webrtc(_)
            | InputConfig::Whep(_) => Ok(()),
            InputConfig::Udp(udp) => {
                self.claim_receive(Owner::Input(flow, Leg::One), &udp.receive, false)
            }
        }
    }

    fn claim_receive(
        &mut self,
        owner: Owner<'a>,
        receive: &ReceiveConfig,
        fec: bool,
    ) -> Result<(), ConfigError> {
        if !receive.is_on() {
            return Ok(());
        }
        self.claim(Transport::Udp, owner, "bind_addr", receive.bind_addr)?;
        if fec {
            //= ST 2022-1 7: column FEC on the media port + 2, row FEC on the media port + 4.
            for offset in [2, 4] {
                let mut address = receive.bind_addr;
                // The parser keeps media ports with FEC low enough; a port past the end could not be bound anyway.
                let Some(port) = address.port().checked_add(offset) else {
                    continue;
                };
                address.set_port(port);
                self.claim(Transport::Udp, owner, "fec_decode", address)?;
            }
        }
        Ok(())
    }

    fn claim_output(
        &mut self,
        flow: &'a FlowConfig,
        output: &'a OutputConfig,
    ) -> Result<(), ConfigError> {
        let (leg_1, leg_2) = match &output.kind {
            OutputKindConfig::Rtp(rtp) => (&rtp.send, rtp.redundancy.as_ref()),
            OutputKindConfig::Srt(srt) => {
                let owner = |leg| Owner::Output(flow, output, leg);
                return self.claim_srt(owner, &srt.leg, srt.redundancy.as_ref());
            }
            OutputKindConfig::Udp(send) => (send, None),
            OutputKindConfig::Hls(_) | OutputKindConfig::Rtmp(_) | OutputKindConfig::Webrtc(_) => {
                return Ok(());
            }
        };
        self.claim_send(Owner::Output(flow, output, Leg::One), leg_1)?;
        match leg_2 {
            Some(leg_2) => self.claim_send(Owner::Output(flow, output, Leg::Two), leg_2),
            None => Ok(()),
        }
    }

    /// Every mode binds `local_addr`; that of a caller usually has port 0.
    fn claim_srt(
        &mut self,
        owner: impl Fn(Leg) -> Owner<'a>,
        leg_1: &SrtLegConfig,
        leg_2: Option<&SrtLegConfig>,
    ) -> Result<(), ConfigError> {
        for (leg, config) in [(Leg::One, Some(leg_1)), (Leg::Two, leg_2)] {
            if let Some(config) = config {
                self.claim(Transport::Udp, owner(leg), "local_addr", config.local_addr)?;
            }
        }
        Ok(())
    }

    fn claim_tunnel(&mut self, tunnel: &'a TunnelConfig) -> Result<(), ConfigError> {
        let owner = Owner::Tunnel(tunnel);
        let transport = match tunnel.protocol {
            TunnelProtocol::Tcp => Transport::Tcp,
            TunnelProtocol::Udp => Transport::Udp,
        };
        if tunnel.direction == TunnelDirection::Egress {
            return self.claim(transport, owner, "local_addr", tunnel.local_addr);
        }
        match tunnel.direct_listen_addr {
            // QUIC runs over UDP, whatever the tunnel carries.
            Some(address) if tunnel.mode == TunnelMode::Direct => {
                self.claim(Transport::Udp, owner, "direct_listen_addr", address)
            }
            _ => Ok(()),
        }
    }

    fn claim_send(&mut self, owner: Owner<'a>, send: &SendConfig) -> Result<(), ConfigError> {
        match send.bind_addr.filter(|_| send.is_on()) {
            Some(address) => self.claim(Transport::Udp, owner, "bind_addr", address),
            None => Ok(()),
        }
    }

    fn claim(
        &mut self,
        transport: Transport,
        owner: Owner<'a>,
        field: &'static str,
        address: SocketAddr,
    ) -> Result<(), ConfigError> {
        if address.port() == 0 {
            return Ok(());
        }
        let asked = Asked {
            owner,
            field,
            address,
        };
        let wildcard = wildcard_of(address);
        let earlier = if address.ip().is_unspecified() {
            self.by_port.get(&(transport, wildcard))
        } else {
            self.by_address.get(&(transport, wildcard))
        };
        let earlier = earlier.or_else(|| {
            let same = self.by_address.get(&(transport, address));
            same.filter(|_| !address.ip().is_multicast())
        });
        if let Some(earlier) = earlier {
            return Err(PortConflict {
                transport,
                first: earlier.claim(),
                second: asked.claim(),
            }
            .into());
        }
        for (map, key) in [
            (&mut self.by_address, address),
            (&mut self.by_port, wildcard),
        ] {
            if let Entry::Vacant(vacant) = map.entry((transport, key)) {
                vacant.insert(asked);
            }
        }
        Ok(())
    }
}

/// The wildcard that overlaps `address`.
const fn wildcard_of(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()),
        SocketAddr::V6(_) => SocketAddr::V6(SocketAddrV6::new(
            Ipv6Addr::UNSPECIFIED,
            address.port(),
            0,
            0,
        )),
    }
}
