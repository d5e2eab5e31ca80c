//! Fuzz target: any bytes as an RTP packet. Run by `cargo test`, and at length by `cargo bolero test fuzz_header`.

use bilbycast_rtp::RtpView;

#[test]
fn fuzz_header() {
    bolero::check!().for_each(|bytes| {
        if let Some(view) = RtpView::parse(bytes) {
            assert!(view.payload_offset() + view.payload().len() <= bytes.len());
        }
    });
}
