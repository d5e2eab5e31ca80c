//! RTP (RFC 3550) header views, sequence accounting and MPEG-TS payload (RFC 2250), sans-IO.
