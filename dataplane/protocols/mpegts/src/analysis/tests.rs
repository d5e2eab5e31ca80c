mod bounds;
mod faults;
mod live;

use super::engine::CLOCKS;
use super::media::Media;
use super::pids::Pids;
use super::section::Sections;
use super::tables::Tables;
use super::*;
use crate::packet::{Pcr27MHz, Pid, SYNC_BYTE, TsPacket};
use crate::source::{TestSource, TestSourceConfig};

type Packet = [u8; TS_PACKET_SIZE];

/// A recording of the built-in test source, to be spoiled.
struct Recording {
    bitrate_bps: u64,
    packets: Vec<Packet>,
}

impl Recording {
    fn new(bitrate_bps: u64, ms: u64) -> Self {
        let mut source = TestSource::new(&TestSourceConfig::new(bitrate_bps)).unwrap();
        let mut packets = vec![[0; TS_PACKET_SIZE]; (bitrate_bps * ms / 1_504_000) as usize];
        source.write(packets.as_flattened_mut());
        Self {
            bitrate_bps,
            packets,
        }
    }

    /// When the packet at `position` is sent.
    fn at_ns(&self, position: usize) -> u64 {
        let ns = position as u128 * 1504 * 1_000_000_000 / u128::from(self.bitrate_bps);
        1_000_000_000 + ns as u64
    }

    /// Positions of the packets of `pid`.
    fn of(&self, pid: Pid) -> Vec<usize> {
        self.positions(|packet| packet.pid() == pid)
    }

    fn positions(&self, wanted: impl Fn(TsPacket<'_>) -> bool) -> Vec<usize> {
        (0..self.packets.len())
            .filter(|&n| wanted(TsPacket::new(&self.packets[n])))
            .collect()
    }

    /// Positions of the packets with a PCR.
    fn pcrs(&self) -> Vec<usize> {
        self.positions(|packet| packet.pcr().is_some())
    }

    /// Moves the clock in the packet at `position` by `ticks` of 27 MHz.
    fn move_pcr(&mut self, position: usize, ticks: i64) {
        let packet = &mut self.packets[position];
        let pcr = TsPacket::new(packet).pcr().unwrap().ticks() as i64 + ticks;
        let pcr = Pcr27MHz::from_ticks(pcr.rem_euclid(Pcr27MHz::MODULUS as i64) as u64);
        packet[6..12].copy_from_slice(&pcr.to_wire());
    }

    /// Replaces the packet by a null packet and lets the counters of its PID go on without it.
    fn take_out(&mut self, positions: &[usize]) {
        for &position in positions {
            let pid = TsPacket::new(&self.packets[position]).pid();
            self.packets[position] = crate::packet::NULL_PACKET;
            for packet in &mut self.packets[position..] {
                if TsPacket::new(packet).pid() == pid {
                    packet[3] = (packet[3] & 0xF0) | (packet[3].wrapping_sub(1) & 0x0F);
                }
            }
        }
    }

    /// Analysed in datagrams of seven packets that arrive at the constant bitrate.
    fn analyse(&self) -> Analyser {
        self.analyse_in(7)
    }

    fn analyse_in(&self, per_datagram: usize) -> Analyser {
        let mut analyser = Analyser::new(AnalyserConfig::default());
        for (n, datagram) in self.packets.chunks(per_datagram).enumerate() {
            analyser.on_packets(datagram, self.at_ns(n * per_datagram));
        }
        analyser.finish(self.at_ns(self.packets.len()));
        analyser
    }
}

/// Counters without those of packets that were merely seen.
fn errors(analyser: &Analyser) -> Counters {
    Counters {
        packets: 0,
        null_packets: 0,
        scrambled_packets: 0,
        pat_sections: 0,
        pmt_sections: 0,
        ..*analyser.counters()
    }
}

const NONE_AT_ALL: Counters = Counters {
    packets: 0,
    null_packets: 0,
    scrambled_packets: 0,
    pat_sections: 0,
    pmt_sections: 0,
    sync_losses: 0,
    sync_byte_errors: 0,
    pat_errors: 0,
    cc_errors: 0,
    pmt_errors: 0,
    pid_errors: 0,
    tei_errors: 0,
    crc_errors: 0,
    pcr_repetition_errors: 0,
    pcr_discontinuity_errors: 0,
    pcr_accuracy_errors: 0,
    pts_errors: 0,
    cat_errors: 0,
    nit_errors: 0,
    si_repetition_errors: 0,
    unreferenced_pids: 0,
    sdt_errors: 0,
    eit_errors: 0,
    tdt_errors: 0,
};
