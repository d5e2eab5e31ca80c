//! The messages on the control socket and their framing.
//!
//! A message is a little-endian `u32` length and that many bytes of JSON. The client speaks first, with
//! [`ClientMessage::Hello`]; the data plane answers with [`ServerMessage::Welcome`] or closes. After that every
//! [`Request`] gets exactly one [`Reply`] with the same id, in the order of the requests, and [`ServerMessage::Event`]
//! may come at any time.
//!
//! Commands are declarative: [`Command::ApplyFlow`] says what a flow shall be, and the data plane finds the least
//! disturbing way there. Sending the same command twice is harmless, so a client that lost its connection in the
//! middle simply says it again.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::model::FlowSpec;

/// Version of the messages. A data plane refuses another one with [`ControlErrorKind::Version`].
pub const PROTOCOL_VERSION: u32 = 3;

/// Longest message body in bytes: 4,096 flows with a dozen outputs of about 150 bytes each fit into one list.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// What a client says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and it is written out at once"
)]
pub enum ClientMessage {
    /// The first message of a connection.
    Hello(Hello),
    /// A command.
    Request(Request),
}

/// Who the client is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the client.
    pub protocol: u32,
    /// Version of its software, for the log.
    pub software_version: String,
}

/// A command and the number that its reply will carry.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Request {
    /// Chosen by the client.
    pub id: u64,
    /// What to do.
    pub command: Command,
}

/// What the control plane may ask of the data plane.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and it is written out at once"
)]
pub enum Command {
    /// Makes the flow what is said here: starts it when it does not run; leaves it alone when it is equal; changes
    /// only the outputs that differ when only outputs differ; restarts it otherwise. When any part fails, the flow
    /// is what it was before. Replied to with [`ReplyBody::Applied`].
    ApplyFlow(FlowSpec),
    /// What runs, and what was stopped by an operator. Replied to with [`ReplyBody::Flows`].
    ListFlows,
    /// Proves that the connection and the data plane's control side are alive. Replied to with [`ReplyBody::Done`].
    Ping,
    /// Stops a flow. Legal also when it does not run. Replied to with [`ReplyBody::Done`].
    StopFlow {
        /// The flow.
        flow_id: String,
        /// True when an operator stopped it through the API: the data plane remembers the id until the flow is
        /// applied again, so that a restarted control plane does not start it (configuration.md 9.2).
        by_operator: bool,
    },
}

/// What the data plane says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMessage {
    /// The answer to [`ClientMessage::Hello`].
    Welcome(Welcome),
    /// The answer to a [`Request`].
    Reply(Reply),
    /// Something happened; also kept in the event ring of the shared memory.
    Event(Event),
}

/// Who the data plane is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Welcome {
    /// [`PROTOCOL_VERSION`] of the data plane.
    pub protocol: u32,
    /// Version of its software.
    pub software_version: String,
    /// Random, new at each start of the data plane; the same value stands in the shared memory's header.
    pub boot_id: BootId,
    /// Its process id.
    pub pid: u32,
    /// CPU numbers of its packet cores.
    pub cores: Vec<u32>,
}

/// Identifies one run of the data plane.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct BootId(pub u64);

/// The answer to one request.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Reply {
    /// The request's id.
    pub id: u64,
    /// What came of it.
    pub result: Result<ReplyBody, ControlError>,
}

/// What a command that worked answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyBody {
    /// To [`Command::ApplyFlow`].
    Applied(FlowChange),
    /// To commands that have nothing to tell.
    Done,
    /// To [`Command::ListFlows`].
    Flows(FlowList),
}

/// What [`Command::ApplyFlow`] did.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowChange {
    /// The outputs that differed were exchanged; the input and equal outputs went on untouched.
    Outputs {
        /// Ids of outputs that are new or were replaced.
        added: Vec<String>,
        /// Ids of outputs that are gone or were replaced.
        removed: Vec<String>,
    },
    /// The input differed: the flow was stopped and started.
    Restarted,
    /// It did not run and was started.
    Started,
    /// It ran already as it was asked for; nothing was touched.
    Unchanged,
}

/// What the data plane runs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct FlowList {
    /// Running flows.
    pub running: Vec<FlowSpec>,
    /// Flows that an operator stopped since the data plane started.
    pub stopped_by_operator: Vec<String>,
}

/// Why a command was refused. The message names the field and the value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// For programs.
    pub kind: ControlErrorKind,
    /// For people.
    pub message: String,
}

impl ControlError {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ControlErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// What class of failure a [`ControlError`] is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlErrorKind {
    /// An address or port could not be bound, a group not joined, an interface not found.
    Bind,
    /// The message was not understood.
    Malformed,
    /// No slot, core or memory is left.
    Resources,
    /// This data plane cannot run such a flow.
    Unsupported,
    /// The protocol versions differ.
    Version,
}

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The far end closed the connection between two messages.
    #[error("the far end closed the connection")]
    Closed,
    /// The socket failed, or closed in the middle of a message.
    #[error("control socket: {0}")]
    Io(#[from] io::Error),
    /// The body is not the JSON of a message.
    #[error("control message is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The announced length is over [`MESSAGE_BYTES_MAX`].
    #[error("control message of {bytes} bytes exceeds the limit of {MESSAGE_BYTES_MAX}")]
    TooLong {
        /// The announced length.
        bytes: usize,
    },
}

/// Encodes a message with its length in front.
///
/// # Errors
///
/// [`FrameError::TooLong`] when it would exceed [`MESSAGE_BYTES_MAX`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let bytes = frame.len() - 4;
    match u32::try_from(bytes) {
        Ok(length) if bytes <= MESSAGE_BYTES_MAX => {
            frame[..4].copy_from_slice(&length.to_le_bytes());
            Ok(frame)
        }
        _ => Err(FrameError::TooLong { bytes }),
    }
}

/// The body length that a four-byte header announces.
///
/// # Errors
///
/// [`FrameError::TooLong`] when it exceeds [`MESSAGE_BYTES_MAX`].
pub fn body_length(header: [u8; 4]) -> Result<usize, FrameError> {
    match usize::try_from(u32::from_le_bytes(header)) {
        Ok(bytes) if bytes <= MESSAGE_BYTES_MAX => Ok(bytes),
        Ok(bytes) => Err(FrameError::TooLong { bytes }),
        Err(_) => Err(FrameError::TooLong { bytes: usize::MAX }),
    }
}

/// Decodes a message body.
///
/// # Errors
///
/// [`FrameError::Malformed`] when it is not such a message.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    Ok(serde_json::from_slice(body)?)
}

/// Reads one message from a blocking stream.
///
/// # Errors
///
/// As [`FrameError`]; [`FrameError::Closed`] only at a message boundary.
pub fn read_message<T: DeserializeOwned>(stream: &mut impl Read) -> Result<T, FrameError> {
    let mut header = [0; 4];
    let mut filled = 0;
    while filled < header.len() {
        match stream.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Err(FrameError::Closed),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let length = body_length(header)?;
    // Grows with what really arrives: an announced length alone must not reserve memory.
    let mut body = Vec::new();
    let read = stream.take(length as u64).read_to_end(&mut body)?;
    if read < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    decode(&body)
}

/// Writes one message to a blocking stream.
///
/// # Errors
///
/// As [`FrameError`].
pub fn write_message<T: Serialize>(stream: &mut impl Write, message: &T) -> Result<(), FrameError> {
    stream.write_all(&encode(message)?)?;
    stream.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
