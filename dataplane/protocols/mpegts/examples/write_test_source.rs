//! Writes the built-in test source to standard output:
//! `cargo run --release -p bilbycast-mpegts --example write_test_source -- 8000000 10 > test.ts`
//!
//! Behind the time asked for come some packets more, until the frame and the audio PES packet that are
//! under way are complete: whoever reads the file would take the missing rest for damage.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bilbycast_mpegts::{
    DATAGRAM_SIZE, NULL_PACKET, TS_PACKET_SIZE, TestSource, TestSourceConfig, TsPacket,
};

fn main() -> ExitCode {
    let arguments: Vec<u64> = std::env::args()
        .skip(1)
        .map_while(|text| text.parse().ok())
        .collect();
    let [bitrate_bps, seconds] = arguments[..] else {
        eprintln!("usage: write_test_source <bitrate in bit/s> <seconds> > file.ts");
        return ExitCode::from(2);
    };
    match run(bitrate_bps, seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("write_test_source: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(bitrate_bps: u64, seconds: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut source = TestSource::new(&TestSourceConfig::new(bitrate_bps))?;
    let mut out = io::stdout().lock();
    let mut buffer = [0; 64 * DATAGRAM_SIZE];
    let packets = source.packets_due(Duration::from_secs(seconds));
    let mut left = usize::try_from(packets)? * TS_PACKET_SIZE;
    while left > 0 {
        let size = left.min(buffer.len());
        source.write(&mut buffer[..size]);
        out.write_all(&buffer[..size])?;
        left -= size;
    }
    let mut under_way = vec![TestSource::VIDEO_PID, TestSource::AUDIO_PID];
    while !under_way.is_empty() {
        let mut packet = [0; TS_PACKET_SIZE];
        source.write(&mut packet);
        let view = TsPacket::new(&packet);
        if view.payload_unit_start_indicator() {
            under_way.retain(|&pid| pid != view.pid());
        }
        let wanted = under_way.contains(&view.pid());
        out.write_all(if wanted { &packet } else { &NULL_PACKET })?;
    }
    Ok(())
}
