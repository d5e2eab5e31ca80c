//! What a test does when something that it needs is not there: a program of other people, or the right to have a network
//! of its own. It fails, for a test that shows nothing must not look as if it had; where [`VARIABLE`] says so it is
//! skipped.
#![forbid(unsafe_code)]

use std::fmt::Display;

/// The variable of the environment that makes what a test needs optional, when it is `optional`.
pub const VARIABLE: &str = "BILBYCAST_PEERS";

/// Says that a test cannot show anything here, and why. The test is to return after it.
///
/// # Panics
///
/// Unless [`VARIABLE`] is `optional`.
#[track_caller]
pub fn skip(reason: impl Display) {
    let is_optional = std::env::var_os(VARIABLE).is_some_and(|value| value == "optional");
    assert!(
        is_optional,
        "{reason}. 'make deps' installs the programs; {VARIABLE}=optional skips the tests that need what is not there"
    );
    println!("skipped: {reason}");
}
