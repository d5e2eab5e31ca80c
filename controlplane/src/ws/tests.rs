use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use actix_web::body::MessageBody;
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpServer, web};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::*;

const IMPATIENT: Limits = Limits {
    ping_period: Duration::from_millis(50),
    silence_max: Duration::from_millis(400),
};

/// A server whose clients get what `frames` says.
struct Server {
    address: SocketAddr,
    frames: watch::Sender<Option<ByteString>>,
    places: Arc<Semaphore>,
    handle: ServerHandle,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start(limits: Limits) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let frames = watch::Sender::new(None);
        let places = Arc::new(Semaphore::new(4));
        let shared = web::Data::new((frames.clone(), Arc::clone(&places), limits));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _inside = runtime.enter();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::clone(&shared))
                .route("/", web::get().to(upgrade))
        });
        let server = server.workers(1).disable_signals().listen(listener);
        let server = server.unwrap().run();
        let handle = server.handle();
        runtime.spawn(server);
        Self {
            address,
            frames,
            places,
            handle,
            runtime,
        }
    }

    fn connect(&self) -> WebSocket<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        client(format!("ws://{}/", self.address), stream).unwrap().0
    }

    /// Waits until all places are free again.
    fn wait_until_free(&self) {
        let places = self.places.acquire_many(4);
        let all = self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(20), places).await });
        drop(all.unwrap().unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.runtime.block_on(self.handle.stop(false));
    }
}

type Shared = (watch::Sender<Option<ByteString>>, Arc<Semaphore>, Limits);

async fn upgrade(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> actix_web::Result<actix_web::HttpResponse> {
    let (frames, places, limits) = &**shared;
    let (response, session, messages) = actix_ws::handle(&request, payload)?;
    let taken = Arc::new(Notify::new());
    let response = response.map_body(|_, body| Paced::new(body, Arc::clone(&taken)).boxed());
    let client = Client {
        session,
        messages,
        taken,
        place: Arc::clone(places).try_acquire_owned().unwrap(),
    };
    let feed = Feed::Stats(frames.subscribe());
    let limits = *limits;
    actix_web::rt::spawn(async move {
        // A sender that is gone would end the stream at once.
        let (_ending, end) = watch::channel(false);
        serve(client, feed, end, limits).await;
    });
    Ok(response)
}

#[test]
fn a_client_that_answers_stays() {
    let server = Server::start(IMPATIENT);
    let mut socket = server.connect();
    let mut pings = 0;
    // Reading answers. Twenty periods are more than the silence that is allowed.
    while pings < 20 {
        if let Message::Ping(_) = socket.read().unwrap() {
            pings += 1;
        }
    }
    server.frames.send_replace(Some("[1]".into()));
    while socket.read().unwrap() != Message::text("[1]") {}
}

#[test]
fn a_silent_client_is_sent_away() {
    let server = Server::start(IMPATIENT);
    let socket = server.connect();
    server.wait_until_free();
    // It reads the bytes and answers nothing; the last are the farewell.
    let mut bytes = Vec::new();
    socket.get_ref().read_to_end(&mut bytes).unwrap();
    let away = u16::from(CloseCode::Away).to_be_bytes();
    assert_eq!(bytes[bytes.len() - 4..], [0x88, 2, away[0], away[1]]);
}

#[test]
fn a_client_that_reads_nothing_keeps_neither_its_place_nor_frames() {
    let server = Server::start(IMPATIENT);
    let _socket = server.connect();
    let frame = ByteString::from("x".repeat(8 << 20));
    server.frames.send_replace(Some(frame.clone()));
    server.frames.send_replace(Some(frame));
    server.wait_until_free();
}

#[test]
fn a_queue_never_holds_more_than_the_newest_frame() {
    let server = Server::start(Limits::DEFAULT);
    let mut socket = server.connect();
    // More than the buffers of both sockets hold.
    let padding = "x".repeat(8 << 20);
    for number in 0..50 {
        let frame = format!("{number} {padding}");
        server.frames.send_replace(Some(frame.into()));
        std::thread::yield_now();
    }
    let mut frames = 0;
    loop {
        let text = socket.read().unwrap().into_text().unwrap();
        frames += 1;
        if text.starts_with("49 ") {
            break;
        }
    }
    assert!(frames <= 5, "{frames} frames");
}
