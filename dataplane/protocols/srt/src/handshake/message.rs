//! A handshake message, written once and sent as often as it takes.

use std::net::IpAddr;

use super::Settings;
use super::exchange::{Extensions, Local, advertised};
use crate::wire::{
    BufferTooSmall, Control, ControlPacket, EXTENSION_BYTES_MAX, ExtensionField, ExtensionsWriter,
    HANDSHAKE_BYTES, HEADER_BYTES, Handshake, HandshakeKind, PeerIp, SocketId, Timestamp,
};

/// A packet in wire form, but for its timestamp.
#[derive(Clone, Debug)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// The message of `fields`, without extensions.
    pub(super) fn new(fields: Fields<'static>) -> Self {
        let mut bytes = vec![0; BARE_BYTES];
        let written = fields.write(Timestamp::default(), &mut bytes);
        debug_assert_eq!(
            written,
            Ok(BARE_BYTES),
            "a message without extensions has one length"
        );
        Self { bytes }
    }

    /// The message of `fields` with `extensions`.
    pub(super) fn with_extensions(
        fields: Fields<'static>,
        settings: &Settings,
        extensions: &Extensions<'_>,
    ) -> Result<Self, BufferTooSmall> {
        let mut content = [0; EXTENSION_BYTES_MAX];
        let mut writer = ExtensionsWriter::new(&mut content);
        let field = extensions.write(settings, &mut writer)?;
        let handshake = Handshake {
            extension: field,
            extensions: writer.finish(),
            ..fields.handshake
        };
        let packet = ControlPacket {
            timestamp: Timestamp::default(),
            destination: fields.destination,
            control: Control::Handshake(handshake),
        };
        let mut bytes = vec![0; HEADER_BYTES + handshake.bytes()];
        packet.write(&mut bytes)?;
        Ok(Self { bytes })
    }

    /// Writes the message with `timestamp` to the start of `buffer`, and returns its length.
    pub(super) fn write(
        &self,
        timestamp: Timestamp,
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let needed = self.bytes.len();
        let available = buffer.len();
        let Some(target) = buffer.get_mut(..needed) else {
            return Err(BufferTooSmall {
                packet: "handshake",
                needed,
                available,
            });
        };
        target.copy_from_slice(&self.bytes);
        if let Some(field) = target.get_mut(TIMESTAMP_AT..TIMESTAMP_AT + 4) {
            field.copy_from_slice(&timestamp.0.to_be_bytes());
        }
        Ok(needed)
    }
}

/// The fields of a handshake message, made from what is the same in all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    destination: SocketId,
    handshake: Handshake<'a>,
}

impl Fields<'_> {
    /// A WAVEAHAND of version 5 to nobody in particular, without cookie and extensions.
    pub(super) fn new(settings: &Settings, local: &Local, peer_ip: IpAddr) -> Self {
        Self {
            destination: SocketId::NONE,
            handshake: Handshake {
                version: 5,
                encryption: 0,
                extension: ExtensionField::NONE,
                initial_sequence: local.sequence,
                mss: settings.mss,
                flow_window: settings.flight_flag_size,
                kind: HandshakeKind::WaveAHand,
                socket: local.socket,
                cookie: 0,
                peer_ip: PeerIp::from(peer_ip),
                extensions: crate::wire::Extensions::NONE,
            },
        }
    }

    pub(super) const fn version(mut self, version: u32) -> Self {
        self.handshake.version = version;
        self
    }

    pub(super) const fn kind(mut self, kind: HandshakeKind) -> Self {
        self.handshake.kind = kind;
        self
    }

    pub(super) const fn extension(mut self, extension: ExtensionField) -> Self {
        self.handshake.extension = extension;
        self
    }

    pub(super) const fn encryption(mut self, encryption: u16) -> Self {
        self.handshake.encryption = encryption;
        self
    }

    /// Advertises our key length.
    pub(super) fn advertise(self, settings: &Settings) -> Self {
        self.encryption(advertised(settings))
    }

    pub(super) const fn cookie(mut self, cookie: u32) -> Self {
        self.handshake.cookie = cookie;
        self
    }

    pub(super) const fn to(mut self, destination: SocketId) -> Self {
        self.destination = destination;
        self
    }

    /// Writes the message without extensions to the start of `buffer`, and returns its length.
    pub(super) fn write(
        &self,
        timestamp: Timestamp,
        buffer: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let packet = ControlPacket {
            timestamp,
            destination: self.destination,
            control: Control::Handshake(self.handshake),
        };
        packet.write(buffer)
    }
}

/// Bytes of a message without extensions.
const BARE_BYTES: usize = HEADER_BYTES + HANDSHAKE_BYTES;

/// Where the timestamp is in a header (draft 3).
const TIMESTAMP_AT: usize = 8;
