//! The device's status page: HTTP/1.0 in Japanese on each of its ports, so that a forward (`ssh -L`) shows something.

use super::{SimulatedDevice, texts};
use chrono::Utc;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections served at once, for each port.
const CONNECTIONS: usize = 32;
/// The longest request that is read, in bytes.
const REQUEST: usize = 8 * 1024;
/// How long a visitor may take for one exchange.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves the page until `stop`.
pub async fn serve(listener: TcpListener, device: Arc<SimulatedDevice>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let accepting = async {
        while let Ok(place) = places.clone().acquire_owned().await {
            let Ok((socket, _)) = listener.accept().await else {
                // Out of file descriptors, most likely: trying again at once would only spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let device = device.clone();
            let stop = stop.clone();
            tokio::spawn(async move {
                // A visitor who leaves in the middle is no event on this device.
                let _ = stop.run_until_cancelled(tokio::time::timeout(PATIENCE, answer(socket, &device))).await;
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
}

/// Answers one HTTP request; anything else gets the connection closed without a word.
async fn answer(mut socket: TcpStream, device: &SimulatedDevice) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let could_be_http = [&b"GET "[..], b"HEAD "]
            .iter()
            .any(|method| request.iter().zip(method.iter()).all(|(read, expected)| read == expected));
        if !could_be_http || request.len() >= REQUEST || socket.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let page = page(device);
    let head = format!(
        "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    socket.write_all(head.as_bytes()).await?;
    if request.starts_with(b"GET ") {
        socket.write_all(page.as_bytes()).await?;
    }
    socket.shutdown().await
}

fn page(device: &SimulatedDevice) -> String {
    let personality = &device.personality;
    let now = texts::japan_time(Utc::now());
    let mut rows = String::new();
    for (label, value) in texts::status(personality.kind) {
        let _ = write!(rows, "<tr><th>{}</th><td>{}</td></tr>", escape(label), escape(value));
    }
    format!(
        "<!doctype html><html lang=\"ja\"><meta charset=\"utf-8\"><title>{id}</title>\
         <h1>{name}</h1><p>{kind}（{id}） 稼働中 {now}</p><table>{rows}</table>\
         <p>この画面はデモ用の模擬機器です。</p></html>\n",
        id = personality.id,
        name = escape(&personality.name),
        kind = personality.kind.label(),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
