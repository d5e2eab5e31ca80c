//! Whatever a capture file says, reading it ends, without a panic and within its bounds. Run by `cargo test`, and at length by
//! `cargo bolero test fuzz_pcap`.

use bilbycast_analyze::pcap::PcapReader;

#[test]
fn fuzz_pcap() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut file = vec![0xD4, 0xC3, 0xB2, 0xA1];
        file.resize(20, 0);
        // One of the link types, then frames of whatever comes.
        let link = [0_u8, 1, 101, 113][usize::from(bytes.first().copied().unwrap_or(0)) % 4];
        file.extend_from_slice(&[link, 0, 0, 0]);
        for frame in bytes.chunks(97) {
            file.extend_from_slice(&[0; 8]);
            file.extend_from_slice(&[frame.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
            file.extend_from_slice(frame);
        }
        for input in [&file[..], bytes] {
            let Ok(mut reader) = PcapReader::new(input) else {
                continue;
            };
            let mut payload = 0;
            while let Ok(Some(datagram)) = reader.next_datagram() {
                payload += datagram.payload.len();
            }
            assert!(payload <= input.len());
        }
    });
}
