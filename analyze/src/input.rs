//! A recording, read from a file into the analyser.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bilbycast_mpegts::{
    Aligned, Analyser, AnalyserConfig, DATAGRAM_SIZE, TsAligner, is_ts_payload,
};
use bilbycast_rtp::{RtpView, SequenceTracker};

use crate::pcap::{PcapError, PcapReader, is_pcap};
use crate::report::{Capture, Report, Source};
use crate::timeline::{Clock, Packet, Sent, Timeline};

/// How a recording is to be read.
#[derive(Clone, Debug)]
pub struct Options {
    /// UDP destination port within a capture; `None` takes that of the first datagram with transport stream.
    pub port: Option<u16>,
    /// Bitrate in bits per second of a stream without PCR.
    pub bitrate_bps: Option<u64>,
    /// How time goes on from one PCR to the next.
    pub clock: Clock,
    /// How long a video or audio PID may be absent, in nanoseconds.
    pub pid_timeout_ns: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: None,
            bitrate_bps: None,
            clock: Clock::default(),
            pid_timeout_ns: AnalyserConfig::default().pid_timeout_ns,
        }
    }
}

/// Why a recording cannot be analysed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyseError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is no good as a capture.
    #[error("{}: {error}", path.display())]
    Pcap {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: PcapError,
    },
    /// There is no transport stream in it.
    #[error("{}: no transport packets of 188 bytes found", path.display())]
    NoPackets {
        /// The file.
        path: PathBuf,
    },
}

/// Analyses the file at `path`; whether it is a capture is told by its first bytes.
///
/// # Errors
///
/// An [`AnalyseError`] that names the file.
pub fn analyse(path: &Path, options: &Options) -> Result<Report, AnalyseError> {
    let io_error = |error| AnalyseError::Io {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(io_error)?;
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut start = Vec::new();
    input
        .by_ref()
        .take(4)
        .read_to_end(&mut start)
        .map_err(io_error)?;
    let whole = start.as_slice().chain(input);
    let mut run = Run::new(options);
    let capture = if is_pcap(&start) {
        let capture = run.read_pcap(whole, options.port);
        Some(capture.map_err(|error| AnalyseError::Pcap {
            path: path.to_owned(),
            error,
        })?)
    } else {
        run.read_ts(whole).map_err(io_error)?;
        None
    };
    run.report(path, capture)
        .ok_or_else(|| AnalyseError::NoPackets {
            path: path.to_owned(),
        })
}

/// A recording on its way through the analyser.
struct Run {
    aligner: TsAligner,
    timeline: Timeline,
    analyser: Analyser,
    bytes_discarded: u64,
}

impl Run {
    fn new(options: &Options) -> Self {
        Self {
            aligner: TsAligner::new(),
            timeline: Timeline::new(options.bitrate_bps).with_clock(options.clock),
            analyser: Analyser::new(AnalyserConfig {
                pid_timeout_ns: options.pid_timeout_ns,
                media: true,
            }),
            bytes_discarded: 0,
        }
    }

    fn read_ts(&mut self, mut input: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; 64 * DATAGRAM_SIZE];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => self.push(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read_pcap(&mut self, input: impl Read, port: Option<u16>) -> Result<Capture, PcapError> {
        let mut reader = PcapReader::new(input)?;
        let mut chosen: Option<(SocketAddr, bool)> = None;
        let mut sequence = SequenceTracker::new();
        let mut datagrams = 0;
        while let Some(datagram) = reader.next_datagram()? {
            let destination = datagram.destination;
            let rtp = RtpView::parse(datagram.payload);
            let is_raw = is_ts_payload(datagram.payload);
            let is_rtp = !is_raw && rtp.as_ref().is_some_and(|rtp| is_ts_payload(rtp.payload()));
            let (wanted, as_rtp) = *match &mut chosen {
                Some(chosen) => chosen,
                None if port.is_some_and(|port| port != destination.port()) => continue,
                None if !is_raw && !is_rtp => continue,
                none => none.insert((destination, is_rtp)),
            };
            if destination != wanted {
                continue;
            }
            datagrams += 1;
            match rtp {
                Some(rtp) if as_rtp => {
                    sequence.on_packet(rtp.ssrc(), rtp.sequence());
                    self.push(rtp.payload());
                }
                _ if as_rtp => {}
                _ => self.push(datagram.payload),
            }
        }
        sequence.settle();
        Ok(Capture {
            destination: chosen.map(|(destination, _)| destination.to_string()),
            datagrams,
            rtp_packets_lost: chosen
                .filter(|&(_, as_rtp)| as_rtp)
                .map(|_| sequence.lost()),
        })
    }

    fn push(&mut self, bytes: &[u8]) {
        let (timeline, analyser) = (&mut self.timeline, &mut self.analyser);
        if self.aligner.take_aligned(bytes) {
            for packet in bytes.as_chunks().0 {
                timeline.push(packet, &mut |sent| judge(analyser, sent));
            }
            return;
        }
        let discarded = self.aligner.push_each(bytes, |found| match found {
            Aligned::Packet(packet) => timeline.push(packet, &mut |sent| judge(analyser, sent)),
            Aligned::SyncLoss => timeline.on_sync_loss(),
        });
        self.bytes_discarded += discarded.bytes as u64;
    }

    /// `None` when there were no packets.
    fn report(mut self, path: &Path, capture: Option<Capture>) -> Option<Report> {
        let analyser = &mut self.analyser;
        self.timeline.finish(&mut |sent| judge(analyser, sent));
        // Less than five packets, or the last one whose successor would tell about its sync byte.
        self.bytes_discarded += self.aligner.carried() as u64;
        if self.analyser.counters().packets == 0 {
            return None;
        }
        self.analyser.finish(self.timeline.end_ns());
        let source = Source {
            file: path.to_path_buf(),
            capture,
            bytes_discarded: self.bytes_discarded,
        };
        Some(Report::new(source, &self.timeline, &self.analyser))
    }
}

fn judge(analyser: &mut Analyser, sent: Sent<'_>) {
    match sent {
        Sent::Packet(packet, at_ns) => {
            analyser.on_packets(std::slice::from_ref::<Packet>(packet), at_ns)
        }
        Sent::SyncLoss => analyser.on_sync_loss(),
    }
}
