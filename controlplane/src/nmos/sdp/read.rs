//! What a receiver is told.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{
    Attribute, Connection, Group, GroupSemantics, Media, Mid, ParserError, RtpMap, Session,
    SourceFilter, SourceFilterAddress, SourceFilterDestination, SourceFilterMode, SsrcGroup,
    TypedAttribute,
};

use super::{Offer, OfferedLeg};

/// Longest description that is read, in bytes; one of two legs has about 600.
pub const SDP_BYTES_MAX: usize = 64 << 10;

/// Why a description names no stream that can be received here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// An attribute is not written as its standard says.
    #[error("{0}")]
    Attribute(#[from] sdp_types::AttributeError),
    /// It describes something else.
    #[error("no media section carries MP2T/90000")]
    NoStream,
    /// It is not SDP.
    #[error("it is not SDP: {0}")]
    Syntax(#[from] ParserError),
    /// It is too long.
    #[error("it has {0} bytes, {SDP_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// A part of it that this node cannot follow; the text names the part.
    #[error("{0}")]
    Unusable(String),
}

/// The stream that `text` describes.
///
/// Media sections of MPEG-TS are legs: those of the `DUP` group where there is one, else all of them. Sections of FEC
/// belong to the leg with the same address, on whose port + 2 or + 4 they have to be. Other sections are ignored, and
/// so is one with port 0, which RFC 3264 calls rejected.
///
/// # Errors
///
/// [`SdpError`]: it is not SDP, has no section of MPEG-TS or more than two, or a leg has no usable address, FEC on
/// other ports, a filter of excluded sources, or several sources.
pub fn read(text: &str) -> Result<Offer, SdpError> {
    if text.len() > SDP_BYTES_MAX {
        return Err(SdpError::TooLong(text.len()));
    }
    let session = Session::parse(text.as_bytes())?;
    let usable = session.medias.iter().filter(|media| media.port != 0);
    let streams: Vec<_> = usable
        .clone()
        .filter_map(|media| Some((media, payload_type(media, is_mp2t)?)))
        .collect();
    let streams = legs_of(&session, streams)?;
    let mut legs = Vec::with_capacity(LEGS_MAX);
    for (media, payload_type) in streams {
        let leg = leg(&session, media, payload_type)?;
        for source in sources(&session, media, leg.destination.ip())? {
            legs.push(OfferedLeg { source, ..leg });
        }
    }
    match legs.len() {
        0 => return Err(SdpError::NoStream),
        1..=LEGS_MAX => {}
        many => return Err(unusable(format!("{many} legs, a stream has one or two"))),
    }
    for media in usable.filter(|media| payload_type(media, is_fec).is_some()) {
        attach_fec(&session, media, &mut legs)?;
    }
    Ok(Offer { legs })
}

/// Legs of one stream (SMPTE ST 2022-7).
const LEGS_MAX: usize = 2;

/// Payload type of MPEG-TS that needs no `rtpmap` (RFC 3551, table 5).
const STATIC_MP2T: u8 = 33;

/// The sections that are legs of one stream, in order.
fn legs_of<'a>(
    session: &Session,
    streams: Vec<(&'a Media, u8)>,
) -> Result<Vec<(&'a Media, u8)>, SdpError> {
    let Some(group) = duplication(session)? else {
        return Ok(streams);
    };
    let mut legs = Vec::with_capacity(group.mid_tags.len());
    for name in group.mid_tags.iter().filter(|name| !name.is_empty()) {
        let named = |(media, _): &&(&Media, u8)| {
            let mid = media.get_first_attribute_value(Mid::NAME).flatten();
            mid == Some(name.as_str())
        };
        // One that carries FEC or was rejected is no leg.
        legs.extend(streams.iter().find(named).copied());
    }
    Ok(legs)
}

fn duplication(session: &Session) -> Result<Option<Group>, SdpError> {
    for group in session.attributes_typed::<Group>() {
        let group = group?;
        if is_duplication(&group.semantics) {
            return Ok(Some(group));
        }
    }
    Ok(None)
}

/// RFC 7104.
fn is_duplication(semantics: &GroupSemantics) -> bool {
    semantics.as_str().eq_ignore_ascii_case("DUP")
}

/// The first payload type of the section whose encoding `is_wanted`.
fn payload_type(media: &Media, is_wanted: impl Fn(&RtpMap) -> bool) -> Option<u8> {
    let mut formats = media.fmt.split_ascii_whitespace();
    formats.find_map(|format| {
        let payload_type = format.parse::<u8>().ok()?;
        let mut maps = media.attributes_typed::<RtpMap>().flatten();
        let map = maps.find(|map| map.payload_type == payload_type);
        let map = map.or_else(|| {
            let is_static = payload_type == STATIC_MP2T;
            is_static.then(|| RtpMap::new(STATIC_MP2T, MP2T, RTP_CLOCK))
        });
        is_wanted(&map?).then_some(payload_type)
    })
}

const MP2T: &str = "MP2T";

/// Ticks of its clock in a second.
const RTP_CLOCK: u32 = 90_000;

fn is_mp2t(map: &RtpMap) -> bool {
    map.encoding_name.eq_ignore_ascii_case(MP2T) && map.clock_rate == RTP_CLOCK
}

/// `parityfec` (RFC 5109), `1d-interleaved-parityfec` (RFC 6015) and their kin.
fn is_fec(map: &RtpMap) -> bool {
    map.encoding_name.to_ascii_lowercase().ends_with("fec")
}

fn leg(session: &Session, media: &Media, payload_type: u8) -> Result<OfferedLeg, SdpError> {
    if !matches!(media.proto.as_str(), "RTP/AVP" | "RTP/AVPF") {
        let (proto, port) = (&media.proto, media.port);
        return Err(unusable(format!(
            "the section of port {port} has the transport {}, RTP/AVP is expected",
            shown(proto)
        )));
    }
    Ok(OfferedLeg {
        destination: destination(session, media)?,
        source: None,
        payload_type,
        is_active: !media.has_attribute("inactive"),
        has_column_fec: false,
        has_row_fec: false,
    })
}

fn destination(session: &Session, media: &Media) -> Result<SocketAddr, SdpError> {
    let port = media.port;
    if let Some(ports) = media.num_ports.filter(|ports| *ports > 1) {
        return Err(unusable(format!("m= names {ports} ports from {port}")));
    }
    let connection: &Connection = match media.connections.as_slice() {
        [] => session
            .connection
            .as_ref()
            .ok_or_else(|| unusable(format!("the section of port {port} has no c= line")))?,
        [one] => one,
        _ => {
            return Err(unusable(format!(
                "the section of port {port} has several c= lines"
            )));
        }
    };
    let written = &connection.connection_address;
    let address = connection
        .try_address()
        .map_err(|error| unusable(format!("c=: {error}")))?;
    if address.count.is_some_and(|count| count > 1) {
        return Err(unusable(format!(
            "c= names several groups: {}",
            shown(written)
        )));
    }
    if address.ip.is_unspecified() {
        return Err(unusable(format!("c= names no address: {}", shown(written))));
    }
    Ok(SocketAddr::new(address.ip, port))
}

/// What may send to `destination`; one entry for each leg that the section is.
fn sources(
    session: &Session,
    media: &Media,
    destination: IpAddr,
) -> Result<Vec<Option<IpAddr>>, SdpError> {
    //= RFC 4570 3: a filter of the section overrides those of the session.
    let own = filters(&media.attributes)?;
    let filters = match own.is_empty() {
        true => filters_for(&session.attributes, destination)?,
        false => own,
    };
    let Some(filter) = filters.first() else {
        return Ok(vec![None]);
    };
    if filter.mode != SourceFilterMode::Incl {
        return Err(unusable(
            "a source-filter excludes sources; one that names the source is expected".to_owned(),
        ));
    }
    if !is_for(filter, destination) {
        return Err(unusable(format!(
            "a source-filter is for {}, and c= names {destination}",
            shown(&filter.destination.to_string())
        )));
    }
    let mut found = Vec::with_capacity(filter.sources.len());
    for source in &filter.sources {
        match source {
            SourceFilterAddress::IpAddr(address)
                if address.is_ipv4() == destination.is_ipv4()
                    && !address.is_multicast()
                    && !address.is_unspecified() =>
            {
                found.push(Some(*address));
            }
            other => {
                return Err(unusable(format!(
                    "a source-filter names {}, an address of the family of {destination} is expected",
                    shown(&other.to_string())
                )));
            }
        }
    }
    //= RFC 7104 4.1: two streams of one section, told apart by their sources.
    let mut groups = media.attributes_typed::<SsrcGroup>().flatten();
    let is_duplicated = groups.any(|group| is_duplication(&group.semantics));
    match found.len() {
        1 => Ok(found),
        LEGS_MAX if is_duplicated => Ok(found),
        many => Err(unusable(format!(
            "a source-filter names {many} sources for {destination}, a leg has one"
        ))),
    }
}

fn filters(attributes: &[Attribute]) -> Result<Vec<SourceFilter>, SdpError> {
    attributes
        .iter()
        .filter(|attribute| attribute.attribute.eq_ignore_ascii_case(SourceFilter::NAME))
        .map(|attribute| {
            let value = attribute.value.as_deref().unwrap_or_default();
            Ok(value.parse::<SourceFilter>()?)
        })
        .collect()
}

fn filters_for(
    attributes: &[Attribute],
    destination: IpAddr,
) -> Result<Vec<SourceFilter>, SdpError> {
    let mut found = filters(attributes)?;
    found.retain(|filter| is_for(filter, destination));
    Ok(found)
}

fn is_for(filter: &SourceFilter, destination: IpAddr) -> bool {
    match &filter.destination {
        SourceFilterDestination::Wildcard => true,
        SourceFilterDestination::Address(SourceFilterAddress::IpAddr(address)) => {
            *address == destination
        }
        SourceFilterDestination::Address(SourceFilterAddress::FQDN(_)) => false,
    }
}

/// Notes that FEC comes with a leg.
fn attach_fec(session: &Session, media: &Media, legs: &mut [OfferedLeg]) -> Result<(), SdpError> {
    let fec = destination(session, media)?;
    for leg in legs.iter_mut() {
        let distance = fec.port().checked_sub(leg.destination.port());
        if fec.ip() != leg.destination.ip() {
            continue;
        }
        //= ST 2022-1 7: column FEC on the media port + 2, row FEC on the media port + 4.
        match distance {
            Some(2) => leg.has_column_fec = true,
            Some(4) => leg.has_row_fec = true,
            _ => continue,
        }
        return Ok(());
    }
    Err(unusable(format!(
        "FEC comes on {fec}; it is expected on the address of a leg, on its port + 2 (columns) or + 4 (rows)"
    )))
}

const fn unusable(text: String) -> SdpError {
    SdpError::Unusable(text)
}

/// Text from outside, in quotes, short enough for a message.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    let more = if end < text.len() { "..." } else { "" };
    format!("'{}{more}'", text[..end].escape_debug())
}

const SHOWN_BYTES_MAX: usize = 64;
