use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn ping(id: u64) -> ClientMessage {
    ClientMessage::Request(Request {
        id,
        command: Command::Ping,
    })
}

#[test]
fn messages_come_back_as_they_were_sent() {
    let mut wire = Vec::new();
    for id in 0..3 {
        write_message(&mut wire, &ping(id)).unwrap();
    }
    let mut stream = Cursor::new(wire);
    for id in 0..3 {
        assert_eq!(
            read_message::<ClientMessage>(&mut stream).unwrap(),
            ping(id)
        );
    }
    let end = read_message::<ClientMessage>(&mut stream);
    assert!(matches!(end, Err(FrameError::Closed)), "{end:?}");
}

#[test]
fn a_length_over_the_limit_is_refused_before_anything_is_read() {
    let mut stream = Cursor::new([0xff; 4]);
    let error = read_message::<ClientMessage>(&mut stream).unwrap_err();
    assert!(matches!(error, FrameError::TooLong { .. }), "{error}");
}

#[test]
fn a_message_cut_short_is_an_io_error() {
    let mut frame = encode(&ping(7)).unwrap();
    frame.pop();
    let error = read_message::<ClientMessage>(&mut Cursor::new(frame)).unwrap_err();
    assert!(matches!(error, FrameError::Io(_)), "{error}");
}

proptest! {
    #[test]
    fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read_message::<ClientMessage>(&mut Cursor::new(&bytes));
        let _ = decode::<ServerMessage>(&bytes);
    }
}
