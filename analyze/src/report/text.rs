//! The report for people.

use std::fmt;

use super::{AudioEntry, DataEntry, MediaAnalysis, Report, Tr101290, VideoEntry};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.source.file.display())?;
        if let Some(capture) = &self.source.capture {
            let destination = capture.destination.as_deref().unwrap_or("nowhere");
            write!(f, "  {} datagrams to {destination}", capture.datagrams)?;
            match capture.rtp_packets_lost {
                Some(lost) => writeln!(f, ", RTP, {lost} lost")?,
                None => writeln!(f)?,
            }
        }
        writeln!(
            f,
            "  {} packets, {:.3} s by {}, {} b/s, {:.2} % null",
            self.tr101290.ts_packets_analyzed,
            self.time.duration_seconds,
            match (self.time.base, self.time.pcr_pid) {
                ("pcr_steps", Some(pid)) => format!("the steps of the PCR on PID {pid}"),
                (_, Some(pid)) => format!("the PCR on PID {pid}"),
                ("bitrate", _) => "the bitrate given".to_owned(),
                _ => "no clock".to_owned(),
            },
            self.media_analysis.total_bitrate_bps,
            self.media_analysis.null_percent,
        )?;
        if self.source.bytes_discarded > 0 {
            writeln!(
                f,
                "  {} bytes belong to no packet",
                self.source.bytes_discarded
            )?;
        }
        writeln!(f)?;
        self.media_analysis.write(f)?;
        writeln!(f)?;
        self.tr101290.write(f)?;
        writeln!(
            f,
            "\nPID     role                packets       b/s  CC errors  PCR errors"
        )?;
        for pid in &self.pids {
            write!(
                f,
                "{:<7} {:<18} {:>8} {:>9} {:>10}",
                pid.pid, pid.role, pid.packets, pid.bitrate_bps, pid.cc_errors
            )?;
            match pid.pcr_accuracy_errors {
                Some(errors) => writeln!(f, " {errors:>11}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl MediaAnalysis {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for program in &self.programs {
            write!(
                f,
                "Programme {}, PMT PID {}",
                program.number, program.pmt_pid
            )?;
            match program.pcr_pid {
                Some(pid) => writeln!(f, ", PCR PID {pid}")?,
                None => writeln!(f)?,
            }
            let here = |number| number == program.number;
            for video in self.video_streams.iter().filter(|v| here(v.program)) {
                video.write(f)?;
            }
            for audio in self.audio_streams.iter().filter(|a| here(a.program)) {
                audio.write(f)?;
            }
            for data in self.data_streams.iter().filter(|d| here(d.program)) {
                data.write(f)?;
            }
        }
        Ok(())
    }
}

impl VideoEntry {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<5} video  {}", self.pid, self.codec)?;
        if let Some(resolution) = &self.resolution {
            let scan = match self.interlaced {
                Some(true) => "i",
                Some(false) => "p",
                None => "",
            };
            write!(f, " {resolution}{scan}")?;
        }
        if let Some(rate) = self.frame_rate {
            write!(f, " {rate} frames/s")?;
        }
        if let (Some(profile), Some(level)) = (self.profile, self.level) {
            write!(f, ", {profile} @ {level}")?;
        }
        if let (Some(chroma), Some(bits)) = (self.chroma, self.bit_depth) {
            write!(f, ", {chroma} {bits} bit")?;
        }
        writeln!(f, ", {} b/s", self.bitrate_bps)
    }
}

impl AudioEntry {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<5} audio  {}", self.pid, self.codec)?;
        if let Some(rate) = self.sample_rate_hz {
            write!(f, " {rate} Hz")?;
        }
        if let Some(channels) = self.channels {
            write!(f, " {channels} channels")?;
        }
        if let Some(language) = &self.language {
            write!(f, " {language}")?;
        }
        writeln!(f, ", {} b/s", self.bitrate_bps)
    }
}

impl DataEntry {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  {:<5} data   {} (type 0x{:02X})",
            self.pid, self.codec, self.stream_type
        )?;
        if let Some(language) = &self.language {
            write!(f, " {language}")?;
        }
        writeln!(f, ", {} b/s", self.bitrate_bps)
    }
}

impl Tr101290 {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("1.1 sync loss", Some(self.sync_loss_count)),
            ("1.2 sync byte", Some(self.sync_byte_errors)),
            ("1.3 PAT", Some(self.pat_errors)),
            ("1.4 continuity", Some(self.cc_errors)),
            ("1.5 PMT", Some(self.pmt_errors)),
            ("1.6 PID", self.pid_errors),
            ("2.1 transport error", Some(self.tei_errors)),
            ("2.2 CRC", Some(self.crc_errors)),
            ("2.3a PCR repetition", self.pcr_repetition_errors),
            (
                "2.3b PCR discontinuity",
                Some(self.pcr_discontinuity_errors),
            ),
            ("2.4 PCR accuracy", Some(self.pcr_accuracy_errors)),
            ("2.5 PTS", self.pts_errors),
            ("2.6 CAT", Some(self.cat_errors)),
            ("3.1 NIT", self.nit_errors),
            ("3.2 SI repetition", self.si_repetition_errors),
            ("3.4 unreferenced PID", self.unreferenced_pids),
            ("3.5 SDT", self.sdt_errors),
            ("3.6 EIT", self.eit_errors),
            ("3.8 TDT", self.tdt_errors),
        ];
        writeln!(f, "TR 101 290                   errors")?;
        for (name, count) in lines {
            match count {
                Some(count) => writeln!(f, "  {name:<24} {count:>8}")?,
                None => writeln!(f, "  {name:<24}        -")?,
            }
        }
        Ok(())
    }
}
