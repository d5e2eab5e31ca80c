//! Secure Reliable Transport (draft-sharabayko-srt).

#![forbid(unsafe_code)]
