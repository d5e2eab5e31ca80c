//! What a decoder that others wrote makes of the stream. These tests do nothing where ffmpeg is not
//! installed, and say so.

use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Output, Stdio};
use std::thread;

use super::super::picture::{BARS, Colour, PictureFormat};
use super::*;

/// `duration` of a stream, with null packets in place of the frame and the audio PES packet that are
/// under way at its end: a decoder takes what it got of them for damage.
fn stream_of(config: &TestSourceConfig, duration: Duration) -> Vec<u8> {
    let mut source = TestSource::new(config).unwrap();
    let mut bytes = vec![0; source.packets_due(duration) as usize * TS_PACKET_SIZE];
    source.write(&mut bytes);
    let (chunks, _) = bytes.as_chunks_mut::<TS_PACKET_SIZE>();
    for pid in [TestSource::VIDEO_PID, TestSource::AUDIO_PID] {
        for packet in chunks.iter_mut().rev() {
            let view = TsPacket::new(packet);
            if view.pid() == pid {
                let starts = view.payload_unit_start_indicator();
                *packet = NULL_PACKET;
                if starts {
                    break;
                }
            }
        }
    }
    bytes
}

/// Runs a program with `input` on its standard input and hands its standard output to `read`. Answers
/// with exit status and messages, or `None` when there is no such program.
fn run(
    program: &str,
    arguments: &[&str],
    input: &[u8],
    read: impl FnOnce(&mut dyn Read),
) -> Option<Output> {
    let mut child = match Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let output = thread::scope(|scope| {
        // A program that gives up closes its input; the messages tell why.
        scope.spawn(move || _ = stdin.write_all(input));
        let output = scope.spawn(move || child.wait_with_output().unwrap());
        read(&mut stdout);
        drop(stdout);
        output.join().unwrap()
    });
    Some(output)
}

/// A frame as planar Y'CbCr 4:2:0, drawn pixel by pixel, without regard to macroblocks.
fn draw(format: &PictureFormat, frame: u32) -> Vec<u8> {
    let (width, height) = (format.width as usize, format.height as usize);
    let box_x = format.box_x(frame % format.loop_frames()) as usize;
    let box_rows = format.box_rows();
    let (box_top, box_end) = (box_rows.start as usize * 16, box_rows.end as usize * 16);
    let box_width = box_end - box_top;
    let bars_end = height * 4 / 5 / 16 * 16;
    let mut picture = Vec::with_capacity(width * height * 3 / 2);
    for (step, component) in [
        (1, (|colour| colour.y) as fn(Colour) -> u8),
        (2, |colour| colour.cb),
        (2, |colour| colour.cr),
    ] {
        for y in (0..height).step_by(step) {
            let start = picture.len();
            if y < bars_end {
                for bar in BARS {
                    picture.resize(picture.len() + width / 8 / step, component(bar));
                }
            } else {
                picture.resize(start + width / step, component(Colour::BLACK));
            }
            if (box_top..box_end).contains(&y) {
                let left = start + box_x / step;
                picture[left..left + box_width / step].fill(component(Colour::WHITE));
            }
        }
    }
    picture
}

/// Lets ffmpeg decode the whole loop and compares each frame.
fn assert_every_pixel_is_as_drawn(bitrate_bps: u64, format: &PictureFormat) {
    let second = Duration::from_secs(1);
    let stream = stream_of(
        &TestSourceConfig::new(bitrate_bps),
        second * format.loop_frames() / 25 + second,
    );
    let arguments = "-v warning -xerror -f mpegts -i pipe:0 -map 0:a -f null - \
        -map 0:v -fps_mode passthrough -f rawvideo -pix_fmt yuv420p pipe:1";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let mut frames = 0;
    let mut differs = None;
    let output = run("ffmpeg", &arguments, &stream, |video| {
        let mut decoded = draw(format, 0);
        while video.read_exact(&mut decoded).is_ok() {
            if differs.is_none() && decoded != draw(format, frames) {
                differs = Some(frames);
            }
            frames += 1;
        }
    });
    let Some(output) = output else { return };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(differs, None, "first frame that is not as drawn");
    assert!(frames > format.loop_frames(), "only {frames} frames");
}

#[test]
fn ffmpeg_decodes_sd_as_drawn() {
    assert_every_pixel_is_as_drawn(TestSourceConfig::BITRATE_BPS_MIN, &PictureFormat::SD);
}

#[test]
fn ffmpeg_decodes_hd_as_drawn() {
    assert_every_pixel_is_as_drawn(4_000_000, &PictureFormat::HD);
}

#[test]
fn ffprobe_sees_what_the_tables_say() {
    for (bitrate_bps, size, channels) in [(1_000_000, "640,360", 1), (8_000_000, "1920,1080", 2)] {
        let config = TestSourceConfig {
            service_name: "Pr\u{fc}fbild 1".to_owned(),
            ..TestSourceConfig::new(bitrate_bps)
        };
        let stream = stream_of(&config, Duration::from_secs(3));
        let arguments = "-v warning -f mpegts -i pipe:0 -of csv -show_entries \
            program_tags=service_name:program_stream=:\
            stream=codec_name,width,height,r_frame_rate,sample_rate,channels:stream_disposition=";
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let mut text = String::new();
        let output = run("ffprobe", &arguments, &stream, |out| {
            out.read_to_string(&mut text).unwrap();
        });
        let Some(output) = output else { return };
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(text.contains("Pr\u{fc}fbild 1"), "{text}");
        assert!(text.contains(&format!("stream,h264,{size},25/1")), "{text}");
        let audio = format!("stream,mp2,48000,{channels},");
        assert!(text.contains(&audio), "{text}");
    }
}
