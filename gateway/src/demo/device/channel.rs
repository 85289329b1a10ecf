//! One session channel, from its request to its exit status: a shell, one command, or SFTP.

use super::seat::Seat;
use super::terminal::{Exit, Input, Keyboard, Size};
use super::{SimulatedDevice, commands, programs, sftp, shell};
use bytes::BytesMut;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What stands between the channel and the SFTP server, in bytes for each direction: one packet at least.
const SFTP_BUFFER: usize = 512 * 1024;
/// The largest piece of SFTP output written at once.
const SFTP_PIECE: usize = 32 * 1024;

/// Serves a channel to its end: output, then the exit status or signal, then EOF, then close (RFC 4254 §5.3, §6.10).
pub async fn serve(device: Arc<SimulatedDevice>, account: String, channel: Channel<Msg>, handle: Handle) {
    let id = channel.id();
    let (mut read, write) = channel.split();
    let Some((request, size)) = request(&mut read).await else { return };
    let (exit, write) = match request {
        Request::Sftp => (transfer_files(&device, read, &write).await, write),
        Request::Shell => {
            let mut seat = Seat::new(device, account, read, write, size);
            let exit = shell::run(&mut seat).await.unwrap_or(Exit::Gone);
            (exit, seat.console.into_channel())
        }
        Request::Command(line) => {
            let mut seat = Seat::new(device, account, read, write, size);
            let exit = run_one(&mut seat, &line).await.unwrap_or(Exit::Gone);
            (exit, seat.console.into_channel())
        }
    };
    // Nothing is left to do for a caller who is gone by now.
    let _ = match exit {
        Exit::Status(status) => write.exit_status(status).await.is_ok(),
        Exit::Signal(signal) => {
            handle.exit_signal_request(id, signal, false, String::new(), String::new()).await.is_ok()
        }
        Exit::Gone => false,
    };
    let _ = write.eof().await;
    let _ = write.close().await;
}

enum Request {
    Shell,
    Command(Vec<u8>),
    Sftp,
}

/// Waits for what the channel is to be; the server has answered by then, and refused what the device does not know.
async fn request(read: &mut ChannelReadHalf) -> Option<(Request, Option<Size>)> {
    let mut size = None;
    loop {
        match read.wait().await? {
            ChannelMsg::RequestPty { col_width, row_height, .. } => size = Some(Size::named(col_width, row_height)),
            ChannelMsg::WindowChange { col_width, row_height, .. } if size.is_some() => {
                size = Some(Size::named(col_width, row_height));
            }
            ChannelMsg::RequestShell { .. } => return Some((Request::Shell, size)),
            ChannelMsg::Exec { command, .. } => return Some((Request::Command(command), size)),
            ChannelMsg::RequestSubsystem { name, .. } if name == "sftp" => return Some((Request::Sftp, size)),
            ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

async fn run_one(seat: &mut Seat, line: &[u8]) -> Result<Exit, russh::Error> {
    let Ok(line) = std::str::from_utf8(line) else {
        seat.console.error("コマンドがUTF-8ではありません。UTF-8で入力してください。\n").await?;
        return Ok(Exit::Status(126));
    };
    let command = commands::interpret(line, &seat.surroundings());
    programs::run(command, seat).await
}

/// Runs the SFTP server between two pumps of its own, so that its last answers go out before the exit status does.
async fn transfer_files(device: &Arc<SimulatedDevice>, read: ChannelReadHalf, write: &ChannelWriteHalf<Msg>) -> Exit {
    let (near, far) = tokio::io::duplex(SFTP_BUFFER);
    let (answers, requests) = tokio::io::split(near);
    russh_sftp::server::run(far, sftp::Transfers::new(device.clone())).await;
    let mut keyboard = Keyboard::new(read, None);
    let (asked, answered) = tokio::join!(ask(&mut keyboard, requests), answer(answers, write));
    match (asked, answered) {
        (Exit::Status(_), Ok(())) => Exit::Status(0),
        (Exit::Status(_), Err(_)) => Exit::Gone,
        (other, _) => other,
    }
}

async fn ask(keyboard: &mut Keyboard, mut requests: tokio::io::WriteHalf<DuplexStream>) -> Exit {
    let exit = loop {
        match keyboard.next().await {
            Input::Bytes(bytes) => {
                if requests.write_all(&bytes).await.is_err() {
                    break Exit::Status(0);
                }
            }
            Input::End => break Exit::Status(0),
            Input::Signal(signal) => break Exit::Signal(signal),
            Input::Gone => break Exit::Gone,
            Input::Resized => {}
        }
    };
    // The server's reader sees the end, finishes, and lets its own side go: that ends the other pump.
    let _ = requests.shutdown().await;
    exit
}

async fn answer(
    mut answers: tokio::io::ReadHalf<DuplexStream>,
    write: &ChannelWriteHalf<Msg>,
) -> Result<(), russh::Error> {
    let mut piece = BytesMut::new();
    loop {
        piece.reserve(SFTP_PIECE);
        if answers.read_buf(&mut piece).await? == 0 {
            return Ok(());
        }
        write.data_bytes(piece.split().freeze()).await?;
    }
}
