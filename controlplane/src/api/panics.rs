//! A panic in a handler is a defect, and stays the matter of one request: it is answered by 500, the worker goes on.
//!
//! This needs unwinding, so no profile may set `panic = "abort"`.

use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use futures_lite::FutureExt;

use super::envelope::ApiError;

/// The middleware.
pub(super) async fn contain<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    // Requests share nothing but what lies behind locks, and those who hold one exchange whole values: none is left
    // half changed. The call itself is part of the future, so that extractors and guards are contained too.
    let answer = AssertUnwindSafe(async { next.call(request).await });
    match answer.catch_unwind().await {
        Ok(result) => result,
        // What it was about is in the log already: the panic hook wrote it.
        Err(_) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal error; see the log".to_owned(),
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

    use super::*;
    use crate::api::access_log;

    async fn explode(request: HttpRequest) -> HttpResponse {
        tokio::task::yield_now().await;
        panic!("a defect in {}", request.path());
    }

    struct Explosive;

    impl actix_web::FromRequest for Explosive {
        type Error = Error;
        type Future = std::future::Ready<Result<Self, Error>>;

        fn from_request(_: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
            panic!("a defect in an extractor");
        }
    }

    async fn extract(_: Explosive) -> HttpResponse {
        HttpResponse::Ok().finish()
    }

    fn ask(stream: &mut TcpStream, path: &str) -> String {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let mut chunk = [0; 4_096];
        while !answer.ends_with(b"}") && !answer.ends_with(b"well") {
            let length = stream.read(&mut chunk).unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&chunk[..length]);
        }
        String::from_utf8(answer).unwrap()
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).unwrap();
        stream
    }

    #[test]
    fn a_panic_is_one_answer_and_nothing_else() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = HttpServer::new(|| {
            App::new()
                .wrap(from_fn(contain))
                .wrap(from_fn(access_log::record))
                .route("/explode", web::get().to(explode))
                .route("/extract", web::get().to(extract))
                .route("/", web::get().to(|| async { "well" }))
        });
        // One worker: if it died, nothing would be answered any more.
        let server = server.workers(1).disable_signals();
        let server = server.listen(listener).unwrap();
        let context = runtime.enter();
        runtime.spawn(server.run());
        drop(context);
        let mut other = connect(address);
        assert!(ask(&mut other, "/").ends_with("well"));
        let mut stream = connect(address);
        for path in ["/explode", "/extract", "/explode"] {
            let answer = ask(&mut stream, path);
            assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
            assert!(
                answer.ends_with(r#"{"success":false,"error":"internal error; see the log"}"#),
                "{answer}"
            );
        }
        assert!(
            ask(&mut stream, "/").ends_with("well"),
            "the connection goes on"
        );
        assert!(ask(&mut other, "/").ends_with("well"), "so do the others");
        runtime.shutdown_background();
    }
}
