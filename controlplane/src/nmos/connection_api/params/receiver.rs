//! What a receiver's leg is told.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value};

use super::super::constraints::Constraint;
use super::{
    Auto, Broken, COLUMN_FEC_OFFSET, FecDimensions, Leg, PORT_AUTO, Parameter, ROW_FEC_OFFSET,
    Reach, check_fec_port, parameter,
};

/// What a leg of an RTP input receives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiverLeg {
    /// The only source that may send; absent: any.
    pub source_ip: Option<IpAddr>,
    /// The group; absent: unicast.
    pub multicast_ip: Option<IpAddr>,
    /// Address of the interface.
    pub interface_ip: Auto<IpAddr>,
    /// Port that packets come to.
    pub destination_port: Auto<u16>,
    /// Whether this leg receives.
    pub rtp_enabled: bool,
    /// ST 2022-1.
    pub fec: ReceiverFec,
}

/// FEC of an RTP input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiverFec {
    /// Whether it is listened to.
    pub enabled: bool,
    /// Where it comes to: where the media comes to.
    pub destination_ip: Auto<IpAddr>,
    /// What is expected; what comes is used, whatever it is.
    pub mode: Auto<FecDimensions>,
    /// Columns come to the media port + 2.
    pub column_destination_port: Auto<u16>,
    /// Rows come to the media port + 4.
    pub row_destination_port: Auto<u16>,
}

impl ReceiverLeg {
    const PARAMETERS: [Parameter<Self>; 10] = [
        parameter!("source_ip", source_ip),
        parameter!("multicast_ip", multicast_ip),
        parameter!("interface_ip", interface_ip),
        parameter!("destination_port", destination_port),
        parameter!("rtp_enabled", rtp_enabled),
        parameter!("fec_enabled", fec.enabled),
        parameter!("fec_destination_ip", fec.destination_ip),
        parameter!("fec_mode", fec.mode),
        parameter!("fec1D_destination_port", fec.column_destination_port),
        parameter!("fec2D_destination_port", fec.row_destination_port),
    ];

    /// An address of the family that the leg has; IPv4 when it names none.
    pub(in super::super) fn family(&self) -> IpAddr {
        let named = self.multicast_ip.or_else(|| self.interface_ip.value());
        let named = named.or(self.source_ip);
        named.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl Leg for ReceiverLeg {
    const SIDE: &'static str = "receiver";
    const PEER: &'static str = "sender_id";
    const HAS_TRANSPORT_FILE: bool = true;

    fn parameters() -> &'static [Parameter<Self>] {
        const { &Self::PARAMETERS }
    }

    fn constraint(&self, parameter: &str, reach: &Reach) -> Constraint {
        match parameter {
            "interface_ip" => Constraint::one_of(reach.addresses(self.family(), self.interface_ip)),
            "destination_port" => Constraint::port(self.destination_port.value()),
            "fec1D_destination_port" | "fec2D_destination_port" => {
                Constraint::range(1, u16::MAX.into())
            }
            "fec_mode" => Constraint::one_of(vec![Value::from("1D"), Value::from("2D")]),
            _ => Constraint::default(),
        }
    }

    fn check(&self) -> Result<(), Broken> {
        if let Some(group) = self.multicast_ip
            && !group.is_multicast()
        {
            return Err(("multicast_ip", format!("{group} is not a multicast group")));
        }
        if let Some(source) = self.source_ip
            && (source.is_multicast() || source.is_unspecified())
        {
            return Err((
                "source_ip",
                format!("{source} is not the address of a source"),
            ));
        }
        let family = self.family();
        for (parameter, address) in [
            ("interface_ip", self.interface_ip.value()),
            ("source_ip", self.source_ip),
        ] {
            if let Some(address) = address.filter(|address| address.is_ipv4() != family.is_ipv4()) {
                let rule = format!("{address} is of another address family than {family}");
                return Err((parameter, rule));
            }
        }
        let media = self.multicast_ip.map_or(self.interface_ip, Auto::Is);
        if let Auto::Is(fec) = self.fec.destination_ip
            && media != Auto::Is(fec)
        {
            let rule =
                format!("{fec} is not allowed: FEC comes where the media comes, or \"auto\"");
            return Err(("fec_destination_ip", rule));
        }
        let port = self.destination_port;
        check_fec_port(
            "fec1D_destination_port",
            self.fec.column_destination_port,
            port,
            COLUMN_FEC_OFFSET,
        )?;
        check_fec_port(
            "fec2D_destination_port",
            self.fec.row_destination_port,
            port,
            ROW_FEC_OFFSET,
        )?;
        if self.fec.enabled && port.or(PORT_AUTO) > u16::MAX - ROW_FEC_OFFSET {
            let rule = "with FEC the port is at most 65531, for row FEC has that port + 4";
            return Err(("destination_port", rule.to_owned()));
        }
        Ok(())
    }

    fn follow_port(&mut self, changed: &Map<String, Value>) {
        let is_stale = |causes: &[&str], name: &str| {
            causes.iter().any(|cause| changed.contains_key(*cause)) && !changed.contains_key(name)
        };
        if is_stale(&["destination_port"], "fec1D_destination_port") {
            self.fec.column_destination_port = Auto::Auto;
        }
        if is_stale(&["destination_port"], "fec2D_destination_port") {
            self.fec.row_destination_port = Auto::Auto;
        }
        if is_stale(&["multicast_ip", "interface_ip"], "fec_destination_ip") {
            self.fec.destination_ip = Auto::Auto;
        }
    }
}
