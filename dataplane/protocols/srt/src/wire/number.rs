//! Numbers of the wire, each with its own arithmetic.

use std::fmt;

use crate::time::Micros;

/// A packet sequence number: 31 bits, wrapping (draft 3.1).
///
/// There is no order on a circle, so the type has none; two numbers less than 2^30 apart have a before and an after.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SeqNumber(u32);

impl SeqNumber {
    /// The largest number, 2^31 - 1; zero follows.
    pub const MAX: Self = Self(Self::MASK);

    const MASK: u32 = 0x7fff_ffff;

    /// The number in the low 31 bits of `value`.
    #[inline]
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value & Self::MASK)
    }

    /// The number as on the wire, 0 to 2^31 - 1.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The number after this one.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The number before this one.
    #[inline]
    #[must_use]
    pub const fn previous(self) -> Self {
        self.minus(1)
    }

    /// The number `count` later.
    #[inline]
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self::new(self.0.wrapping_add(count))
    }

    /// The number `count` earlier.
    #[inline]
    #[must_use]
    pub const fn minus(self, count: u32) -> Self {
        Self::new(self.0.wrapping_sub(count))
    }

    /// How many packets this number is after `other`, negative when before: -2^30 to 2^30 - 1.
    #[inline]
    #[must_use]
    pub const fn offset_from(self, other: Self) -> i32 {
        // The difference sits in the low 31 bits; moved up by one, the sign of the circle is the sign of the word.
        (self.0.wrapping_sub(other.0) << 1).cast_signed() >> 1
    }

    /// Whether this number comes before `other`.
    #[inline]
    #[must_use]
    pub const fn is_before(self, other: Self) -> bool {
        self.offset_from(other) < 0
    }

    /// Whether this number comes after `other`.
    #[inline]
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.offset_from(other) > 0
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A message number: 26 bits (draft 3.1). Zero marks a packet of the packet filter; messages count from one.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct MsgNumber(u32);

impl MsgNumber {
    /// The number of packets that the packet filter adds.
    pub const FILTER: Self = Self(0);
    /// The number of the first message.
    pub const FIRST: Self = Self(1);
    /// The largest number, 2^26 - 1; one follows.
    pub const MAX: Self = Self(Self::MASK);

    const MASK: u32 = 0x03ff_ffff;

    /// The number in the low 26 bits of `value`.
    #[inline]
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value & Self::MASK)
    }

    /// The number as on the wire.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The number of the next message; zero is left out.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 == Self::MASK {
            Self::FIRST
        } else {
            Self(self.0 + 1)
        }
    }
}

/// A socket id; zero is none, as in the first packet of a handshake (draft 3).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SocketId(pub u32);

impl SocketId {
    /// No socket: the destination of an INDUCTION.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for SocketId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "@{:08x}", self.0)
    }
}

/// A packet's timestamp: microseconds since its sender's socket began, modulo 2^32, so that it wraps every 71.6 minutes
/// (draft 3).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Timestamp(pub u32);

impl Timestamp {
    /// The timestamp of `now` for a socket whose time began at `start`.
    #[inline]
    #[must_use]
    pub const fn at(now: Micros, start: Micros) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the wire carries the low 32 bits"
        )]
        Self(now.0.wrapping_sub(start.0) as u32)
    }

    /// How many microseconds this timestamp is after `other`, negative when before: -2^31 to 2^31 - 1.
    #[inline]
    #[must_use]
    pub const fn offset_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}
