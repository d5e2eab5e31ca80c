//! The harness of the end-to-end tests: the real binaries in a folder of their own, real peers on loopback addresses
//! of their own, and the judgement of what arrived.
//!
//! * [`node`], [`process`]: the two processes, started, killed and restarted; their logs are shown when a test fails.
//! * [`api`], [`flows`]: the REST API and the JSON that it takes.
//! * [`stamped`], [`sender`], [`sink`]: streams in which every packet says who it is and when it left.
//! * [`recorder`], [`ffmpeg`], [`ts`]: whole streams of other people's encoders, kept and compared byte by byte.
//! * [`noise`], [`delay`]: what the machine itself does to time, so that it is not held against the product.
//! * [`playback`]: transport streams at their own pace, and what the API shows of them.
//! * [`fec_path`]: a network that loses what a test says, and what ST 2022-1 can then recover on paper.
//! * [`link`]: a link that delays and loses in both directions; [`srt_peer`]: libsrt at its end.
//! * [`rtp`]: single RTP packets with any header.
//! * [`udp`], [`netns`]: sockets with kernel timestamps and groups; networks of a test's own.
//!
//! A harness has nobody to report an error to but the person who reads the test's output, so its functions panic, with
//! the circumstances in the message.
#![forbid(unsafe_code)]

pub mod address;
pub mod api;
pub mod cpu;
pub mod delay;
pub mod fec_path;
pub mod ffmpeg;
pub mod flows;
pub mod link;
pub mod netns;
pub mod node;
pub mod noise;
pub mod playback;
pub mod process;
pub mod recorder;
pub mod rtp;
pub mod sender;
pub mod sink;
pub mod srt_peer;
pub mod stamped;
pub mod ts;
pub mod udp;
pub mod wait;
