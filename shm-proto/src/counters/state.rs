//! The state strings of configuration.md 8.1 and 12.1, and their codes in shared memory.

macro_rules! state {
    (
        $(#[doc = $doc:literal])*
        $state:ident { $( #[doc = $help:literal] $variant:ident = $code:literal, $text:literal; )* }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(u64)]
        pub enum $state {
            $(#[doc = $help] $variant = $code,)*
        }

        impl $state {
            /// The code in shared memory.
            #[must_use]
            pub const fn code(self) -> u64 {
                self as u64
            }

            /// The text of the REST API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl TryFrom<u64> for $state {
            type Error = UnknownCode;

            fn try_from(code: u64) -> Result<Self, UnknownCode> {
                match code {
                    $($code => Ok(Self::$variant),)*
                    _ => Err(UnknownCode { of: stringify!($state), code }),
                }
            }
        }
    };
}

/// A code that no state has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{code} is no code of {of}")]
pub struct UnknownCode {
    /// Which enum was asked.
    pub of: &'static str,
    /// The code.
    pub code: u64,
}

state! {
    /// Run state of a flow.
    FlowState {
        /// Known, never started.
        Idle = 0, "Idle";
        /// Its sockets are being opened.
        Starting = 1, "Starting";
        /// It runs.
        Running = 2, "Running";
        /// It should run and does not.
        Error = 3, "Error";
        /// It was stopped.
        Stopped = 4, "Stopped";
    }
}

state! {
    /// State of an input, an output or an SRT leg.
    EndpointState {
        /// The flow is stopped, or the leg is switched off.
        Idle = 0, "idle";
        /// Bound or listening; nothing has come yet.
        Waiting = 1, "waiting";
        /// Dialling, in the handshake, or between two attempts.
        Connecting = 2, "connecting";
        /// The connection is up and has carried no media yet.
        Connected = 3, "connected";
        /// Input: media arrives.
        Receiving = 4, "receiving";
        /// Output: media leaves.
        Active = 5, "active";
        /// The connection was lost.
        Broken = 6, "broken";
        /// Caller: five failures in a row.
        ConnectFailed = 7, "connect_failed";
    }
}

state! {
    /// Health of a flow, RP 2129 M6; the first that matches, from the worst.
    Health {
        /// None of the others.
        Healthy = 0, "Healthy";
        /// TR 101 290 priority 2, loss in the last second, a bandwidth alarm or a missing leg.
        Warning = 1, "Warning";
        /// TR 101 290 priority 1.
        Error = 2, "Error";
        /// It runs, and nothing has arrived for two seconds; or the input failed.
        Critical = 3, "Critical";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back_and_strangers_refused() {
        for code in 0..8 {
            assert_eq!(EndpointState::try_from(code).unwrap().code(), code);
        }
        let error = EndpointState::try_from(8).unwrap_err();
        assert_eq!(error.to_string(), "8 is no code of EndpointState");
    }
}
