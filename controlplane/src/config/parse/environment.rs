//! What of the environment of the process decides whether a configuration is legal.

/// The variable that permits what is not safe (configuration.md 3.9).
pub(super) const ALLOW_INSECURE: &str = "BILBYCAST_ALLOW_INSECURE";

/// What of the environment of the process decides whether a configuration is legal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Environment {
    /// Whether `manager.accept_self_signed_cert` may be true: `BILBYCAST_ALLOW_INSECURE=1`.
    pub allow_insecure: bool,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            allow_insecure: std::env::var_os(ALLOW_INSECURE).is_some_and(|value| value == "1"),
        }
    }
}
