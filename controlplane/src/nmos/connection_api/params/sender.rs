//! What a sender's leg is told.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value};

use super::super::constraints::Constraint;
use super::{
    Auto, Broken, COLUMN_FEC_OFFSET, FecDimensions, FecKind, Leg, PORT_AUTO, Parameter,
    ROW_FEC_OFFSET, Reach, check_fec_port, parameter,
};

/// Where a leg of an RTP output sends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SenderLeg {
    /// Address that packets leave from.
    pub source_ip: Auto<IpAddr>,
    /// Unicast or group.
    pub destination_ip: Auto<IpAddr>,
    /// Port that packets leave from; 0 leaves the choice to the kernel.
    pub source_port: Auto<u16>,
    /// Port that they go to.
    pub destination_port: Auto<u16>,
    /// Whether this leg sends.
    pub rtp_enabled: bool,
    /// ST 2022-1.
    pub fec: SenderFec,
}

/// FEC of an RTP output.
#[derive(Clone, Debug, PartialEq)]
pub struct SenderFec {
    /// Whether there is any.
    pub enabled: bool,
    /// Where it goes: where the media goes.
    pub destination_ip: Auto<IpAddr>,
    /// Its only kind.
    pub kind: FecKind,
    /// Columns alone, or rows too.
    pub mode: FecDimensions,
    /// L, 4-20.
    pub block_width: u8,
    /// D, 4-20.
    pub block_height: u8,
    /// Columns go to the media port + 2.
    pub column_destination_port: Auto<u16>,
    /// Rows go to the media port + 4.
    pub row_destination_port: Auto<u16>,
    /// Columns leave from the media port + 2.
    pub column_source_port: Auto<u16>,
    /// Rows leave from the media port + 4.
    pub row_source_port: Auto<u16>,
}

/// Block of FEC when nothing else is known: the largest square that ST 2022-1 allows.
pub(in super::super) const FEC_BLOCK_DEFAULT: u8 = 10;

impl Default for SenderFec {
    fn default() -> Self {
        Self {
            enabled: false,
            destination_ip: Auto::Auto,
            kind: FecKind::Xor,
            mode: FecDimensions::Two,
            block_width: FEC_BLOCK_DEFAULT,
            block_height: FEC_BLOCK_DEFAULT,
            column_destination_port: Auto::Auto,
            row_destination_port: Auto::Auto,
            column_source_port: Auto::Auto,
            row_source_port: Auto::Auto,
        }
    }
}

impl SenderLeg {
    const PARAMETERS: [Parameter<Self>; 15] = [
        parameter!("source_ip", source_ip),
        parameter!("destination_ip", destination_ip),
        parameter!("source_port", source_port),
        parameter!("destination_port", destination_port),
        parameter!("rtp_enabled", rtp_enabled),
        parameter!("fec_enabled", fec.enabled),
        parameter!("fec_destination_ip", fec.destination_ip),
        parameter!("fec_type", fec.kind),
        parameter!("fec_mode", fec.mode),
        parameter!("fec_block_width", fec.block_width),
        parameter!("fec_block_height", fec.block_height),
        parameter!("fec1D_destination_port", fec.column_destination_port),
        parameter!("fec2D_destination_port", fec.row_destination_port),
        parameter!("fec1D_source_port", fec.column_source_port),
        parameter!("fec2D_source_port", fec.row_source_port),
    ];

    /// An address of the family that the leg has; IPv4 when it names none.
    fn family(&self) -> IpAddr {
        let named = self.destination_ip.value();
        let named = named.or_else(|| self.source_ip.value());
        named.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl Leg for SenderLeg {
    const SIDE: &'static str = "sender";
    const PEER: &'static str = "receiver_id";
    const HAS_TRANSPORT_FILE: bool = false;

    fn parameters() -> &'static [Parameter<Self>] {
        const { &Self::PARAMETERS }
    }

    fn constraint(&self, parameter: &str, reach: &Reach) -> Constraint {
        match parameter {
            "source_ip" => Constraint::one_of(reach.addresses(self.family(), self.source_ip)),
            "destination_port" => Constraint::port(self.destination_port.value()),
            "source_port" | "fec1D_source_port" | "fec2D_source_port" => {
                Constraint::range(0, u16::MAX.into())
            }
            "fec1D_destination_port" | "fec2D_destination_port" => {
                Constraint::range(1, u16::MAX.into())
            }
            "fec_type" => Constraint::one_of(vec![Value::from("XOR")]),
            "fec_mode" => Constraint::one_of(vec![Value::from("1D"), Value::from("2D")]),
            "fec_block_width" | "fec_block_height" => Constraint::range(4, 20),
            _ => Constraint::default(),
        }
    }

    fn check(&self) -> Result<(), Broken> {
        if let Auto::Is(destination) = self.destination_ip {
            if !is_destination(destination) {
                let rule = format!("packets cannot be sent to {destination}");
                return Err(("destination_ip", rule));
            }
            if let Auto::Is(source) = self.source_ip
                && source.is_ipv4() != destination.is_ipv4()
            {
                let rule = format!(
                    "{source} is of another address family than destination_ip {destination}"
                );
                return Err(("source_ip", rule));
            }
        }
        if let Auto::Is(fec) = self.fec.destination_ip
            && self.destination_ip != Auto::Is(fec)
        {
            let rule = format!("{fec} is not allowed: FEC goes where the media goes, or \"auto\"");
            return Err(("fec_destination_ip", rule));
        }
        let (fec, to, from) = (&self.fec, self.destination_port, self.source_port);
        check_fec_port(
            "fec1D_destination_port",
            fec.column_destination_port,
            to,
            COLUMN_FEC_OFFSET,
        )?;
        check_fec_port(
            "fec2D_destination_port",
            fec.row_destination_port,
            to,
            ROW_FEC_OFFSET,
        )?;
        check_fec_port(
            "fec1D_source_port",
            fec.column_source_port,
            from,
            COLUMN_FEC_OFFSET,
        )?;
        check_fec_port(
            "fec2D_source_port",
            fec.row_source_port,
            from,
            ROW_FEC_OFFSET,
        )?;
        if self.fec.enabled && self.destination_port.or(PORT_AUTO) > u16::MAX - ROW_FEC_OFFSET {
            let rule = "with FEC the port is at most 65531, for row FEC has that port + 4";
            return Err(("destination_port", rule.to_owned()));
        }
        Ok(())
    }

    fn follow_port(&mut self, changed: &Map<String, Value>) {
        let is_stale =
            |cause: &str, port: &str| changed.contains_key(cause) && !changed.contains_key(port);
        for (cause, name, port) in [
            (
                "destination_port",
                "fec1D_destination_port",
                &mut self.fec.column_destination_port,
            ),
            (
                "destination_port",
                "fec2D_destination_port",
                &mut self.fec.row_destination_port,
            ),
            (
                "source_port",
                "fec1D_source_port",
                &mut self.fec.column_source_port,
            ),
            (
                "source_port",
                "fec2D_source_port",
                &mut self.fec.row_source_port,
            ),
        ] {
            if is_stale(cause, name) {
                *port = Auto::Auto;
            }
        }
        if is_stale("destination_ip", "fec_destination_ip") {
            self.fec.destination_ip = Auto::Auto;
        }
    }
}

fn is_destination(address: IpAddr) -> bool {
    !address.is_unspecified() && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}
