//! The access log, as the process writes it.

use crate::auth::{ADMIN_SECRET, JWT_SECRET, MONITOR_SECRET, auth, folder, request_token, token};
use crate::process::Process;
use crate::wire::ask;

#[test]
fn it_names_the_caller_and_keeps_every_secret() {
    let folder = folder(&auth());
    // Every level down to trace, and those of the libraries too.
    let mut process = Process::start(&folder, &["-p", "0", "-b", "127.0.0.1", "-l", "trace"]);
    let address = process.address();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let asked = std::panic::catch_unwind(|| ask_all(&address));
            // However it ended: the other side waits for this line.
            ask(&address, "POST /api/v1/flows/the-end/stop", &[], "");
            asked.unwrap();
        });
        // Read meanwhile: a pipe that nobody reads holds the process up.
        while !process.read_line().contains("/the-end/stop 401") {}
    });
    let log = process.into_log();
    for line in [
        "access: 127.0.0.1 POST /oauth/token 200 ",
        "access: 127.0.0.1 POST /oauth/token 400 ",
        "access: 127.0.0.1 GET /api/v1/flows 200 ",
        "access: 127.0.0.1 POST /api/v1/flows 403 ",
        "access: 127.0.0.1 POST /api/v1/flows 400 ",
        "access: 127.0.0.1 GET /api/v1/flows 401 ",
        "access: 127.0.0.1 GET /api/v1/ws/stats 401 ",
        "access: 127.0.0.1 DELETE /api/v1/flows/%0D%0AERROR%20forged 404 ",
        " ms client=\"admin-client\"",
        " ms client=\"monitor-client\"",
        " ms client=-",
    ] {
        assert!(log.contains(line), "no {line:?} in {log}");
    }
    let refused = log.lines().find(|line| line.contains(" 403 ")).unwrap();
    assert!(refused.ends_with("client=\"monitor-client\""), "{refused}");
    for secret in [
        ADMIN_SECRET,
        MONITOR_SECRET,
        JWT_SECRET,
        "a-secret-that-is-wrong",
        "a-token-that-is-wrong",
        "a-body-that-stays-inside",
        "a-query",
        "eyJ",
    ] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

fn ask_all(address: &str) {
    let admin = token(address, "admin-client", ADMIN_SECRET);
    let monitor = token(address, "monitor-client", MONITOR_SECRET);
    request_token(address, "admin-client", "a-secret-that-is-wrong");
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let body = r#"{"id": "a-body-that-stays-inside"}"#;
    for (line, header, body) in [
        (
            "GET /api/v1/flows?q=a-query".to_owned(),
            bearer(&monitor),
            "",
        ),
        ("POST /api/v1/flows".to_owned(), bearer(&monitor), body),
        ("POST /api/v1/flows".to_owned(), bearer(&admin), body),
        (
            "GET /api/v1/flows".to_owned(),
            bearer("a-token-that-is-wrong"),
            "",
        ),
        (
            format!("GET /api/v1/ws/stats?token={monitor}"),
            "X: y".to_owned(),
            "",
        ),
        (
            format!("GET /api/v1/ws/stats?token={admin}x"),
            "X: y".to_owned(),
            "",
        ),
        (
            format!("GET /api/v1/flows?token={admin}"),
            "X: y".to_owned(),
            "",
        ),
        (
            "DELETE /api/v1/flows/%0D%0AERROR%20forged".to_owned(),
            bearer(&admin),
            "",
        ),
    ] {
        ask(address, &line, &[&header], body);
    }
}

#[test]
fn what_is_merely_read_is_not_logged_at_info() {
    let folder = folder(&serde_json::Value::Null);
    let mut process = Process::start(&folder, &["-p", "0", "-b", "127.0.0.1"]);
    let address = process.address();
    ask(&address, "GET /api/v1/flows", &[], "");
    ask(&address, "POST /api/v1/flows/none/start", &[], "");
    let log = process.into_log();
    assert!(!log.contains("GET /api/v1/flows"), "{log}");
    assert!(log.contains("POST /api/v1/flows/none/start 404"), "{log}");
}
