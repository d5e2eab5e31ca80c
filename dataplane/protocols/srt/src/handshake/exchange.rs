//! What both ends tell each other in a CONCLUSION, and what follows from it.

use super::settings::{FLIGHT_MAX, MSS_MIN, Settings};
use super::{Negotiated, RejectReason, filter};
use crate::crypto::{
    Announcement, CryptoError, CryptoMode, CryptoState, KeyExchange, KeyLength, KeyMaterial,
    KmState,
};
use crate::time::Micros;
use crate::wire::{
    BufferTooSmall, ExtensionField, ExtensionKind, ExtensionsWriter, Handshake, HsExtension,
    SeqNumber, SocketId, SrtFlags, SrtVersion, Timestamp,
};

/// What the far end says, checked as far as no setting of ours is involved.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) socket: SocketId,
    pub(super) sequence: SeqNumber,
    pub(super) mss: u32,
    pub(super) flow_window: u32,
    pub(super) hs: HsExtension,
    pub(super) key_material: Option<Vec<u8>>,
    pub(super) stream_id: Option<String>,
    pub(super) filter: Option<String>,
    pub(super) timestamp: Timestamp,
    pub(super) arrived: Micros,
}

/// The part that a message plays in the exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// From the initiator: HSREQ, KMREQ.
    Request,
    /// From the responder: HSRSP, KMRSP.
    Response,
}

impl Part {
    const fn kinds(self) -> (ExtensionKind, ExtensionKind) {
        match self {
            Self::Request => (ExtensionKind::HsReq, ExtensionKind::KmReq),
            Self::Response => (ExtensionKind::HsRsp, ExtensionKind::KmRsp),
        }
    }
}

impl Offer {
    /// The offer of a CONCLUSION with extensions.
    pub(super) fn parse(
        handshake: &Handshake<'_>,
        part: Part,
        timestamp: Timestamp,
        arrived: Micros,
    ) -> Result<Self, RejectReason> {
        let (hs_kind, km_kind) = part.kinds();
        let mut hs = None;
        let mut key_material = None;
        let mut stream_id = None;
        let mut filter = None;
        for extension in handshake.extensions.iter() {
            let extension = extension.map_err(|_| RejectReason::Rogue)?;
            let text = || extension.text().ok_or(RejectReason::Rogue);
            match extension.kind {
                kind if kind == hs_kind => {
                    let parsed = HsExtension::parse(extension.content);
                    hs = Some(parsed.map_err(|_| RejectReason::Rogue)?);
                }
                kind if kind == km_kind => {
                    let content = extension.content;
                    if content.is_empty() || content.len() > KM_CONTENT_BYTES_MAX {
                        return Err(RejectReason::Rogue);
                    }
                    key_material = Some(content.to_vec());
                }
                ExtensionKind::StreamId => stream_id = Some(text()?).filter(|id| !id.is_empty()),
                // An empty name is the default one.
                ExtensionKind::Congestion => match text()?.as_str() {
                    "" | LIVE => {}
                    _ => return Err(RejectReason::Congestion),
                },
                ExtensionKind::Filter => filter = Some(text()?).filter(|text| !text.is_empty()),
                ExtensionKind::Group => return Err(RejectReason::Group),
                _ => {}
            }
        }
        let hs = hs.ok_or(RejectReason::Rogue)?;
        if hs.version < SrtVersion::HSV5 {
            return Err(RejectReason::Version);
        }
        if hs.flags.contains(SrtFlags::STREAM) {
            return Err(RejectReason::MessageApi);
        }
        if handshake.mss < MSS_MIN
            || handshake.flow_window == 0
            || handshake.socket == SocketId::NONE
        {
            return Err(RejectReason::Rogue);
        }
        Ok(Self {
            socket: handshake.socket,
            sequence: handshake.initial_sequence,
            mss: handshake.mss,
            flow_window: handshake.flow_window.min(FLIGHT_MAX),
            hs,
            key_material,
            stream_id,
            filter,
            timestamp,
            arrived,
        })
    }
}

/// What we are and start from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    pub(super) socket: SocketId,
    pub(super) sequence: SeqNumber,
    pub(super) start: Micros,
}

/// The latencies that we put into our HSREQ, or that follow from the far end's: receive, send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latencies {
    pub(super) recv_ms: u16,
    pub(super) send_ms: u16,
}

impl Latencies {
    pub(super) const fn ours(settings: &Settings) -> Self {
        Self {
            recv_ms: settings.recv_latency_ms,
            send_ms: settings.peer_latency_ms,
        }
    }

    //= draft-sharabayko-srt 4.3.1.2: "the value for latency is always agreed to be the greater of those reported"
    fn agreed(settings: &Settings, peer: &HsExtension) -> Self {
        Self {
            recv_ms: settings.recv_latency_ms.max(peer.send_latency_ms),
            send_ms: settings.peer_latency_ms.max(peer.recv_latency_ms),
        }
    }
}

/// Everything but the keys that follows from our settings and the far end's offer.
pub(super) fn agree(
    settings: &Settings,
    local: &Local,
    offer: &Offer,
    crypto: Option<CryptoState>,
    rtt: Option<Micros>,
) -> Result<Negotiated, RejectReason> {
    let flags = offer.hs.flags;
    let packet_filter =
        filter::negotiate(settings.packet_filter.as_deref(), offer.filter.as_deref())?;
    if packet_filter.is_some() && !flags.contains(SrtFlags::PACKET_FILTER) {
        return Err(RejectReason::Filter);
    }
    let latencies = Latencies::agreed(settings, &offer.hs);
    Ok(Negotiated {
        local_socket: local.socket,
        peer_socket: offer.socket,
        send_sequence: local.sequence,
        recv_sequence: offer.sequence,
        mss: settings.mss.min(offer.mss),
        flow_window: settings.flight_flag_size.min(offer.flow_window),
        recv_latency: Micros::from_millis(u64::from(latencies.recv_ms)),
        send_latency: Micros::from_millis(u64::from(latencies.send_ms)),
        recv_tsbpd: flags.contains(SrtFlags::TSBPDSND),
        send_tsbpd: flags.contains(SrtFlags::TSBPDRCV),
        tlpktdrop: settings.tlpkt_drop && flags.contains(SrtFlags::TLPKTDROP),
        peer_nak_report: flags.contains(SrtFlags::PERIODICNAK),
        peer_retransmit_flag: flags.contains(SrtFlags::REXMITFLG),
        packet_filter,
        stream_id: offer.stream_id.clone(),
        peer_version: offer.hs.version,
        rtt,
        start: local.start,
        peer_timestamp: offer.timestamp,
        peer_timestamp_at: offer.arrived,
        crypto,
    })
}

/// Length of the keys that an initiator makes: its own setting, else what the far end advertises, else 16 bytes.
pub(super) fn initiator_key_length(settings: &Settings, advertised: u16) -> KeyLength {
    settings
        .aes_key_len
        .or_else(|| KeyLength::from_field(advertised))
        .filter(|length| settings.crypto_mode == CryptoMode::Ctr || *length != KeyLength::Aes192)
        .unwrap_or_default()
}

/// The encryption field that we advertise.
pub(super) fn advertised(settings: &Settings) -> u16 {
    match (&settings.passphrase, settings.aes_key_len) {
        (Some(_), Some(length)) => length.to_field(),
        _ => 0,
    }
}

/// The initiator's keys and KMREQ, if it has a passphrase.
pub(super) fn initiate_keys(
    settings: &Settings,
    length: KeyLength,
) -> Result<Option<(CryptoState, Announcement)>, RejectReason> {
    let Some(exchange) = key_exchange(settings) else {
        return Ok(None);
    };
    CryptoState::initiate(&exchange, length)
        .map(Some)
        .map_err(reason_of)
}

/// What the initiator makes of the responder's offer: its keys, or a reason to refuse.
pub(super) fn conclude_keys(
    settings: &Settings,
    keys: Option<(CryptoState, Announcement)>,
    offer: &Offer,
) -> Result<Option<CryptoState>, RejectReason> {
    let response = offer.key_material.as_deref();
    let Some((mut state, announcement)) = keys else {
        // Only a far end with a passphrase answers what nobody has asked (draft 3.2.1.2).
        return match response {
            Some(_) if settings.enforced_encryption => Err(RejectReason::Unsecure),
            _ => Ok(None),
        };
    };
    let refusal = match response {
        None => Some(RejectReason::Unsecure),
        Some(response) if response == announcement.as_bytes() => None,
        Some(response) => match KmState::parse(response) {
            Some(KmState::BadSecret) => Some(RejectReason::BadSecret),
            Some(KmState::BadCryptoMode) => Some(RejectReason::Crypto),
            Some(_) => Some(RejectReason::Unsecure),
            None => state.take_response(response).err().map(reason_of),
        },
    };
    match refusal {
        Some(reason) if settings.enforced_encryption => Err(reason),
        refusal => {
            check_gcm(settings, offer)?;
            if let Some(reason) = refusal {
                state.refuse(state_of(reason));
            }
            Ok(Some(state))
        }
    }
}

/// What the responder makes of the initiator's offer: its keys, and the content of the KMRSP.
pub(super) fn respond_keys(
    settings: &Settings,
    offer: &Offer,
) -> Result<(Option<CryptoState>, Option<KmReply>), RejectReason> {
    let request = offer.key_material.as_deref();
    let Some(exchange) = key_exchange(settings) else {
        return match request {
            Some(_) if settings.enforced_encryption => Err(RejectReason::Unsecure),
            Some(_) => Ok((None, Some(KmReply::State(KmState::NoSecret)))),
            None => Ok((None, None)),
        };
    };
    check_gcm(settings, offer)?;
    let state = match request {
        None if settings.enforced_encryption => return Err(RejectReason::Unsecure),
        None => KmState::Unsecured,
        Some(request) => match CryptoState::respond(&exchange, request) {
            Ok(state) => return Ok((Some(state), Some(KmReply::Echo))),
            Err(CryptoError::BadSecret) if !settings.enforced_encryption => KmState::BadSecret,
            Err(CryptoError::Mode) if !settings.enforced_encryption => KmState::BadCryptoMode,
            Err(error) => return Err(reason_of(error)),
        },
    };
    // Without a common key nothing that we send can be read, and that is what a passphrase of ours asks for.
    let length = settings.aes_key_len.unwrap_or_default();
    let (mut keys, _) = CryptoState::initiate(&exchange, length).map_err(reason_of)?;
    keys.refuse(match state {
        // What we tell the far end is that it has sent no key; what that says of it is that it has no passphrase.
        KmState::Unsecured => KmState::NoSecret,
        other => other,
    });
    Ok((Some(keys), Some(KmReply::State(state))))
}

/// Content of a KMRSP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KmReply {
    /// The request itself.
    Echo,
    /// A state.
    State(KmState),
}

/// Our side of the exchange, as extensions.
pub(super) struct Extensions<'a> {
    pub(super) part: Part,
    pub(super) latencies: Latencies,
    pub(super) stream_id: Option<&'a str>,
    pub(super) filter: Option<&'a str>,
    pub(super) key_material: Option<&'a [u8]>,
}

impl Extensions<'_> {
    /// Appends the blocks to `writer`, in libsrt's order, and returns the field that announces them.
    pub(super) fn write(
        &self,
        settings: &Settings,
        writer: &mut ExtensionsWriter<'_>,
    ) -> Result<ExtensionField, BufferTooSmall> {
        let (hs_kind, km_kind) = self.part.kinds();
        let mut field = ExtensionField::HSREQ;
        let hs = HsExtension {
            version: SrtVersion::OURS,
            flags: our_flags(settings),
            recv_latency_ms: self.latencies.recv_ms,
            send_latency_ms: self.latencies.send_ms,
        };
        writer.push(hs_kind, &hs.to_bytes())?;
        if let Some(id) = self.stream_id {
            field = field.with(ExtensionField::CONFIG);
            writer.push_text(ExtensionKind::StreamId, id)?;
        }
        if let Some(filter) = self.filter {
            field = field.with(ExtensionField::CONFIG);
            writer.push_text(ExtensionKind::Filter, filter)?;
        }
        if let Some(key_material) = self.key_material {
            field = field.with(ExtensionField::KMREQ);
            writer.push(km_kind, key_material)?;
        }
        Ok(field)
    }
}

/// The latencies of a responder's HSRSP.
pub(super) fn response_latencies(settings: &Settings, offer: &Offer) -> Latencies {
    Latencies::agreed(settings, &offer.hs)
}

fn our_flags(settings: &Settings) -> SrtFlags {
    let mut flags = SrtFlags::TSBPDSND
        .with(SrtFlags::TSBPDRCV)
        .with(SrtFlags::CRYPT)
        .with(SrtFlags::REXMITFLG)
        .with(SrtFlags::PACKET_FILTER);
    if settings.tlpkt_drop {
        flags = flags.with(SrtFlags::TLPKTDROP);
    }
    if settings.nak_report {
        flags = flags.with(SrtFlags::PERIODICNAK);
    }
    flags
}

fn key_exchange(settings: &Settings) -> Option<KeyExchange<'_>> {
    Some(KeyExchange {
        passphrase: settings.passphrase.as_ref()?,
        mode: settings.crypto_mode,
        policy: settings.key_refresh,
        clear_allowed: !settings.enforced_encryption,
    })
}

/// Refuses AES-GCM with peers that have another nonce and other associated data.
fn check_gcm(settings: &Settings, offer: &Offer) -> Result<(), RejectReason> {
    let asked = offer.key_material.as_deref().is_some_and(|content| {
        KeyMaterial::parse(content).is_ok_and(|material| material.mode == CryptoMode::Gcm)
    });
    let ours = settings.crypto_mode == CryptoMode::Gcm && settings.passphrase.is_some();
    if (ours || asked) && offer.hs.version < GCM_VERSION_MIN {
        return Err(RejectReason::Crypto);
    }
    Ok(())
}

const fn reason_of(error: CryptoError) -> RejectReason {
    match error {
        CryptoError::BadSecret => RejectReason::BadSecret,
        CryptoError::Gcm192 | CryptoError::Mode => RejectReason::Crypto,
        CryptoError::KeyMaterial { .. } => RejectReason::Rogue,
        _ => RejectReason::Internal,
    }
}

/// What a reason to refuse says of the far end's keys, when the connection is made all the same.
const fn state_of(reason: RejectReason) -> KmState {
    match reason {
        RejectReason::BadSecret => KmState::BadSecret,
        RejectReason::Crypto => KmState::BadCryptoMode,
        _ => KmState::NoSecret,
    }
}

/// The only congestion control of live streams.
const LIVE: &str = "live";

/// Most bytes of a KMREQ or KMRSP that are looked at; the longest that makes sense has 104.
const KM_CONTENT_BYTES_MAX: usize = 128;

/// The first version whose AES-GCM is the one of this crate.
const GCM_VERSION_MIN: SrtVersion = SrtVersion(0x0001_0504);
