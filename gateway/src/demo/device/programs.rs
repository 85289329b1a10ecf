//! Running what a line asked for: answers, bulk data, and the programs that take time or the whole screen.

use super::commands::Command;
use super::editor::{Echo, LineEditor};
use super::seat::{Asked, Seat};
use super::terminal::{Console, Exit, Input, Keyboard};
use super::{SimulatedDevice, texts};
use bytes::Bytes;
use chrono::Utc;
use russh::Sig;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Bulk data is written in pieces of this many bytes.
const PIECE: usize = 32 * 1024;
/// What `cat` holds for a caller who sends faster than it reads, in bytes.
const HELD: usize = 64 * 1024 * 1024;
/// What a piece that is held costs beside its bytes, so that many small ones stay bounded too.
const OVERHEAD: usize = 256;
/// How long `cat` waits with all of that held before it gives up.
const STALLED: Duration = Duration::from_secs(10);
/// How long an interrupted program may take to finish what it is writing.
const LAST_WRITE: Duration = Duration::from_secs(1);

const DONE: Exit = Exit::Status(0);

/// Runs a command to its end, or to Ctrl-C, a signal, or the caller's leaving.
pub async fn run(command: Command, seat: &mut Seat) -> Result<Exit, russh::Error> {
    match command {
        Command::Exit(status) => Ok(Exit::Status(status.unwrap_or(0))),
        Command::ChangeFolder(folder) => {
            seat.folder = folder;
            Ok(DONE)
        }
        Command::Monitor => monitor(seat).await,
        Command::Passwd => passwd(seat).await,
        Command::Echo if seat.console.is_terminal() => typed(seat, true).await,
        Command::Count if seat.console.is_terminal() => typed(seat, false).await,
        Command::Echo => copy(&mut seat.keyboard, &seat.console).await,
        Command::Count => count(&mut seat.keyboard, &seat.console).await,
        command => watched(command, seat).await,
    }
}

/// Runs a program that reads nothing, while the keyboard is watched for what ends it.
async fn watched(command: Command, seat: &mut Seat) -> Result<Exit, russh::Error> {
    let stop = CancellationToken::new();
    let mut working = pin!(unattended(command, &seat.device, &seat.console, &stop));
    let exit = tokio::select! {
        done = &mut working => return done,
        exit = seat.keyboard.interruption() => exit,
    };
    stop.cancel();
    // A write dropped half-way keeps its share of the caller's window for good: let it finish if it can.
    let _ = timeout(LAST_WRITE, working).await;
    if matches!(exit, Exit::Status(_)) {
        seat.console.print("^C\n").await?;
    }
    Ok(exit)
}

async fn unattended(
    command: Command,
    device: &SimulatedDevice,
    console: &Console,
    stop: &CancellationToken,
) -> Result<Exit, russh::Error> {
    match command {
        Command::Answer { out, error, status } => {
            console.print(&out).await?;
            console.error(&error).await?;
            return Ok(Exit::Status(status));
        }
        Command::Show(paths) => {
            for path in paths {
                show(&path, device, console, stop).await?;
            }
        }
        Command::Zeros(amount) => zeros(amount, console, stop).await?,
        Command::Sleep(duration) => {
            stop.run_until_cancelled(sleep(duration)).await;
        }
        Command::SelfTest => self_test(device, console, stop).await?,
        // Those that read are run elsewhere.
        Command::Exit(_)
        | Command::ChangeFolder(_)
        | Command::Echo
        | Command::Count
        | Command::Monitor
        | Command::Passwd => {}
    }
    Ok(DONE)
}

async fn show(
    path: &str,
    device: &SimulatedDevice,
    console: &Console,
    stop: &CancellationToken,
) -> Result<(), russh::Error> {
    let mut offset = 0;
    while !stop.is_cancelled() {
        // The file may go while it is being shown: that is its end.
        let piece = device.files.read(path, offset, PIECE).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        offset += u64::try_from(piece.len()).unwrap_or_default();
        match String::from_utf8(piece) {
            Ok(text) if console.is_terminal() => console.print(&text).await?,
            Ok(text) => console.bytes(Bytes::from(text)).await?,
            Err(other) => console.bytes(Bytes::from(other.into_bytes())).await?,
        }
    }
    Ok(())
}

async fn zeros(amount: u64, console: &Console, stop: &CancellationToken) -> Result<(), russh::Error> {
    let piece = Bytes::from_static(&[0; PIECE]);
    let mut left = amount;
    while left > 0 && !stop.is_cancelled() {
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        console.bytes(piece.slice(..length)).await?;
        left = left.saturating_sub(u64::try_from(length).unwrap_or(left));
    }
    Ok(())
}

async fn self_test(device: &SimulatedDevice, console: &Console, stop: &CancellationToken) -> Result<(), russh::Error> {
    const STEPS: usize = 20;
    let checks = texts::checks(device.personality.kind);
    for (number, check) in (1..).zip(checks) {
        let head = format!("[{number}/{}] {check}", checks.len());
        for done in 0..STEPS {
            if console.is_terminal() {
                let bar = format!("{}{}", "#".repeat(done), "-".repeat(STEPS - done));
                console.print(&format!("\r\x1b[K{head} [{bar}] {:>3}%", done * 100 / STEPS)).await?;
            }
            if stop.run_until_cancelled(sleep(Duration::from_millis(25))).await.is_none() {
                return Ok(());
            }
        }
        let start = if console.is_terminal() { "\r\x1b[K" } else { "" };
        console.print(&format!("{start}{head} … 合格\n")).await?;
    }
    console.print("自己診断が終わりました。異常はありません。\n").await
}

/// Shows the device's figures in the alternate screen, each second, until `q`. Without a terminal, once.
async fn monitor(seat: &mut Seat) -> Result<Exit, russh::Error> {
    const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
    const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
    let device = seat.device.clone();
    let Some(mut size) = seat.keyboard.size() else {
        seat.console.print(&(texts::frame(&device.personality, 0, Utc::now()).join("\n") + "\n")).await?;
        return Ok(DONE);
    };
    seat.console.print(ENTER).await?;
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut tick = 0;
    let exit = loop {
        tokio::select! {
            _ = second.tick() => tick += 1,
            key = seat.keyboard.next_byte() => match key {
                Ok(b'q' | b'Q') => break DONE,
                Ok(0x03) | Err(Input::Signal(Sig::INT)) => break Exit::Status(130),
                Ok(_) => continue,
                Err(Input::Resized | Input::Bytes(_)) => size = seat.keyboard.size().unwrap_or(size),
                Err(Input::Signal(signal)) => break Exit::Signal(signal),
                Err(Input::End) => break DONE,
                Err(Input::Gone) => break Exit::Gone,
            },
        }
        let lines = texts::frame(&device.personality, tick, Utc::now());
        let visible: Vec<String> = lines.iter().take(size.rows).map(|line| texts::cut(line, size.columns)).collect();
        seat.console.print(&format!("\x1b[H{}\x1b[K\x1b[J", visible.join("\x1b[K\n"))).await?;
    };
    seat.console.print(LEAVE).await?;
    Ok(exit)
}

/// Asks for passwords without echo. The demonstration's credentials are the gateway's to know, so nothing changes.
async fn passwd(seat: &mut Seat) -> Result<Exit, russh::Error> {
    if !seat.console.is_terminal() {
        seat.console.error("passwd: 端末が必要です（ssh -t で接続してください）。\n").await?;
        return Ok(Exit::Status(1));
    }
    let mut editor = LineEditor::new();
    let mut answers = Vec::new();
    for prompt in ["現在のパスワード: ", "新しいパスワード: ", "新しいパスワード（再入力）: "]
    {
        match seat.ask(&mut editor, prompt, Echo::Hidden).await? {
            Asked::Line(answer) => answers.push(zeroize::Zeroizing::new(answer)),
            Asked::TooLong | Asked::End => return Ok(Exit::Status(1)),
            Asked::Interrupted => return Ok(Exit::Status(130)),
            Asked::Over(exit) => return Ok(exit),
        }
    }
    if let [_, new, again] = answers.as_slice()
        && new != again
    {
        seat.console.error("passwd: 新しいパスワードが一致しません。変更していません。\n").await?;
        return Ok(Exit::Status(1));
    }
    seat.console.print("デモ用の模擬機器のため、パスワードは変更しません。\n").await?;
    Ok(DONE)
}

/// `cat` and `wc -c` at a terminal: line by line, until Ctrl-D.
async fn typed(seat: &mut Seat, show: bool) -> Result<Exit, russh::Error> {
    let mut editor = LineEditor::new();
    let mut total = 0;
    loop {
        match seat.ask(&mut editor, "", Echo::Shown).await? {
            Asked::Line(line) if show => seat.console.print(&format!("{line}\n")).await?,
            Asked::Line(line) => total += line.len() + 1,
            Asked::TooLong => return Ok(Exit::Status(1)),
            Asked::Interrupted => return Ok(Exit::Status(130)),
            Asked::End => break,
            Asked::Over(exit) => return Ok(exit),
        }
    }
    if !show {
        seat.console.print(&format!("{total}\n")).await?;
    }
    Ok(DONE)
}

async fn count(keyboard: &mut Keyboard, console: &Console) -> Result<Exit, russh::Error> {
    let mut total = 0;
    loop {
        match keyboard.next().await {
            Input::Bytes(bytes) => total += bytes.len(),
            Input::End => break,
            Input::Signal(signal) => return Ok(Exit::Signal(signal)),
            Input::Gone => return Ok(Exit::Gone),
            Input::Resized => {}
        }
    }
    console.print(&format!("{total}\n")).await?;
    Ok(DONE)
}

/// `cat` from stdin to stdout.
///
/// A caller who does not read stops the writing; if that stopped the reading as well, the connection would no longer
/// see that the caller reads again. So what comes in is held, up to a limit, and past it the program ends.
async fn copy(keyboard: &mut Keyboard, console: &Console) -> Result<Exit, russh::Error> {
    let room = Arc::new(Semaphore::new(HELD));
    // Unbounded by count, bounded by the permits that travel with each piece.
    let (queue, mut queued) = mpsc::unbounded_channel();
    let mut writing = pin!(async {
        while let Some((bytes, _held)) = queued.recv().await {
            console.bytes(bytes).await?;
        }
        Ok::<_, russh::Error>(())
    });
    let reading = async move {
        loop {
            match keyboard.next().await {
                Input::Bytes(bytes) => {
                    let cost = u32::try_from(bytes.len() + OVERHEAD).unwrap_or(u32::MAX);
                    let Ok(Ok(held)) = timeout(STALLED, room.clone().acquire_many_owned(cost)).await else {
                        return Exit::Signal(Sig::PIPE);
                    };
                    if queue.send((bytes, held)).is_err() {
                        return Exit::Gone;
                    }
                }
                Input::End => return DONE,
                Input::Signal(signal) => return Exit::Signal(signal),
                Input::Gone => return Exit::Gone,
                Input::Resized => {}
            }
        }
    };
    let exit = tokio::select! {
        exit = reading => exit,
        written = &mut writing => return written.map(|()| Exit::Gone),
    };
    if matches!(exit, Exit::Status(_)) {
        writing.await?;
    }
    Ok(exit)
}
