//! Why a connection is refused (draft 4.3, table 7).

use std::fmt;

/// Who refuses, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rejection {
    /// The reason.
    pub reason: RejectReason,
    /// Whether the peer refuses us, and not we the peer.
    pub by_peer: bool,
}

/// Reason of a rejection. On the wire it stands in place of the handshake type, 1000 higher than here and in libsrt's
/// documents.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum RejectReason {
    /// 0: unknown.
    Unknown,
    /// 1: a system function failed.
    System,
    /// 2: refused by the peer without a reason.
    Peer,
    /// 3: no memory or other resource.
    Resource,
    /// 4: data that makes no sense.
    Rogue,
    /// 5: too many callers.
    Backlog,
    /// 6: internal error.
    Internal,
    /// 7: the socket is closing.
    Close,
    /// 8: the peer is too old.
    Version,
    /// 9: both sides of a rendezvous have the same cookie.
    RendezvousCookie,
    /// 10: the passphrases differ.
    BadSecret,
    /// 11: only one side has a passphrase.
    Unsecure,
    /// 12: message and stream mode do not meet.
    MessageApi,
    /// 13: another congestion control.
    Congestion,
    /// 14: another packet filter.
    Filter,
    /// 15: groups do not fit, or are not supported.
    Group,
    /// 16: timed out.
    Timeout,
    /// 17: another crypto mode.
    Crypto,
    /// Any other number: 1000 to 1999 are access control codes (1000 + HTTP status), 2000 and up are the application's.
    Other(u32),
}

impl RejectReason {
    /// Access control: the stream id was not understood.
    pub const BAD_REQUEST: Self = Self::Other(1_400);
    /// Access control: not for this caller.
    pub const FORBIDDEN: Self = Self::Other(1_403);
    /// Access control: no such stream.
    pub const NOT_FOUND: Self = Self::Other(1_404);
    /// Access control: the mode in the stream id does not fit the stream.
    pub const BAD_MODE: Self = Self::Other(1_405);
    /// Access control: somebody else is connected already.
    pub const CONFLICT: Self = Self::Other(1_409);
    /// Access control: as many callers as are allowed.
    pub const OVERLOAD: Self = Self::Other(1_402);

    /// The number in libsrt's documents.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::System => 1,
            Self::Peer => 2,
            Self::Resource => 3,
            Self::Rogue => 4,
            Self::Backlog => 5,
            Self::Internal => 6,
            Self::Close => 7,
            Self::Version => 8,
            Self::RendezvousCookie => 9,
            Self::BadSecret => 10,
            Self::Unsecure => 11,
            Self::MessageApi => 12,
            Self::Congestion => 13,
            Self::Filter => 14,
            Self::Group => 15,
            Self::Timeout => 16,
            Self::Crypto => 17,
            Self::Other(code) => code,
        }
    }

    /// The reason of a number in libsrt's documents.
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Unknown,
            1 => Self::System,
            2 => Self::Peer,
            3 => Self::Resource,
            4 => Self::Rogue,
            5 => Self::Backlog,
            6 => Self::Internal,
            7 => Self::Close,
            8 => Self::Version,
            9 => Self::RendezvousCookie,
            10 => Self::BadSecret,
            11 => Self::Unsecure,
            12 => Self::MessageApi,
            13 => Self::Congestion,
            14 => Self::Filter,
            15 => Self::Group,
            16 => Self::Timeout,
            17 => Self::Crypto,
            other => Self::Other(other),
        }
    }

    /// The number on the wire.
    pub(super) const fn to_wire(self) -> u32 {
        WIRE_OFFSET.saturating_add(self.code())
    }

    /// The reason of a number on the wire.
    pub(super) const fn from_wire(value: u32) -> Self {
        Self::from_code(value.saturating_sub(WIRE_OFFSET))
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Self::Unknown => "unknown reason",
            Self::System => "system function failed",
            Self::Peer => "refused without a reason",
            Self::Resource => "out of resources",
            Self::Rogue => "malformed handshake",
            Self::Backlog => "too many callers",
            Self::Internal => "internal error",
            Self::Close => "socket is closing",
            Self::Version => "version too old",
            Self::RendezvousCookie => "rendezvous with itself",
            Self::BadSecret => "wrong passphrase",
            Self::Unsecure => "passphrase on one side only",
            Self::MessageApi => "stream mode against message mode",
            Self::Congestion => "another congestion control",
            Self::Filter => "another packet filter",
            Self::Group => "groups are not supported",
            Self::Timeout => "timed out",
            Self::Crypto => "another crypto mode",
            Self::BAD_REQUEST => "the stream id is not understood",
            Self::OVERLOAD => "as many callers as allowed are connected",
            Self::FORBIDDEN => "the stream id does not fit",
            Self::BAD_MODE => "the stream goes the other way",
            Self::CONFLICT => "another caller is connected",
            Self::Other(1_400..=1_599) => "refused by access control",
            Self::Other(_) => "refused by the application",
        };
        write!(formatter, "{text} ({})", self.code())
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.by_peer {
            "the peer"
        } else {
            "this side"
        };
        write!(formatter, "{} by {who}", self.reason)
    }
}

//= libsrt docs/API/rejection-codes.md: "When transferred on the wire, the API value is incremented by 1000"
const WIRE_OFFSET: u32 = 1_000;
